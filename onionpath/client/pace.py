"""How a program waits: what the client's decisions need of an event loop, so that virtual time can be one too."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

import anyio
from anyio.abc import TaskGroup

from onionpath.errors import UnreachableError

T = TypeVar("T")
Cancel = Callable[[], None]


class Bell(Protocol):
    """Wakes the one who waits for it."""

    def ring(self) -> None: ...

    async def wait(self, seconds: float) -> None:
        """Until it rings, has rung since the last wait, or so many seconds have passed."""
        ...


class Pace(Protocol):
    """Time, and work beside the caller's."""

    def now(self) -> float:
        """Seconds of a clock that never goes back."""
        ...

    def bell(self) -> Bell: ...

    def start(self, work: Callable[[], Coroutine[Any, Any, None]]) -> Cancel:
        """Do this beside the caller, until it ends or is cancelled; it raises nothing."""
        ...

    async def within(self, seconds: float, work: Coroutine[Any, Any, T]) -> T:
        """Wait for this at most so long.

        Raises:
            TimeoutError: the time passed, and the work was cancelled.
        """
        ...


class LoopPace:
    """The pace of asyncio and trio.

    Args:
        tasks: where the work beside the callers runs.
    """

    def __init__(self, tasks: TaskGroup) -> None:
        self._tasks = tasks
        self._is_closed = False

    def close(self) -> None:
        """Start nothing any more."""
        self._is_closed = True

    def now(self) -> float:
        """The loop's clock."""
        return anyio.current_time()

    def bell(self) -> LoopBell:
        """For one task."""
        return LoopBell()

    def start(self, work: Callable[[], Coroutine[Any, Any, None]]) -> Cancel:
        """In a scope of its own.

        Raises:
            UnreachableError: the client was closed.
        """
        if self._is_closed:
            raise UnreachableError("the client was closed", sent=False)
        scope = anyio.CancelScope()

        async def run() -> None:
            with scope:
                await work()

        self._tasks.start_soon(run)
        return scope.cancel

    async def within(self, seconds: float, work: Coroutine[Any, Any, T]) -> T:
        """See ``Pace``."""
        with anyio.fail_after(seconds):
            return await work


class LoopBell:
    """See ``Bell``."""

    def __init__(self) -> None:
        self._rung = anyio.Event()

    def ring(self) -> None:
        """Wake whoever waits, or will."""
        self._rung.set()

    async def wait(self, seconds: float) -> None:
        """See ``Bell``."""
        with anyio.move_on_after(max(0.0, seconds)):
            await self._rung.wait()
        self._rung = anyio.Event()
