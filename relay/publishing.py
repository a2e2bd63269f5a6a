"""What each authority has of a relay's descriptor, and when one needs it or a newer one; decisions only.

Authorities list a descriptor that a majority of them knows, so all are given the same bytes: a descriptor is made
anew when it changes or grows old, and not because somebody could not be reached.
``relay/network_keeper.py`` carries it out over sockets, the simulations' keeper in virtual time.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from onionpath.crypto.identity import RelayId
from onionpath.directory.directory import Directory
from onionpath.directory.trust import Authority, TrustRoot
from onionpath.injected import UnixTime

# As long as too few have us we are of no use, so it is tried often; a second is nothing to an authority.
FIRST_RETRY_S = 0.25
RETRY_S = 20.0
# Once enough have us, whoever is down may take his time: when he returns, all relays come within this.
LEFT_OUT_RETRY_S = 60.0
# Each pause is up to so much longer or shorter, so that relays don't come back to an authority all at once.
RETRY_JITTER = 0.25
# Clocks round: a pause that ends a hair too early must not be followed by one of length zero, again and again.
SHORTEST_PAUSE_S = 0.01
# Well below the 24 h at which a descriptor is refused, and no divisor of an epoch: at the boundary itself our next key
# does not exist yet.
PUBLISH_EVERY_S = 5 * 3_600.0
# How often a relay that has no document at all publishes once more: the authority may have forgotten it.
PUBLISH_UNLISTED_S = 60.0


class Failure(Enum):
    """Why an authority has not taken a descriptor."""

    UNREACHABLE = "unreachable"
    BUSY = "busy"
    REFUSED = "refused"
    PROTOCOL = "broke_protocol"
    BUG = "bug"


@dataclass(slots=True)
class _Standing:
    """Where one authority stands with our newest descriptor."""

    has_it: bool = False
    next_at: float = 0.0  # Unix time
    retry_s: float = FIRST_RETRY_S
    failure: Failure | None = None


class Publishing:
    """``made`` once for each new descriptor; then ``due``, with ``took`` or ``failed`` for each, and ``pause_s``.

    Args:
        choice: spreads what is tried again.
    """

    def __init__(self, *, choice: random.Random) -> None:
        self._choice = choice
        self._newest_at: UnixTime | None = None  # when the newest descriptor was made that anybody has
        self._made_at: UnixTime | None = None  # when the one was made that all shall have
        self._standings: dict[bytes, _Standing] = {}  # by the authority's public key
        self._failures: Counter[str] = Counter()
        self._missed_in = 0  # the number of the last document that should have listed us

    @property
    def failures(self) -> Mapping[str, int]:
        """How often a descriptor was not taken, by named reason."""
        return dict(self._failures)

    def make_in_s(self, *, now: UnixTime) -> float:
        """How long to wait before the next descriptor is made.

        Descriptors have whole seconds, and an authority takes only what is newer than what it has.
        """
        return 0.0 if self._newest_at is None else max(0.0, self._newest_at + 1 - now)

    def made(self, published_at: UnixTime) -> None:
        """Every authority shall have the descriptor made then, at once."""
        self._newest_at = self._made_at = published_at
        for standing in self._standings.values():
            standing.has_it, standing.next_at, standing.retry_s = False, 0.0, FIRST_RETRY_S

    def due(self, root: TrustRoot, *, now: UnixTime) -> list[Authority]:
        """Which of these authorities are to be given the descriptor now."""
        return [one for one in root.authorities if self._is_due(self._standing(one), now)]

    def needs_newer(self, authority: Authority) -> bool:
        """Whether it refused what we gave it last: perhaps it has one that is newer by our clock before a restart."""
        return self._standing(authority).failure is Failure.REFUSED

    def took(self, authority: Authority, published_at: UnixTime) -> None:
        """It has the descriptor made then."""
        standing = self._standing(authority)
        standing.has_it, standing.failure = True, None
        self._newest_at = max(self._newest_at or published_at, published_at)

    def failed(self, authority: Authority, failure: Failure, root: TrustRoot, *, now: UnixTime) -> bool:
        """It has not taken it; says whether that is news. Each pause is twice as long as the one before."""
        standing = self._standing(authority)
        is_news, standing.failure = standing.failure is not failure, failure
        self._failures[failure.value] += 1
        jitter = 1 + RETRY_JITTER * (2 * self._choice.random() - 1)
        standing.next_at = now + standing.retry_s * jitter
        longest_s = RETRY_S if self.is_under_way(root) else LEFT_OUT_RETRY_S
        standing.retry_s = min(longest_s, 2 * standing.retry_s)
        return is_news

    def is_under_way(self, root: TrustRoot) -> bool:
        """Whether too few authorities have our newest descriptor for a document that lists us."""
        return sum(self._standing(one).has_it for one in root.authorities) < root.threshold

    def is_old(self, *, now: UnixTime, has_directory: bool) -> bool:
        """Whether it is time for a newer descriptor."""
        return self._old_in_s(now, has_directory=has_directory) <= 0

    def pause_s(self, root: TrustRoot, *, now: UnixTime, has_directory: bool) -> float:
        """How long there is nothing to do, unless the descriptor changes."""
        waiting = [one for one in map(self._standing, root.authorities) if not one.has_it]
        ends = [standing.next_at - now for standing in waiting]
        return max(SHORTEST_PAUSE_S, min([self._old_in_s(now, has_directory=has_directory), *ends]))

    def is_missed_by(self, directory: Directory, root: TrustRoot, *, ours: RelayId, now: UnixTime) -> bool:
        """Whether this document lacks us, so that we publish once more; once for each document.

        An authority that lost our descriptor, or did not reach us, is told again.
        """
        number = directory.document.number
        if self.is_under_way(root) or ours in directory.relays or number <= self._missed_in:
            return False
        if not directory.is_fresh(now):
            return False
        self._missed_in = number
        return True

    def _standing(self, authority: Authority) -> _Standing:
        return self._standings.setdefault(authority.identity, _Standing())

    def _is_due(self, standing: _Standing, now: UnixTime) -> bool:
        return not standing.has_it and standing.next_at <= now

    def _old_in_s(self, now: UnixTime, *, has_directory: bool) -> float:
        if self._made_at is None:
            return 0.0
        return self._made_at + (PUBLISH_EVERY_S if has_directory else PUBLISH_UNLISTED_S) - now
