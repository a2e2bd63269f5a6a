"""How many packets somebody may bring: on average, and at once."""

from __future__ import annotations

import math
from dataclasses import dataclass

from onionpath.injected import UnixTime


@dataclass(slots=True)
class PacketRate:
    """A token bucket: ``per_second`` packets on average, ``burst`` at once."""

    per_second: float
    burst: float
    tokens: float
    filled_at: UnixTime

    @classmethod
    def full(cls, per_second: float, burst: float, now: UnixTime) -> PacketRate:
        """A bucket that nobody has drawn from."""
        return cls(per_second, burst, burst, now)

    def take(self, now: UnixTime) -> bool:
        """Draw one packet; False when none is left."""
        self.tokens = min(self.burst, self.tokens + (now - self.filled_at) * self.per_second)
        self.filled_at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True

    def charge(self, packets: float) -> None:
        """Draw this many more for the packet that was taken last; what is missing is waited for."""
        self.tokens -= packets

    def next_at(self) -> UnixTime:
        """When one packet can be drawn again: at that very time, whatever the rounding of Unix times does."""
        at = self.filled_at + (1 - self.tokens) / self.per_second
        while self.tokens + (at - self.filled_at) * self.per_second < 1:
            at = math.nextafter(at, math.inf)
        return UnixTime(at)
