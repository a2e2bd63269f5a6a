"""What pure code is given instead of reaching for it: time, entropy and choice.

Pure rooms take these as arguments, so that any run can be repeated from its inputs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NewType

UnixTime = NewType("UnixTime", float)
"""Seconds since 1970-01-01T00:00:00Z."""

Entropy = Callable[[int], bytes]
"""Gives that many unpredictable bytes; ``os.urandom`` in the world, seeded in simulations."""


class SteadyClock:
    """Unix time that never goes back.

    A wall clock that is set back would re-open time slots whose replay tags are gone, so this clock follows
    the monotonic one and takes from the wall clock only steps forward.

    Args:
        wall: reads Unix time, e.g. ``time.time``.
        monotonic: reads a clock that nobody can set, e.g. ``time.monotonic``.
    """

    # The two clocks drift by microseconds between readings; only a real step is followed.
    STEP_S = 1.0

    def __init__(self, wall: Callable[[], float], monotonic: Callable[[], float]) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._offset = wall() - monotonic()

    def now(self) -> UnixTime:
        """The time now, at least as late as any time given before."""
        monotonic = self._monotonic()
        ahead = self._wall() - monotonic - self._offset
        if ahead > self.STEP_S:
            self._offset += ahead
        return UnixTime(monotonic + self._offset)
