"""When a relay publishes itself and fetches documents, and with whom; decisions only.

``relay/network_keeper.py`` carries them out over sockets, the simulations' keeper in virtual time.
"""

from __future__ import annotations

import random

from onionpath.crypto.identity import RelayId
from onionpath.directory.directory import Directory
from onionpath.directory.document import Document
from onionpath.directory.trust import TrustRoot
from onionpath.injected import UnixTime
from onionpath.link.neighbour import Neighbour

CALL_TIMEOUT_S = 30.0
# Without a directory a relay is of no use, so it asks often; a second is nothing to an authority.
FIRST_RETRY_S = 0.25
RETRY_S = 20.0
# Spreads relays over the time after a document turns stale, so that they don't all ask in one second.
JITTER_S = 30.0
# Relays that are asked when no authority has anything fresh.
MIRRORS_ASKED = 3
# Well below the 24 h at which a descriptor is refused, and no divisor of an epoch: at the boundary itself our next key
# does not exist yet.
PUBLISH_EVERY_S = 5 * 3_600.0
# How often a relay that has no document at all publishes once more: the authority may have forgotten it.
PUBLISH_UNLISTED_S = 60.0


# Fetching.


def sources(
    root: TrustRoot, directory: Directory | None, *, ours: RelayId, choice: random.Random
) -> list[Neighbour]:
    """Whom a relay asks for a document, in this order, until one has what is fresh.

    Authorities first, since they have it first and relays are few; then relays, but never ourselves.
    """
    authorities = choice.sample(root.authorities, len(root.authorities))
    others = [each for each in directory.relays.values() if each.relay_id != ours] if directory else []
    mirrors = choice.sample(others, min(MIRRORS_ASKED, len(others)))
    return [Neighbour.of_authority(each) for each in authorities] + [
        Neighbour.of_relay(each.descriptor) for each in mirrors
    ]


def first_fetch_in_s(directory: Directory | None, *, now: UnixTime, choice: random.Random) -> float:
    """How long a relay that starts with this directory waits before it asks: not at all unless it is fresh."""
    if directory is None or not directory.is_fresh(now):
        return 0.0
    return next_fetch_in_s(directory, now=now, choice=choice)


def next_fetch_in_s(directory: Directory | None, *, now: UnixTime, choice: random.Random) -> float:
    """How long a relay waits that has just asked everybody it needed to."""
    if directory is None:
        return FIRST_RETRY_S
    document = directory.document
    period_s = document.fresh_until - document.valid_from
    if document.is_fresh(now):
        # A little after the end, each relay at its own time.
        return document.fresh_until - now + choice.random() * min(JITTER_S, period_s / 20)
    return min(RETRY_S, period_s / 10)


def has_run_out(document: Document, now: UnixTime) -> bool:
    """Whether whoever it lists may be gone, and his address somebody else's: a relay forwards to nobody by it.

    A period after it expired, so that clients, who stop at once, find nobody less willing than they are.
    """
    return now >= document.valid_until + (document.fresh_until - document.valid_from)


# Publishing.


class Publishing:
    """What the authorities have of us, and when they need it anew.

    ``begin``, then ``retry_in_s`` after each round that left somebody out, then ``done``; and so on for ever.
    """

    def __init__(self) -> None:
        self._newest_at: UnixTime | None = None  # when the descriptor was made that all have
        self._is_under_way = True
        self._next_retry_s = FIRST_RETRY_S
        self._missed_in = 0  # the number of the last document that should have listed us

    @property
    def is_under_way(self) -> bool:
        """Whether somebody has yet to take our newest descriptor."""
        return self._is_under_way

    def begin(self, *, now: UnixTime) -> float:
        """Publish again; gives how long to wait before the descriptor is made.

        Descriptors have whole seconds, and an authority takes only what is newer than what it has.
        """
        self._is_under_way, self._next_retry_s = True, FIRST_RETRY_S
        return 0.0 if self._newest_at is None else max(0.0, self._newest_at + 1 - now)

    def retry_in_s(self) -> float:
        """How long to wait before those are asked again who did not take it: each time twice as long."""
        pause_s = self._next_retry_s
        self._next_retry_s = min(RETRY_S, 2 * pause_s)
        return pause_s

    def done(self, published_at: UnixTime, *, has_directory: bool) -> float:
        """All have the descriptor made then; gives how long to wait, unless it changes, before the next."""
        self._newest_at, self._is_under_way = published_at, False
        return PUBLISH_EVERY_S if has_directory else PUBLISH_UNLISTED_S

    def is_missed_by(self, directory: Directory, *, ours: RelayId, now: UnixTime) -> bool:
        """Whether this document lacks us, so that we publish once more; once for each document.

        An authority that lost our descriptor, or did not reach us, is told again.
        """
        number = directory.document.number
        if self._is_under_way or ours in directory.relays or number <= self._missed_in:
            return False
        if not directory.is_fresh(now):
            return False
        self._missed_in = number
        return True
