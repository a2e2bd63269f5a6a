"""What waits to be written on one link, and for how long."""

from __future__ import annotations

from collections import deque

from onionpath.injected import UnixTime


class Backlog:
    """Bytes handed to the driver and not yet written, with the age of the oldest."""

    # A mark a second is enough to cut off a peer within a second of its time.
    MARK_EVERY_S = 1.0

    __slots__ = ("_marks", "_queued", "_written")

    def __init__(self) -> None:
        self._queued = 0
        self._written = 0
        self._marks: deque[tuple[UnixTime, int]] = deque()

    @property
    def size(self) -> int:
        """Bytes that wait."""
        return self._queued - self._written

    def add(self, size: int, now: UnixTime) -> None:
        """So many bytes were handed over."""
        if not self._marks or now - self._marks[-1][0] >= self.MARK_EVERY_S:
            self._marks.append((now, self._queued))
        self._queued += size

    def remove(self, size: int) -> None:
        """So many bytes were written."""
        self._written += size
        while len(self._marks) > 1 and self._marks[1][1] <= self._written:
            self._marks.popleft()
        if self._written == self._queued:
            self._marks.clear()

    def age(self, now: UnixTime) -> float:
        """Seconds that the oldest byte has waited, 0 when none does; late by at most MARK_EVERY_S."""
        return now - self._marks[0][0] if self._marks else 0.0
