"""The pace of virtual time: what the client's own code waits by."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from onionpath.client.pace import Cancel
from simulations.virtual.heap import EventHeap, Promise, Task

T = TypeVar("T")


class VirtualPace:
    """See ``onionpath.client.pace.Pace``."""

    def __init__(self, heap: EventHeap) -> None:
        self._heap = heap

    def now(self) -> float:
        """The heap's time."""
        return self._heap.now

    def bell(self) -> VirtualBell:
        """For one task."""
        return VirtualBell(self._heap)

    def start(self, work: Callable[[], Coroutine[Any, Any, None]]) -> Cancel:
        """As the next event."""
        task = Task(work())
        # As an event: whoever starts it keeps what it gives before it can end.
        self._heap.at(self._heap.now, task.step)
        return task.cancel

    async def within(self, seconds: float, work: Coroutine[Any, Any, T]) -> T:
        """See ``EventHeap.within``."""
        return await self._heap.within(seconds, work)


class VirtualBell:
    """See ``onionpath.client.pace.Bell``."""

    def __init__(self, heap: EventHeap) -> None:
        self._heap = heap
        self._rung: Promise[None] = Promise(heap)

    def ring(self) -> None:
        """Wake whoever waits, or will."""
        self._rung.keep(None)

    async def wait(self, seconds: float) -> None:
        """See ``Bell``."""
        timer = self._heap.after(seconds, self._rung.keep, None)
        try:
            await self._rung
        finally:
            timer.cancel()
        self._rung = Promise(self._heap)
