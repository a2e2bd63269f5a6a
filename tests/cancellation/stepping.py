"""Cancels work at its first wait, at its second, and so on to its last.

``cancelled_at_each_step`` counts the waits of one coroutine, on either event loop. ``cancelled_at_each_step_of_all``
counts those of every task inside of a trio nursery.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Coroutine, Generator
from itertools import count
from typing import Any

import anyio
import trio

# Work under test that waits more often than this has run away.
MOST_STEPS = 500


class Stepped:
    """Awaits a coroutine, and calls ``act`` just before its wait number ``at``."""

    def __init__(self, work: Coroutine[Any, Any, object], *, at: int, act: Callable[[], object]) -> None:
        self.steps = 0
        self._work = work
        self._at = at
        self._act = act

    def __await__(self) -> Generator[Any, Any, object]:
        resume: Callable[[Any], Any] = self._work.send
        value: Any = None
        while True:
            try:
                waited_for = resume(value)
            except StopIteration as end:
                return end.value
            self.steps += 1
            if self.steps == self._at:
                self._act()
            try:
                value, resume = (yield waited_for), self._work.send
            except (
                BaseException
            ) as error:  # a cancellation, or what was waited for failed: the work's own affair
                value, resume = error, self._work.throw


async def cancelled_at_each_step(
    work: Callable[[], Coroutine[Any, Any, object]], *, then: Callable[[], Awaitable[object]]
) -> int:
    """Do the work again and again, cancelled one wait later each time; ``then`` follows each; gives the waits."""
    for step in count(1):
        assert step < MOST_STEPS
        with anyio.CancelScope() as scope:
            stepped = Stepped(work(), at=step, act=scope.cancel)
            await stepped
        await then()
        if stepped.steps < step:
            return step - 1
    raise AssertionError


class _Cancel(trio.abc.Instrument):
    """Cancels a nursery after so many steps of the tasks in it."""

    def __init__(self, at: int) -> None:
        self.steps = 0
        self.nursery: trio.Nursery | None = None
        self._at = at

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        inside = task.parent_nursery
        while inside is not None and inside is not self.nursery:
            inside = inside.parent_task.parent_nursery
        if inside is not None:
            self.steps += 1
            if self.steps == self._at:
                inside.cancel_scope.cancel()


async def cancelled_at_each_step_of_all(
    work: Callable[[trio.Nursery], Awaitable[object]], *, then: Callable[[], Awaitable[object]]
) -> int:
    """The same for all tasks of a nursery that the work is given; when it returns, what still runs is cancelled."""

    async def run(nursery: trio.Nursery) -> None:
        await work(nursery)
        nursery.cancel_scope.cancel()

    for step in count(1):
        assert step < MOST_STEPS
        cancel = _Cancel(step)
        trio.lowlevel.add_instrument(cancel)
        try:
            with trio.fail_after(10):
                async with trio.open_nursery() as nursery:
                    cancel.nursery = nursery
                    nursery.start_soon(run, nursery)
        finally:
            trio.lowlevel.remove_instrument(cancel)
        await then()
        if cancel.steps < step:
            return step - 1
    raise AssertionError


def open_files() -> int:
    """How many files this process has open.

    Other tests' networks live on in threads of it and may just be closing something, so fewer than before are fine.
    """
    return len(os.listdir("/proc/self/fd"))
