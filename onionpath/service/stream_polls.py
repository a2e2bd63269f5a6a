"""Which downstream bytes a client asks for next, in how many polls and of which size.

State: a width (polls to keep outstanding) and whether the stream is busy (asks for large replies).

    reply          effect
    full           the data keeps up: busy, one poll more, up to 32, unless some stand in line (``stream_queue``)
    short, empty   it doesn't: one poll less; at width 1 the stream is idle again and asks for small replies
    lost           half the width, once for all polls that were outstanding together
    empty early    in addition a pause, see ``stream_pause``

One poll more for every full reply doubles the width each round trip, which fills a long fast path in a few of
them; a stream that only waits costs its relay one small poll. Spec: docs/specs/stream.md §6.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from onionpath.service.stream import REPLY_OVERHEAD
from onionpath.service.stream_pause import Pause
from onionpath.service.stream_queue import PollQueue

MAX_WIDTH = 32  # polls; 32 × 127 KiB each 300 ms are 13 MB/s
# Five seconds less than a service may take, so that a poll ends by its own answer and not by a timeout.
IDLE_WAIT_MS = 20_000
# A poll behind the head is answered when it is full or becomes the head; waiting longer holds its
# relay's memory.
BEHIND_WAIT_MS = 5_000


@dataclass(frozen=True, slots=True)
class Poll:
    """One wish for the downstream bytes [read_at, read_at + at_most).

    Args:
        number: unique within its stream, rising.
        large: whether the reply needs the large class.
        wait_ms: how long the relay may wait for ``at_least`` bytes, in milliseconds.
    """

    number: int
    read_at: int
    at_least: int
    at_most: int
    large: bool
    wait_ms: int

    @property
    def stop(self) -> int:
        """The offset after the last byte wanted."""
        return self.read_at + self.at_most


class Polls:
    """Keeps the polls of one stream: call ``due`` after each change and at ``next_due_at``, send what it gives, report
    how it ended. ``now`` is in seconds of a clock that never goes back.

    Args:
        small_reply, large_reply: bytes that a reply of each class can carry, the stream's 24 included
            (``Geometry.reply_capacity``).
        max_width: polls outstanding at most.
    """

    def __init__(self, *, small_reply: int, large_reply: int, max_width: int = MAX_WIDTH) -> None:
        self._small = small_reply - REPLY_OVERHEAD
        self._large = large_reply - REPLY_OVERHEAD
        self._max_width = max_width
        self._width = 1
        self._busy = False
        self._next_number = 0
        self._halved_at = -1  # polls up to this number were outstanding when the width was last halved
        self._outstanding: dict[int, Poll] = {}
        self._sent_at: dict[int, float] = {}
        self._pause = Pause()
        self._queue = PollQueue()

    @property
    def width(self) -> int:
        """How many polls the stream keeps outstanding now."""
        return self._width

    @property
    def outstanding(self) -> int:
        """How many polls are under way."""
        return len(self._outstanding)

    def next_due_at(self, *, now: float) -> float | None:
        """Until when ``due`` gives nothing, since replies came early and empty; None without such a pause."""
        return self._pause.ends_at(now=now)

    def due(self, missing: Sequence[tuple[int, int]], *, now: float) -> list[Poll]:
        """The polls to send now, lowest bytes first; they count as outstanding from here on.

        Args:
            missing: ``Reassembly.missing()``. Its first byte, the head, is asked for whatever the width.
        """
        polls: list[Poll] = []
        if self._pause.ends_at(now=now) is not None:
            return polls
        head = missing[0][0] if missing else 0
        for start, stop in self._free(missing):
            while start < stop and (start == head or len(self._outstanding) < self._width):
                poll = self._poll(start, stop, is_head=start == head)
                self._outstanding[poll.number] = poll
                self._sent_at[poll.number] = now
                polls.append(poll)
                start = poll.stop
        return polls

    def answered(self, poll: Poll, length: int, *, now: float) -> None:
        """A reply came with that many of the poll's bytes; 0 if the wait passed without any."""
        self._outstanding.pop(poll.number, None)
        sent_at = self._sent_at.pop(poll.number, now)
        if length:
            self._pause.something_came()
        else:
            self._pause.nothing_came(asked_at=sent_at, wait_s=poll.wait_ms / 1000, now=now)
        if length >= poll.at_most:
            self._width = min(max(1, self._width + self._wish(poll, now - sent_at, now)), self._max_width)
            self._busy = True
        elif self._width > 1:
            self._width -= 1
        elif length <= self._small:
            self._busy = False

    def _wish(self, poll: Poll, took_s: float, now: float) -> int:
        """How many polls more the stream should have after a full reply."""
        if poll.large:
            return self._queue.wish(width=self._width, took_s=took_s, now=now)
        return 0 if self._busy else 1

    def lost(self, poll: Poll) -> None:
        """No reply came in time, or the path broke; its bytes will be asked for again."""
        self._outstanding.pop(poll.number, None)
        self._sent_at.pop(poll.number, None)
        if poll.number > self._halved_at:
            self._halved_at = self._next_number - 1
            self._queue = PollQueue()  # The stream may be on another path from here on.
            self._width = max(1, self._width // 2)

    def _poll(self, start: int, stop: int, *, is_head: bool) -> Poll:
        count = min(stop - start, self._large if self._busy else self._small)
        number, self._next_number = self._next_number, self._next_number + 1
        return Poll(
            number=number,
            read_at=start,
            at_least=1 if is_head else count,
            at_most=count,
            large=count > self._small,
            wait_ms=IDLE_WAIT_MS if is_head else BEHIND_WAIT_MS,
        )

    def _free(self, missing: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        """The missing ranges without what is already asked for."""
        asked = sorted((poll.read_at, poll.stop) for poll in self._outstanding.values())
        free = []
        for start, stop in missing:
            for low, high in asked:
                if low < stop and high > start:
                    if low > start:
                        free.append((start, low))
                    start = high
            if start < stop:
                free.append((start, stop))
        return free
