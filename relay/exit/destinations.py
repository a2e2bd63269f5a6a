"""How many connections an exit makes to one server, whoever asks for them.

An onion's callers can't be told apart, so a flood of one server through an exit is bounded at the server's end: by
the connections that stand and the new ones in a second. What a browser opens at once beyond those is made a moment
later. Spec: docs/specs/stream.md §8.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice

# Beyond the new ones of a second, those of the next two wait; a caller with more is told at once.
LONGEST_DELAY_S = 2.0

Destination = tuple[bytes, int]
"""An address as its 4 or 16 bytes, and a port. Not as an ``ipaddress`` object, whose hash anybody can aim at."""


@dataclass(frozen=True, slots=True)
class DestinationLimits:
    """What one address and port is spared.

    Args:
        concurrent: connections at once, those that are being made or held back included.
        per_s: new connections in a second, at least 1; as many may come together after a quiet second.
    """

    concurrent: int = 20
    per_s: float = 10.0


@dataclass(slots=True)
class _Use:
    connections: int
    allowance: float
    counted_at: float


class Destinations:
    """Counts the connections to each address and port."""

    def __init__(self, limits: DestinationLimits) -> None:
        self._limits = limits
        self._uses: dict[Destination, _Use] = {}

    def __len__(self) -> int:
        return len(self._uses)

    def enter(self, destination: Destination, *, now: float) -> float | None:
        """Count one connection more and say for how many seconds to hold it back; ``leave`` when it is over.

        None, and nothing is counted, when there are too many or it would have to wait for too long.

        Args:
            now: seconds of a clock that never goes back.
        """
        self._forget_quiet(now)
        limits = self._limits
        use = self._uses.pop(destination, None) or _Use(0, limits.per_s, now)
        self._uses[destination] = use  # at the end: the longest unused come first
        use.allowance = min(limits.per_s, use.allowance + (now - use.counted_at) * limits.per_s)
        use.counted_at = now
        delay_s = max(0.0, (1 - use.allowance) / limits.per_s)
        if use.connections >= limits.concurrent or delay_s > LONGEST_DELAY_S:
            return None
        use.connections += 1
        use.allowance -= 1  # Below zero it is what those who wait have taken in advance.
        return delay_s

    def leave(self, destination: Destination) -> None:
        """Count one connection less."""
        self._uses[destination].connections -= 1

    @contextmanager
    def entered(self, destination: Destination, *, now: float) -> Iterator[float | None]:
        """Count a connection while it lasts; in how many seconds it may be made, or None if it may not."""
        delay_s = self.enter(destination, now=now)
        try:
            yield delay_s
        finally:
            if delay_s is not None:
                self.leave(destination)

    def _forget_quiet(self, now: float) -> None:
        # A few for each one that enters are enough. Those in use go to the end, or they would hide the others.
        for destination, use in list(islice(self._uses.items(), 8)):
            # After a second the allowance is full again, unless some of it was taken in advance.
            if now - use.counted_at < 1 + LONGEST_DELAY_S:
                break
            del self._uses[destination]
            if use.connections:
                self._uses[destination] = use
