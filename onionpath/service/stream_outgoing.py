"""The client's upstream bytes until the exit has them: what is to be sent, and what must be sent again.

Spec: docs/specs/stream.md §5.
"""

from __future__ import annotations

from onionpath.errors import MalformedError

# As much as the exit keeps for a stream on its way up.
UPSTREAM_WINDOW = 1024 * 1024


class Outgoing:
    """Upstream bytes that the exit hasn't confirmed, and which ranges of them must be sent now."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._confirmed = 0
        self._sent = 0
        self._again: list[tuple[int, int]] = []
        self.ended = False
        self._end_confirmed = False

    @property
    def room(self) -> int:
        """Bytes that may be added."""
        return UPSTREAM_WINDOW - len(self._held)

    @property
    def end(self) -> int:
        """The offset after the last byte added."""
        return self._confirmed + len(self._held)

    @property
    def is_confirmed(self) -> bool:
        """Whether the exit has everything, the end included."""
        return not self._held and (self._end_confirmed or not self.ended)

    def add(self, data: bytes) -> None:
        """Take bytes from the program; the caller has asked for ``room``."""
        self._held += data

    def next_range(self, at_most: int) -> tuple[int, int] | None:
        """The next bytes to send, as offsets; they count as sent from here on."""
        while self._again:
            start, stop = self._again.pop(0)
            start = max(start, self._confirmed)
            if start < stop:
                if stop - start > at_most:
                    self._again.insert(0, (start + at_most, stop))
                return start, min(stop, start + at_most)
        if self._sent < self.end:
            start, self._sent = self._sent, min(self.end, self._sent + at_most)
            return start, self._sent
        return None

    def read(self, start: int, stop: int) -> bytes:
        """The bytes of a range, without what has been confirmed since the range was chosen."""
        held = max(start, self._confirmed) - self._confirmed
        return bytes(self._held[held : max(held, stop - self._confirmed)])

    def confirm(self, received: int, *, with_end: bool) -> None:
        """The exit has every byte before ``received``; ``with_end`` if the call carried the end as well.

        Raises:
            MalformedError: it claims bytes that were never sent.
        """
        if received > self._sent:
            raise MalformedError("the exit confirms bytes that were never sent")
        if received > self._confirmed:
            del self._held[: received - self._confirmed]
            self._confirmed = received
        self._end_confirmed |= with_end and received == self.end

    def send_again(self, start: int, stop: int) -> None:
        """A range didn't arrive, or not whole."""
        if start < stop:
            self._again.append((start, stop))
            self._again.sort()
