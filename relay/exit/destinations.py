"""How many connections an exit makes to one server, whoever asks for them.

An onion's callers can't be told apart, so a flood of one server through an exit is bounded at the server's end: by
the connections that stand and the new ones in a second. Spec: docs/specs/stream.md §8.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice

Destination = tuple[bytes, int]
"""An address as its 4 or 16 bytes, and a port. Not as an ``ipaddress`` object, whose hash anybody can aim at."""


@dataclass(frozen=True, slots=True)
class DestinationLimits:
    """What one address and port is spared.

    Args:
        concurrent: connections at once, those that are being made included.
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

    def enter(self, destination: Destination, *, now: float) -> bool:
        """Count one connection more, unless it is too much; ``leave`` when it is over.

        Args:
            now: seconds of a clock that never goes back.
        """
        self._forget_quiet(now)
        limits = self._limits
        use = self._uses.pop(destination, None) or _Use(0, limits.per_s, now)
        self._uses[destination] = use  # at the end: the longest unused come first
        use.allowance = min(limits.per_s, use.allowance + (now - use.counted_at) * limits.per_s)
        use.counted_at = now
        if use.connections >= limits.concurrent or use.allowance < 1:
            return False
        use.connections += 1
        use.allowance -= 1
        return True

    def leave(self, destination: Destination) -> None:
        """Count one connection less."""
        self._uses[destination].connections -= 1

    @contextmanager
    def entered(self, destination: Destination, *, now: float) -> Iterator[bool]:
        """Count a connection while it lasts; whether it may be made."""
        entered = self.enter(destination, now=now)
        try:
            yield entered
        finally:
            if entered:
                self.leave(destination)

    def _forget_quiet(self, now: float) -> None:
        # A few for each one that enters are enough. Those in use go to the end, or they would hide the others.
        for destination, use in list(islice(self._uses.items(), 8)):
            if now - use.counted_at < 1:
                break
            del self._uses[destination]
            if use.connections:
                self._uses[destination] = use
