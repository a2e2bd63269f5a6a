"""When a relay fetches documents, and from whom; decisions only.

``relay/network_keeper.py`` carries them out over sockets, the simulations' keeper in virtual time. Which of the answers
is used, the ``Inquiry`` decides.
"""

from __future__ import annotations

import random

from onionpath.crypto.identity import RelayId
from onionpath.directory.directory import Directory
from onionpath.directory.document import Document, SeenDocument
from onionpath.directory.succession import Lineage, newest
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


# From whom.


def newest_root(root: TrustRoot, *known: Directory | SeenDocument | None) -> TrustRoot:
    """The version of the trust root that we have been led to: its authorities are asked and told.

    Args:
        root: of the file; stays as it is after a succession.
    """
    return newest(Lineage(root), *(each.lineage for each in known if each is not None)).root


def sources(
    root: TrustRoot, directory: Directory | None, *, ours: RelayId, choice: random.Random
) -> list[Neighbour]:
    """Whom a relay asks for a document, in this order, until enough have answered.

    Authorities first, since they have it first and relays are few; then relays, but never ourselves.
    """
    authorities = choice.sample(root.authorities, len(root.authorities))
    others = _others(directory, ours)
    mirrors = choice.sample(others, min(MIRRORS_ASKED, len(others)))
    return [Neighbour.of_authority(each) for each in authorities] + [
        Neighbour.of_relay(directory.relays[each].descriptor) for each in mirrors if directory
    ]


def count_sources(root: TrustRoot, directory: Directory | None, *, ours: RelayId) -> int:
    """How many there are that a relay could ask."""
    return len(root.authorities) + len(_others(directory, ours))


def _others(directory: Directory | None, ours: RelayId) -> list[RelayId]:
    return [each for each in directory.relays if each != ours] if directory else []


# When.


def first_fetch_in_s(directory: Directory | None, *, now: UnixTime, choice: random.Random) -> float:
    """How long a relay that starts with this directory waits before it asks: not at all unless it is fresh."""
    if directory is None or not directory.is_fresh(now):
        return 0.0
    return next_fetch_in_s(directory, now=now, choice=choice, is_confirmed=True)


def next_fetch_in_s(
    directory: Directory | None,
    *,
    now: UnixTime,
    choice: random.Random,
    is_confirmed: bool,
    is_denied: bool = False,
) -> float:
    """How long a relay waits that has just asked everybody it needed to.

    Args:
        is_confirmed: whether enough have answered.
        is_denied: whether two documents of the newest number exist, so that there is none to hope for soon.
    """
    if directory is None:
        return RETRY_S if is_denied else FIRST_RETRY_S
    document = directory.document
    period_s = document.fresh_until - document.valid_from
    if is_confirmed and document.is_fresh(now):
        # A little after the end, each relay at its own time.
        return document.fresh_until - now + choice.random() * min(JITTER_S, period_s / 20)
    return min(RETRY_S, period_s / 10)


def has_run_out(document: Document, now: UnixTime) -> bool:
    """Whether whoever it lists may be gone, and his address somebody else's: a relay forwards to nobody by it.

    A period after it expired, so that clients, who stop at once, find nobody less willing than they are.
    """
    return now >= document.valid_until + (document.fresh_until - document.valid_from)
