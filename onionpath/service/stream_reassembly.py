"""The client's downstream bytes: pieces that come in any order go in, the stream's bytes come out in order.

Spec: docs/specs/stream.md §6.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque

from onionpath.errors import MalformedError

WINDOW = 4 * 1024 * 1024  # bytes; 32 polls of 127 KiB, the most that are outstanding


class Reassembly:
    """Puts downstream pieces in order; no byte is lost or comes twice.

    Args:
        window: bytes held at most, in order or not. The client asks for no byte beyond it (see ``missing``).
    """

    def __init__(self, window: int = WINDOW) -> None:
        self._window = window
        self._ready: deque[bytes] = deque()
        self._taken = 0
        self._received = 0
        self._starts: list[int] = []  # offsets of the pieces behind a gap, sorted, disjoint
        self._pieces: dict[int, bytes] = {}
        self._end: int | None = None

    @property
    def received(self) -> int:
        """Every byte before this offset is here or was taken: what to acknowledge."""
        return self._received

    @property
    def taken(self) -> int:
        """How many bytes the program has taken."""
        return self._taken

    @property
    def ready(self) -> int:
        """How many bytes ``take`` could give now."""
        return self._received - self._taken

    @property
    def complete(self) -> bool:
        """Whether every byte up to the end has arrived; ``take`` may still have some to give."""
        return self._end is not None and self._received == self._end

    @property
    def finished(self) -> bool:
        """Whether every byte up to the end was taken."""
        return self._end is not None and self._taken == self._end

    def end_at(self, offset: int) -> None:
        """Note where downstream ends.

        Raises:
            MalformedError: it ended elsewhere before, or bytes beyond it have arrived.
        """
        if self._end not in (None, offset) or offset < self._highest():
            raise MalformedError("a stream ends at two places")
        self._end = offset

    def add(self, offset: int, data: bytes) -> int:
        """Take a piece, and say how many bytes became ready by it.

        Raises:
            MalformedError: the piece reaches beyond the window or the end.
        """
        stop = offset + len(data)
        if stop > self._taken + self._window or (self._end is not None and stop > self._end):
            raise MalformedError("downstream bytes came that nobody had asked for")
        before = self._received
        for start, end in self._unknown(max(offset, self._received), stop):
            self._starts.insert(bisect_right(self._starts, start), start)
            self._pieces[start] = data[start - offset : end - offset]
        self._advance()
        return self._received - before

    def take(self, at_most: int) -> bytes:
        """Remove up to that many bytes in order; empty if none is ready."""
        parts: list[bytes] = []
        while self._ready and at_most > 0:
            part = self._ready.popleft()
            if len(part) > at_most:
                self._ready.appendleft(part[at_most:])
                part = part[:at_most]
            parts.append(part)
            at_most -= len(part)
        data = b"".join(parts)
        self._taken += len(data)
        return data

    def missing(self) -> list[tuple[int, int]]:
        """The ranges [start, stop) that are still to be asked for, in order, up to the window or the end."""
        limit = self._taken + self._window
        return self._unknown(self._received, limit if self._end is None else min(limit, self._end))

    def _unknown(self, start: int, stop: int) -> list[tuple[int, int]]:
        """The parts of [start, stop) that no piece behind the gap covers."""
        unknown = []
        first = max(0, bisect_right(self._starts, start) - 1)
        for piece in self._starts[first:]:
            if piece >= stop:
                break
            if piece > start:
                unknown.append((start, piece))
            start = max(start, piece + len(self._pieces[piece]))
        if start < stop:
            unknown.append((start, stop))
        return unknown

    def _advance(self) -> None:
        count = 0
        for start in self._starts:
            if start != self._received:
                break
            piece = self._pieces.pop(start)
            self._ready.append(piece)
            self._received += len(piece)
            count += 1
        del self._starts[:count]

    def _highest(self) -> int:
        if not self._starts:
            return self._received
        return self._starts[-1] + len(self._pieces[self._starts[-1]])
