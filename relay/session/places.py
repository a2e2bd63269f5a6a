"""Requests under way and the bytes that they hold, over all connections and for each source.

Spec: docs/specs/session-onion.md §12.5.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class PlaceLimits:
    """How much a door takes on at once.

    Args:
        requests: under way at once; the original queues a thousand.
        requests_per_source: of these, from one source.
        bytes_held: of bodies that came and have not been answered; while one is worked on, some copies of it live.
        bytes_per_source: of these, from one source; room for two of the longest bodies.
    """

    requests: int = 1_000
    requests_per_source: int = 100
    bytes_held: int = 64 * MEBIBYTE
    bytes_per_source: int = 20 * MEBIBYTE


class Places:
    """Counts the requests and their bytes; what was entered or taken is given back at the end of ``entered``."""

    def __init__(self, limits: PlaceLimits) -> None:
        self._limits = limits
        self._requests: Counter[str] = Counter()
        self._bytes: Counter[str] = Counter()
        self.requests = 0
        self.bytes_held = 0

    @contextmanager
    def entered(self, source: str) -> Iterator[Place | None]:
        """A request's place, or None if there is none for it."""
        if (
            self.requests >= self._limits.requests
            or self._requests[source] >= self._limits.requests_per_source
        ):
            yield None
            return
        self._count(source, 1, 0)
        place = Place(self, source)
        try:
            yield place
        finally:
            self._count(source, -1, -place.held)

    def hold(self, source: str, size: int) -> bool:
        """Count bytes that came, if there is room for them."""
        if (
            self.bytes_held + size > self._limits.bytes_held
            or self._bytes[source] + size > self._limits.bytes_per_source
        ):
            return False
        self._count(source, 0, size)
        return True

    def _count(self, source: str, requests: int, size: int) -> None:
        self.requests += requests
        self.bytes_held += size
        for counter, change in ((self._requests, requests), (self._bytes, size)):
            counter[source] += change
            if not counter[source]:
                del counter[source]


class Place:
    """One request under way, and the bytes that it holds."""

    __slots__ = ("_places", "_source", "held")

    def __init__(self, places: Places, source: str) -> None:
        self._places = places
        self._source = source
        self.held = 0

    def hold(self, size: int) -> bool:
        """Count bytes of its body; False if there is no room for them, and then they must not be kept."""
        if not self._places.hold(self._source, size):
            return False
        self.held += size
        return True
