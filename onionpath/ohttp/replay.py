"""A memory of answered requests, so that whoever carries one cannot have it carried out twice.

A request is taken if its Date is within the tolerance of our clock, and its ``enc`` is remembered for as long as that
Date could be taken. A full memory refuses; it never forgets what it still needs. It is lost when the process ends,
therefore Dates from before the start are refused; what remains open after a restart is a request whose sender's clock
ran ahead of ours. Source: RFC 9458 §6.5; docs/specs/ohttp.md §6.
"""

from __future__ import annotations

import math

from onionpath.errors import RefusedError
from onionpath.injected import UnixTime


class ReplayWindow:
    """Which requests were seen, in spans of ``tolerance_s`` by the time at which they may be forgotten.

    Args:
        started_at: nothing dated before is taken.
        tolerance_s: how far a Date may be from our clock, on either side.
        max_requests: how many are remembered, about 110 bytes each.
    """

    def __init__(
        self, *, started_at: UnixTime, tolerance_s: float = 60.0, max_requests: int = 100_000
    ) -> None:
        # A Date has whole seconds, so whoever asks in the second in which we started is refused as well.
        self._started_at = started_at
        self._tolerance_s = tolerance_s
        self._max_requests = max_requests
        self._seen: dict[int, set[bytes]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._seen.values()))

    def admit(self, enc: bytes, date: UnixTime, *, now: UnixTime) -> None:
        """Remember a request that opened.

        Raises:
            RefusedError: ``reason`` is ``date``, ``replay`` or ``full``.
        """
        if date < self._started_at or abs(now - date) > self._tolerance_s:
            raise RefusedError("the request's Date is not in the window", reason="date")
        self._forget(now)
        if any(enc in seen for seen in self._seen.values()):
            raise RefusedError("the request was answered before", reason="replay")
        if len(self) >= self._max_requests:
            raise RefusedError("no more requests can be remembered", reason="full")
        self._seen.setdefault(self._span(date + self._tolerance_s) + 1, set()).add(enc)

    def _forget(self, now: UnixTime) -> None:
        for span in [span for span in self._seen if span <= self._span(now)]:
            del self._seen[span]

    def _span(self, when: float) -> int:
        return math.floor(when / self._tolerance_s)
