"""A node's clocks: wrong by a skew, fast or slow by a drift, set forwards or back by somebody."""

from __future__ import annotations

from onionpath.injected import SteadyClock
from simulations.virtual.heap import EventHeap


class MachineClock:
    """The two clocks of one machine; they survive the death of its processes.

    Args:
        skew_s: how far the wall clock is ahead of the truth at first.
        drift: seconds that both clocks gain per true second, e.g. 50e-6.
    """

    def __init__(self, heap: EventHeap, *, skew_s: float = 0.0, drift: float = 0.0) -> None:
        self._heap = heap
        self._started_at = self._drifts_since = heap.now
        self._drift = drift
        self._gained_s = 0.0
        self.skew_s = skew_s

    def wall(self) -> float:
        """What the machine believes to be Unix time."""
        now = self._heap.now
        return now + self.skew_s + self._gained_s + (now - self._drifts_since) * self._drift

    def monotonic(self) -> float:
        """A clock that nobody can set; it drifts as the other does."""
        now = self._heap.now
        return now - self._started_at + self._gained_s + (now - self._drifts_since) * self._drift

    def rate(self) -> float:
        """Seconds of this machine in a true second."""
        return 1.0 + self._drift

    def set_drift(self, drift: float) -> None:
        """Run faster or slower from now on; nothing jumps."""
        now = self._heap.now
        self._gained_s += (now - self._drifts_since) * self._drift
        self._drifts_since, self._drift = now, drift

    def steady(self) -> SteadyClock:
        """The clock of a process that starts now, as the programs make it."""
        return SteadyClock(self.wall, self.monotonic)
