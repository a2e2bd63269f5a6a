"""Arcs of the ring on which accounts lie: what a swarm stores for, and the buckets by which replicas compare.

A bucket is one of 4,096 equal arcs. Where swarms meet inside a bucket, each compares its part of it.
Spec: docs/specs/storage.md §5.6.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from onionpath.directory.swarms import RING
from onionpath.errors import UsageError

BUCKET_BITS = 12
BUCKETS = 1 << BUCKET_BITS
BUCKET_WIDTH = RING // BUCKETS


@dataclass(frozen=True, slots=True)
class Span:
    """Positions from ``first`` to ``last``, both included; never across the ring's zero."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Arc:
    """Positions from ``start`` up to, not including, ``end``, clockwise; the whole ring if both are the same."""

    start: int
    end: int

    def holds(self, position: int) -> bool:
        """Whether a position lies on it."""
        return self.start == self.end or (position - self.start) % RING < (self.end - self.start) % RING

    def spans(self) -> tuple[Span, ...]:
        """The same without crossing zero: one span, or two, in ascending order."""
        if self.start < self.end:
            return (Span(self.start, self.end - 1),)
        last = Span(self.start, RING - 1)
        return (Span(0, self.end - 1), last) if self.end else (last,)

    def pieces(self) -> Iterator[tuple[int, Span]]:
        """Each bucket that it touches, with the part of the bucket that is on it; a bucket may come twice."""
        for span in self.spans():
            for bucket in range(span.first // BUCKET_WIDTH, span.last // BUCKET_WIDTH + 1):
                start = bucket * BUCKET_WIDTH
                yield bucket, Span(max(span.first, start), min(span.last, start + BUCKET_WIDTH - 1))


WHOLE_RING = Arc(0, 0)


def bucket_of(position: int) -> int:
    """The bucket in which a position lies."""
    return position // BUCKET_WIDTH


def whole_bucket(bucket: int) -> Span:
    """All of a bucket."""
    return Span(bucket * BUCKET_WIDTH, (bucket + 1) * BUCKET_WIDTH - 1)


def arc_of(swarm: int, swarms: Sequence[int]) -> Arc:
    """All positions for which a swarm stores: those that ``directory.swarms.swarm_of`` gives to it.

    Args:
        swarms: the ids of all swarms, ascending.

    Raises:
        UsageError: it is none of them.
    """
    index = bisect_left(swarms, swarm)
    if index == len(swarms) or swarms[index] != swarm:
        raise UsageError("a swarm's arc is sought among swarms that it is not one of")
    if len(swarms) == 1:
        return WHOLE_RING
    left, right = swarms[index - 1], swarms[(index + 1) % len(swarms)]
    return Arc(_border(left, swarm), _border(swarm, right))


def _border(left: int, right: int) -> int:
    """The first position that belongs to the right one; the middle is the left one's."""
    return (left + ((right - left) % RING) // 2 + 1) % RING
