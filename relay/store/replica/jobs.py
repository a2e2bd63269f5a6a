"""Runs jobs: hands each the results that it waits for, in the order in which they came."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from relay.store.replica.steps import Do, Event, Job, Run, Start


@dataclass(slots=True, eq=False)
class _Running:
    job: Job
    on_reply: Callable[[Any], None]
    has_replied: bool = False
    is_over: bool = False

    def reply(self, value: Any) -> None:
        """Only the first one counts."""
        if not self.has_replied:
            self.has_replied = True
            self.on_reply(value)


class Jobs:
    """All jobs of one member. ``run`` lets them go on as far as they can; what they want is collected."""

    def __init__(self) -> None:
        self._ready: deque[tuple[_Running, Event | None]] = deque()
        self._waiting: dict[int, tuple[_Running, Any]] = {}
        self._last_ticket = 0
        self._wanted: list[Do] = []

    def begin(self, job: Job, on_reply: Callable[[Any], None]) -> None:
        """Start a job; its reply, or else what it returns, is handed over once."""
        self._ready.append((_Running(job, on_reply), None))

    def resume(self, ticket: int, result: Any) -> None:
        """Here is what a ticket stood for."""
        running, tag = self._waiting.pop(ticket)
        self._ready.append((running, Event(tag, result)))

    def run(self) -> list[Do]:
        """Let everything go on; gives what is to be carried out."""
        while self._ready:
            running, event = self._ready.popleft()
            if not running.is_over:
                self._step(running, event)
        wanted, self._wanted = self._wanted, []
        return wanted

    def _step(self, running: _Running, event: Event | None) -> None:
        try:
            start = running.job.send(event)  # type: ignore[arg-type]  # the first is None, as generators want it
        except StopIteration as ended:
            running.is_over = True
            running.reply(ended.value)
            return
        if start.reply is not None:
            running.reply(start.reply)
        self._start(running, start)

    def _start(self, running: _Running, start: Start) -> None:
        for tag, want in start.wants:
            if isinstance(want, Run):
                self.begin(want.job, partial(self._child_replied, running, tag))
                continue
            self._last_ticket += 1
            self._waiting[self._last_ticket] = (running, tag)
            self._wanted.append(Do(self._last_ticket, want))

    def _child_replied(self, parent: _Running, tag: Any, reply: Any) -> None:
        self._ready.append((parent, Event(tag, reply)))
