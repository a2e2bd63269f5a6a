"""Arcs of the ring on which accounts lie, and the buckets by which replicas compare what they hold.

A bucket is one of 4,096 equal arcs. Where swarms meet inside a bucket, each compares its part of it.
Spec: docs/specs/store.md §3.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from onionpath.directory.swarms import RING

BUCKET_BITS = 12
BUCKETS = 1 << BUCKET_BITS
BUCKET_WIDTH = RING // BUCKETS


class Arc(NamedTuple):
    """Positions of accounts from ``start`` up to, without, ``end``; never across the ring's zero."""

    start: int
    end: int

    def __contains__(self, position: object) -> bool:
        return isinstance(position, int) and self.start <= position < self.end

    def overlap(self, other: Arc) -> Arc | None:
        """What both have."""
        start, end = max(self.start, other.start), min(self.end, other.end)
        return Arc(start, end) if start < end else None

    def pieces(self) -> Iterator[tuple[int, Arc]]:
        """Each bucket that it touches, ascending, with the part of the bucket that is on it."""
        for bucket in range(bucket_of(self.start), bucket_of(self.end - 1) + 1):
            piece = self.overlap(whole_bucket(bucket))
            if piece is not None:
                yield bucket, piece


WHOLE_RING = Arc(0, RING)


def bucket_of(position: int) -> int:
    """The bucket in which a position lies."""
    return position // BUCKET_WIDTH


def whole_bucket(bucket: int) -> Arc:
    """All of a bucket."""
    return Arc(bucket * BUCKET_WIDTH, (bucket + 1) * BUCKET_WIDTH)
