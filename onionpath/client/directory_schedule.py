"""When a client fetches a new directory, and from whom; decisions only."""

from __future__ import annotations

import random
from typing import Final, NamedTuple

from onionpath.directory.directory import Directory
from onionpath.directory.document import Document
from onionpath.directory.trust import TrustRoot
from onionpath.injected import UnixTime
from onionpath.link.neighbour import Neighbour

FETCH_TIMEOUT_S = 30.0
# After a refresh failed with everybody asked.
RETRY_S = 20.0
# Spreads clients over the time after a document turns stale, so that they don't all ask in one second.
JITTER_S = 30.0
# Relays asked without a path, before the authorities are.
MIRRORS_ASKED = 3
# Each new document is asked for over one path of each of these keys, so that no relay learns who is interested and
# none alone decides what we see.
ISOLATIONS: Final = ("directory 0", "directory 1")


class Source(NamedTuple):
    """Somebody who is asked without a path."""

    neighbour: Neighbour
    is_authority: bool

    def __str__(self) -> str:
        return f"the {'authority' if self.is_authority else 'relay'} at {self.neighbour}"


def sources(root: TrustRoot, directory: Directory | None, *, choice: random.Random) -> list[Source]:
    """Whom a client asks that has no path, in this order, until one has what is fresh.

    Relays first, where some are known: the authorities are few, and everybody knows who they are.
    """
    relays = list(directory.relays.values()) if directory is not None else []
    mirrors = choice.sample(relays, min(MIRRORS_ASKED, len(relays)))
    authorities = choice.sample(root.authorities, len(root.authorities))
    return [Source(Neighbour.of_relay(each.descriptor), False) for each in mirrors] + [
        Source(Neighbour.of_authority(each), True) for each in authorities
    ]


def refresh_in_s(
    document: Document, *, now: UnixTime, choice: random.Random, is_confirmed: bool = True
) -> float:
    """How long to wait, with this document as the newest, before asking for the next.

    Args:
        is_confirmed: whether two have been asked for it; otherwise a second one is, soon.

    Until some time after it turns stale. When it is stale already, because a refresh has failed, it is tried again
    soon; a network of short periods soon in its own measure.
    """
    period_s = document.fresh_until - document.valid_from
    if not is_confirmed:
        return min(RETRY_S, period_s / 4)
    jitter_s = choice.random() * min(JITTER_S, period_s / 2)
    return max(min(RETRY_S, period_s / 4), document.fresh_until - now + jitter_s)
