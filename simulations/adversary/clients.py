"""A client as far as its guards: what it keeps and enters by over months, without packets or whole paths.

Who can be reached is decided outside; every decision of the client is ``onionpath.path``'s.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field

from onionpath.crypto.identity import RelayId
from onionpath.directory.directory import Directory, Relay
from onionpath.injected import UnixTime
from onionpath.path.candidates import Candidates
from onionpath.path.choose import WeightTable
from onionpath.path.guards import Guards, NoneAllowed, after_directory, after_success, guard_for
from onionpath.path.roles import NO_CONSTRAINTS


@dataclass(frozen=True, slots=True)
class Offer:
    """What one directory offers all clients at one moment.

    Args:
        entries: who could be a guard.
        middles: who could be a middle.
        exits: all relays, since all of them serve, to draw from.
    """

    now: UnixTime
    entries: Candidates
    middles: Candidates
    exits: WeightTable

    @classmethod
    def of(cls, directory: Directory, now: UnixTime) -> Offer:
        """The offer of a directory that is valid now."""
        entries, middles = (
            Candidates.of(directory, position=position, constraints=NO_CONSTRAINTS, now=now)
            for position in (0, 1)
        )
        return cls(now, entries, middles, WeightTable.of(tuple(directory.relays.values())))


@dataclass(slots=True)
class Client:
    """Who keeps guards, from the first start on."""

    choice: random.Random
    guards: Guards = field(default_factory=Guards)

    def take(self, offer: Offer) -> None:
        """Take a directory into account."""
        self.guards = after_directory(self.guards, offer.entries, now=offer.now, choice=self.choice)

    def enter(self, offer: Offer, *, beside: Iterable[RelayId] = ()) -> RelayId | None:
        """The guard of a path that has these relays; the path works. None if they are related to all guards."""
        taken = offer.entries.taken_by(beside)
        found = guard_for(self.guards, offer.entries, taken=taken, now=offer.now)
        if isinstance(found, NoneAllowed):
            return None
        assert isinstance(found, Relay), found
        guard = found.relay_id
        self.guards = after_success(self.guards, guard, offer.entries, now=offer.now, choice=self.choice)
        return guard

    def enter_all(self, offer: Offer) -> frozenset[RelayId]:
        """The guards of many paths, whose exits rule out now this one and now that one of those in use.

        They are fewer than the client may use where its others are related to these: a small sample, with large
        families or crowded networks of addresses, has none that could stand in for them.
        """
        used: frozenset[RelayId] = frozenset()
        for _ in range(self.guards.numbers.in_use):
            guard = self.enter(offer, beside=used)
            if guard is None:
                break
            used |= {guard}
        return used
