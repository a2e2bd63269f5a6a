"""Tokens of streams that are over: a late or repeated OPEN of one must not dial a second time.

Spec: docs/specs/stream.md §4.7.
"""

from __future__ import annotations

from itertools import islice

from onionpath.onion.statuses import Reason

# A client doesn't repeat an OPEN later than 120 s; the rest is for what is still under way.
REMEMBER_S = 180.0
# 360 streams a second, at about 200 bytes each 13 MB.
MAX_FORGOTTEN = 65_536


class Forgotten:
    """Remembers tokens and what to answer them, oldest first.

    Args:
        limit: tokens remembered at most, together with those that the caller counts in.
        remember_s: seconds.
    """

    def __init__(self, *, limit: int = MAX_FORGOTTEN, remember_s: float = REMEMBER_S) -> None:
        self._limit = limit
        self._remember_s = remember_s
        self._tokens: dict[bytes, tuple[float, Reason]] = {}

    def __len__(self) -> int:
        return len(self._tokens)

    def add(self, token: bytes, reason: Reason, *, now: float) -> None:
        """Answer this token with that reason from now on; the first reason stays."""
        self._tokens.setdefault(token, (now + self._remember_s, reason))

    def reason(self, token: bytes) -> Reason | None:
        """What to answer a token, if it is remembered."""
        entry = self._tokens.get(token)
        return entry[1] if entry else None

    def has_room_beside(self, open_streams: int, *, now: float) -> bool:
        """Whether one more stream can be opened and later remembered; drops the tokens whose time is over."""
        # A few at each opening are enough, since an opening adds one; nobody waits for a long sweep.
        for token, (until, _) in list(islice(self._tokens.items(), 64)):
            if until <= now:
                del self._tokens[token]
        return len(self._tokens) + open_streams < self._limit
