"""Tokens of streams that are over: a late or repeated OPEN of one must not dial a second time.

Spec: docs/specs/stream.md §4.7.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import islice

from onionpath.onion.statuses import Reason

# A client doesn't repeat an OPEN later than 120 s; the rest is for what is still under way.
REMEMBER_S = 180.0
# 360 streams a second, at about 250 bytes each 16 MB.
MAX_FORGOTTEN = 65_536


@dataclass(frozen=True, slots=True)
class _Memory:
    until: float
    reason: Reason
    link: int


class Forgotten:
    """Remembers tokens and what to answer them, oldest first.

    Args:
        limit: tokens remembered at most, together with those that the caller counts in; a quarter of them for one
            link, so that none can have all others refused.
        remember_s: seconds.
    """

    def __init__(self, *, limit: int = MAX_FORGOTTEN, remember_s: float = REMEMBER_S) -> None:
        self._limit = limit
        self._remember_s = remember_s
        self._tokens: dict[bytes, _Memory] = {}
        self._per_link: Counter[int] = Counter()

    def __len__(self) -> int:
        return len(self._tokens)

    def add(self, token: bytes, reason: Reason, *, link: int, now: float) -> None:
        """Answer this token, which came over that link, with that reason from now on; the first reason stays."""
        if token not in self._tokens:
            self._tokens[token] = _Memory(now + self._remember_s, reason, link)
            self._per_link[link] += 1

    def reason(self, token: bytes) -> Reason | None:
        """What to answer a token, if it is remembered."""
        memory = self._tokens.get(token)
        return memory.reason if memory else None

    def has_room_beside(self, open_streams: int, *, of_link: int, link: int, now: float) -> bool:
        """Whether this link can open one more stream which is later remembered; drops tokens whose time is over.

        Args:
            open_streams, of_link: open now over all links, and over this one.
        """
        # A few at each opening are enough, since an opening adds one; nobody waits for a long sweep.
        for token, memory in list(islice(self._tokens.items(), 64)):
            if memory.until <= now:
                self._drop(token, memory.link)
        return (
            len(self._tokens) + open_streams < self._limit
            and self._per_link[link] + of_link < self._limit // 4
        )

    def _drop(self, token: bytes, link: int) -> None:
        del self._tokens[token]
        self._per_link[link] -= 1
        if not self._per_link[link]:
            del self._per_link[link]
