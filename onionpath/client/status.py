"""What a client says of itself: values, and a way to follow their changes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import Enum

import anyio

from onionpath.injected import UnixTime


class State(Enum):
    """How far a client is."""

    STARTING = "starting"  # no directory yet
    WAITING = "waiting"  # a directory, and nothing has gone through yet
    READY = "ready"  # the last call that ended went through, end to end
    FAILING = "failing"  # the last call that ended did not
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Status:
    """A snapshot.

    Args:
        state: see ``State``.
        last_success_at: when a reply was last opened, or None.
        last_failure: one line about the last call that failed, or None.
        document: number of the directory's document, or None.
        relays: how many relays it lists.
        paths: ready paths.
        streams: open byte streams.
        state_problem: what was wrong with the file of guards, or None.
    """

    state: State
    last_success_at: UnixTime | None = None
    last_failure: str | None = None
    document: int | None = None
    relays: int = 0
    paths: int = 0
    streams: int = 0
    state_problem: str | None = None


class StatusBoard:
    """Holds the newest status and wakes whoever follows it."""

    def __init__(self) -> None:
        self._status = Status(State.STARTING)
        self._changed: anyio.Event | None = None

    @property
    def status(self) -> Status:
        """The newest."""
        return self._status

    def show(self, status: Status) -> None:
        """Replace it; nothing happens when it is the same."""
        if status != self._status:
            self._status = status
            if self._changed is not None:
                self._changed.set()

    async def follow(self) -> AsyncIterator[Status]:
        """The status now, and each newer one that the reader has time for; ends when closed."""
        shown: Status | None = None
        while True:
            if self._status is not shown:
                shown = self._status
                yield shown
                if shown.state is State.CLOSED:
                    return
            else:
                if self._changed is None or self._changed.is_set():
                    self._changed = anyio.Event()
                await self._changed.wait()
