"""What the relay holds of one stream: upstream bytes on their way in, downstream bytes until acknowledged.

Both are bounded and named by offsets, so that repeated, reordered and lost calls neither lose nor
double a byte.
Spec: docs/specs/stream.md §5, §6.
"""

from __future__ import annotations

from onionpath.errors import MalformedError

# Bytes; a server that reads slower than this per round trip sets the pace anyway.
UPSTREAM_LIMIT = 1024 * 1024
# Bytes: 32 polls of 127 KiB, the most that a client keeps outstanding, and a quarter more. With 4 MiB the first poll
# after a full flight finds a buffer that is still full of what it acknowledges, is answered with next to nothing, and
# costs a round trip: 5.4 MB/s instead of 7.3 over 300 ms in virtual time.
DOWNSTREAM_LIMIT = 5 * 1024 * 1024


class Upstream:
    """Upstream bytes between their arrival in calls and their way to the server.

    Args:
        limit: bytes held at most.
    """

    def __init__(self, limit: int = UPSTREAM_LIMIT) -> None:
        self._limit = limit
        self._held = bytearray()
        self._received = 0
        self._end: int | None = None

    @property
    def received(self) -> int:
        """Every byte before this offset has arrived."""
        return self._received

    @property
    def held(self) -> int:
        """Bytes that have arrived and were not taken yet."""
        return len(self._held)

    @property
    def ended(self) -> bool:
        """Whether the end, and every byte before it, has arrived."""
        return self._end is not None

    @property
    def finished(self) -> bool:
        """Whether the end has arrived and every byte before it was taken."""
        return self._end == self._received and not self._held

    def check(self, offset: int, length: int, *, ends: bool) -> None:
        """Refuse bytes that contradict the end.

        Raises:
            MalformedError: they lie beyond an end that arrived, or name another end.
        """
        stop = offset + length
        if self._end is not None and (stop > self._end or (ends and stop != self._end)):
            raise MalformedError("upstream bytes come after their end")
        if ends and stop < self._received:
            raise MalformedError("upstream ends before bytes that have arrived")

    def wanted(self, offset: int, length: int) -> int:
        """How many bytes of such a piece ``accept`` would take now; 0 for a repetition and for a gap."""
        if offset > self._received or self._end is not None:
            return 0
        return max(0, min(offset + length - self._received, self._limit - len(self._held)))

    def accept(self, offset: int, data: bytes, *, at_most: int) -> int:
        """Take the bytes that are new and fit, at most ``at_most``, and say how many they are."""
        count = min(self.wanted(offset, len(data)), at_most)
        start = self._received - offset
        if count > 0:
            self._held += memoryview(data)[start : start + count]
            self._received += count
        return count

    def end_at(self, offset: int) -> bool:
        """Note the end once every byte before it has arrived, and say whether they have."""
        if self._end is None and self._received == offset:
            self._end = offset
        return self._end == offset

    def take(self, at_most: int) -> bytes:
        """Remove the next bytes for the server."""
        data = bytes(self._held[:at_most])
        del self._held[:at_most]
        return data


class Downstream:
    """Downstream bytes from the first that isn't acknowledged on.

    Args:
        limit: bytes held at most.
    """

    def __init__(self, limit: int = DOWNSTREAM_LIMIT) -> None:
        self._limit = limit
        self._held = bytearray()
        self._acknowledged = 0

    @property
    def acknowledged(self) -> int:
        """Bytes before this offset are forgotten."""
        return self._acknowledged

    @property
    def end(self) -> int:
        """The offset after the last byte that came from the server."""
        return self._acknowledged + len(self._held)

    @property
    def held(self) -> int:
        """Bytes that are kept."""
        return len(self._held)

    @property
    def room(self) -> int:
        """Bytes that may be appended."""
        return self._limit - len(self._held)

    def append(self, data: bytes) -> None:
        """Keep what the server sent; the caller has asked for ``room``."""
        self._held += data

    def available(self, read_at: int) -> int:
        """How many bytes are there from this offset on; 0 before ``acknowledged`` and beyond the end."""
        return max(0, self.end - read_at) if read_at >= self._acknowledged else 0

    def read(self, read_at: int, at_most: int) -> bytes:
        """Copy bytes from this offset on, which is not before ``acknowledged``."""
        start = read_at - self._acknowledged
        return bytes(self._held[start : start + at_most])

    def acknowledge(self, offset: int) -> int:
        """Forget the bytes before this offset and say how many they were; an older offset changes nothing.

        Raises:
            MalformedError: no such bytes have come yet.
        """
        if offset > self.end:
            raise MalformedError("bytes are acknowledged that were never sent")
        count = max(0, offset - self._acknowledged)
        del self._held[:count]
        self._acknowledged += count
        return count

    def forget(self) -> int:
        """Drop what is held, since nobody will ask again, and say how many bytes it was."""
        return self.acknowledge(self.end)
