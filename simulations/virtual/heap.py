"""Virtual time: one heap of events, and coroutines that wait for it.

Events of one instant happen in the order in which they were scheduled. Nothing else decides anything: no thread, no
loop, no hash order, no clock.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from heapq import heappop, heappush
from typing import Any, Generic, TypeVar

from onionpath.injected import UnixTime

T = TypeVar("T")


class Timer:
    """An event that hasn't happened yet."""

    __slots__ = ("_action", "_arguments")

    def __init__(self, action: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        self._action: Callable[..., None] | None = action
        self._arguments = arguments

    def cancel(self) -> None:
        """Let it not happen; what it held is free at once, though its place in the heap stays until its time."""
        self._action, self._arguments = None, ()

    def happen(self) -> None:
        """Do what was scheduled, unless it was cancelled."""
        if self._action is not None:
            self._action(*self._arguments)


class EventHeap:
    """The only clock of a virtual network; ``now`` is true Unix time, which no node needs to know exactly."""

    def __init__(self, start: UnixTime) -> None:
        self.now = start
        self.events = 0
        self._heap: list[tuple[UnixTime, int, Timer]] = []
        self._sequence = 0

    def __len__(self) -> int:
        return len(self._heap)

    def at(self, time: float, action: Callable[..., None], *arguments: Any) -> Timer:
        """Call ``action(*arguments)`` at a time; the past means now, after what is scheduled for now already."""
        timer = Timer(action, arguments)
        self._sequence += 1
        heappush(self._heap, (UnixTime(time) if time > self.now else self.now, self._sequence, timer))
        return timer

    def after(self, seconds: float, action: Callable[..., None], *arguments: Any) -> Timer:
        """The same, so many seconds from now."""
        return self.at(self.now + seconds, action, *arguments)

    def run_until(self, end: float, *, unless: Callable[[], bool] | None = None) -> None:
        """Let everything happen up to ``end``, or until ``unless`` says True."""
        heap = self._heap
        while heap and heap[0][0] <= end:
            if unless is not None and unless():
                return
            self.now, _, timer = heappop(heap)
            self.events += 1
            timer.happen()
        if unless is None or not unless():
            self.now = UnixTime(max(self.now, end))

    async def sleep(self, seconds: float) -> None:
        """Wait in virtual time."""
        promise: Promise[None] = Promise(self)
        timer = self.after(seconds, promise.keep, None)
        try:
            await promise
        finally:
            timer.cancel()

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> Task:
        """Start a coroutine now; it runs until it waits for the first time."""
        task = Task(coroutine)
        task.step()
        return task

    async def within(self, seconds: float, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine for at most so long.

        Raises:
            TimeoutError: it was cancelled because the time passed.
        """
        promise: Promise[T] = Promise(self)
        task = Task(_settle(promise, coroutine))
        timer = self.after(seconds, promise.break_off, TimeoutError())
        try:
            task.step()
            return await promise
        finally:
            timer.cancel()
            task.cancel()


class Process(EventHeap):
    """What one process lives by: the events of a whole heap, held back while the process is paused.

    Its time goes on meanwhile, as the clocks of a machine do.

    Args:
        rate: seconds of its machine in a true second; who waits for ten seconds waits for ten of those.
    """

    def __init__(self, whole: EventHeap, *, rate: Callable[[], float] = lambda: 1.0) -> None:
        self._whole = whole
        self._rate = rate
        self._held: list[Timer] = []
        self.is_paused = False

    @property
    def now(self) -> UnixTime:  # type: ignore[override]  # nobody sets the time of a part
        """True Unix time."""
        return self._whole.now

    def at(self, time: float, action: Callable[..., None], *arguments: Any) -> Timer:
        """See ``EventHeap.at``."""
        timer, rate = Timer(action, arguments), self._rate()
        # Whole seconds of a true clock stay what they are, to the last bit.
        true_time = time if rate == 1.0 else self.now + (time - self.now) / rate
        self._whole.at(true_time, self._happen, timer)
        return timer

    def _happen(self, timer: Timer) -> None:
        if self.is_paused:
            self._held.append(timer)
        else:
            timer.happen()

    def pause(self) -> None:
        """Let nothing happen until ``resume``."""
        self.is_paused = True

    def resume(self) -> None:
        """Let everything happen that should have happened meanwhile, in its order."""
        self.is_paused = False
        held, self._held = self._held, []
        for timer in held:
            self._whole.at(self._whole.now, timer.happen)


class Promise(Generic[T]):
    """A value that comes later, for one coroutine that awaits it; only the first settling counts."""

    __slots__ = ("_error", "_heap", "_value", "_waiter", "is_settled")

    def __init__(self, heap: EventHeap) -> None:
        self._heap = heap
        self._waiter: Callable[[], None] | None = None
        self._value: T | None = None
        self._error: BaseException | None = None
        self.is_settled = False

    def keep(self, value: T) -> None:
        """Here it is."""
        if not self.is_settled:
            self._value = value
            self._settled()

    def break_off(self, error: BaseException) -> None:
        """It won't come; whoever waits is raised this."""
        if not self.is_settled:
            self._error = error
            self._settled()

    def _settled(self) -> None:
        self.is_settled = True
        if self._waiter is not None:
            # An event of its own: whoever settles is in the middle of something.
            self._heap.at(self._heap.now, self._waiter)

    def wake(self, waiter: Callable[[], None]) -> None:
        """Call this once it is settled."""
        self._waiter = waiter

    def __await__(self) -> Generator[Promise[T], None, T]:
        if not self.is_settled:
            yield self
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[return-value]  # kept, therefore a T


class Task:
    """A coroutine that runs as its promises are settled. An exception that it raises ends the simulation."""

    __slots__ = ("_coroutine", "is_running")

    def __init__(self, coroutine: Coroutine[Any, Any, None]) -> None:
        self._coroutine = coroutine
        self.is_running = True

    def step(self) -> None:
        """Go on until it waits again or ends."""
        if not self.is_running:
            return
        try:
            awaited = self._coroutine.send(None)
        except BaseException as ended:
            self.is_running = False
            if not isinstance(ended, StopIteration):
                raise
            return
        awaited.wake(self.step)

    def cancel(self) -> None:
        """End it where it waits; its ``finally`` blocks run, and it must not wait in them."""
        if self.is_running:
            self.is_running = False
            self._coroutine.close()


class Started(Generic[T]):
    """A coroutine that runs at once as far as it gets; most services never wait, and cost no task.

    Awaiting it goes on from there. An exception before it waits is raised here.
    """

    __slots__ = ("_coroutine", "_value", "_waits_for", "has_ended")

    def __init__(self, coroutine: Coroutine[Any, Any, T]) -> None:
        self._coroutine = coroutine
        self._value: T | None = None
        self._waits_for: Promise[Any] | None = None
        self.has_ended = False
        self._go_on()

    @property
    def value(self) -> T:
        """What it returned; only once it has ended."""
        return self._value  # type: ignore[return-value]  # ended, therefore a T

    def _go_on(self) -> None:
        try:
            self._waits_for = self._coroutine.send(None)
        except StopIteration as ended:
            self.has_ended, self._value = True, ended.value

    async def finish(self) -> T:
        """The rest of it, as a coroutine."""
        return await self

    def __await__(self) -> Generator[Any, None, T]:
        try:
            while not self.has_ended:
                yield self._waits_for
                self._go_on()
        finally:
            self._coroutine.close()
        return self.value


async def _settle(promise: Promise[T], coroutine: Coroutine[Any, Any, T]) -> None:
    try:
        value = await coroutine
    except Exception as error:  # whoever awaits the promise is raised it
        promise.break_off(error)
    else:
        promise.keep(value)
