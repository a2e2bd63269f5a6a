"""How many polls of a stream wait in line somewhere instead of travelling, and so are too many.

Whatever a path cannot carry at once waits in front of its narrowest link, mostly the client's own, and with it all else
that goes over that link. The time that a full reply takes shows it: of ``width`` polls, the part
``1 - shortest / time`` stands in line (the idea of TCP Vegas, Brakmo and Peterson 1995). A few keep the link busy.
"""

from __future__ import annotations

# In line: below the first there is room for one poll more, above the second there is one too many. Four large replies
# are half a megabyte, a sixth of a second at 3 MB/s.
TOO_FEW, TOO_MANY = 2.0, 4.0
# For so long the shortest time counts; a path may have become longer since. One that is kept in line all the time would
# never be seen empty, but the line is short.
REMEMBER_S = 20.0


class PollQueue:
    """What the times of full large replies say; ``now`` is in seconds of a clock that never goes back.

    Delays that come and go look like a line: where they are half of the whole time, a third of the speed is lost.
    """

    def __init__(self) -> None:
        self._shortest_s = float("inf")
        self._next_s = float("inf")  # of the current span, to become the shortest when it is over
        self._span_ends_at = 0.0

    def wish(self, *, width: int, took_s: float, now: float) -> int:
        """A full reply took so long: polls to add to the width, which are 1, 0 or -1."""
        self._remember(took_s, now)
        in_line = width * (1 - self._shortest_s / took_s) if took_s > 0 else 0.0
        return (in_line < TOO_FEW) - (in_line > TOO_MANY)

    def _remember(self, took_s: float, now: float) -> None:
        if now >= self._span_ends_at:
            self._shortest_s, self._next_s = min(self._next_s, took_s), took_s
            self._span_ends_at = now + REMEMBER_S
        self._next_s = min(self._next_s, took_s)
        self._shortest_s = min(self._shortest_s, took_s)
