"""Which relays hold which share of the accounts' ring, by one signed document.

Spec: docs/specs/replication.md §1.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from onionpath.crypto.identity import RelayId
from onionpath.crypto.tags import digest
from onionpath.directory.document import Document
from onionpath.directory.swarms import RING, account_position, members
from onionpath.swarm.arcs import WHOLE_RING, Arc
from onionpath.swarm.operations import AccountId


class Share(NamedTuple):
    """An arc with the relays that hold it; nobody holds what no swarm is there for."""

    arc: Arc
    members: frozenset[RelayId]


def name_of(members: frozenset[RelayId]) -> bytes:
    """8 bytes by which members tell each other for whom they take a swarm."""
    return digest(b"".join(sorted(members)))[:8]


def position_of(account: AccountId) -> int:
    """Where an account of 33 bytes lies on the ring."""
    return account_position(account[1:])


@dataclass(frozen=True, slots=True)
class Layout:
    """All swarms of one document.

    Args:
        number: the document's.
        shares: cover the whole ring, ascending.
        listed: all relays of the document, those that store nothing too: nobody else can be asked.
    """

    number: int
    shares: tuple[Share, ...]
    listed: frozenset[RelayId] = field(repr=False)

    @classmethod
    def of_document(cls, document: Document) -> Layout:
        """The swarms that a verified document assigns."""
        listed = frozenset(relay.relay_id for relay in document.relays)
        return cls.of_swarms(document.number, members(document), listed)

    @classmethod
    def of_swarms(
        cls, number: int, swarms: Mapping[int, tuple[RelayId, ...]], listed: frozenset[RelayId]
    ) -> Layout:
        """The same of swarm ids and their members."""
        by_id = {swarm: frozenset(relays) for swarm, relays in sorted(swarms.items())}
        return cls(number, tuple(Share(*each) for each in _cut(by_id)), listed)

    def share_at(self, position: int) -> Share:
        """Who holds the account there."""
        return self.shares[bisect_right(self.shares, position, key=lambda share: share.arc.start) - 1]

    def within(self, whole: Arc) -> Iterator[Share]:
        """The shares of an arc, cut to it."""
        for share in self.shares:
            shared = share.arc.overlap(whole)
            if shared is not None:
                yield Share(shared, share.members)


def _cut(swarms: Mapping[int, frozenset[RelayId]]) -> Iterator[tuple[Arc, frozenset[RelayId]]]:
    """The ring, cut where an account is as near to two swarms: such a one belongs to the left."""
    ids = list(swarms)
    if len(ids) < 2:  # one swarm has everything, none has nothing
        yield WHOLE_RING, swarms[ids[0]] if ids else frozenset()
        return
    ends = [one + (two - one) // 2 + 1 for one, two in zip(ids, [*ids[1:], ids[0] + RING], strict=True)]
    over = ends[-1] - RING  # where the last one's share ends beyond zero; negative if it ends before
    start = max(over, 0)
    if over > 0:
        yield Arc(0, over), swarms[ids[-1]]
    for swarm, end in zip(ids, ends, strict=True):
        if start < min(end, RING):
            yield Arc(start, min(end, RING)), swarms[swarm]
        start = end
    if over < 0:
        yield Arc(ends[-1], RING), swarms[ids[0]]
