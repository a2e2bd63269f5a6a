"""A client's choices over days: the production rules put together as the specifications say, without packets.

Who can be reached, answers, or kills is decided outside; every decision of the client is ``onionpath.path``'s.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from onionpath.crypto.identity import RelayId
from onionpath.directory.directory import Directory, Relay
from onionpath.injected import UnixTime
from onionpath.path.blame import NOTHING_AVOIDED, Avoided
from onionpath.path.candidates import Candidates
from onionpath.path.choose import Chooser, Path, WeightTable
from onionpath.path.guard_numbers import MIDDLE_NUMBERS, MiddleNumbers
from onionpath.path.guards import Guards, after_directory, after_success, guard_for, in_use
from onionpath.path.middles import Middles, renew_middles, usable_middles
from onionpath.path.roles import NO_CONSTRAINTS, Purpose
from onionpath.service.calls import ServiceId


@dataclass(frozen=True, slots=True)
class Offer:
    """What one directory offers all clients at one moment.

    Args:
        guards, middles: who could be one.
        exits: those that serve streams, to draw from.
    """

    now: UnixTime
    guards: Candidates
    middles: Candidates
    exits: WeightTable
    chooser: Chooser

    @classmethod
    def of(cls, directory: Directory, now: UnixTime) -> Offer:
        """The offer of a directory that is valid now."""
        guards, middles = (
            Candidates.of(directory, position=position, constraints=NO_CONSTRAINTS, now=now)
            for position in (0, 1)
        )
        exits = [relay for relay in directory.relays.values() if relay.weight > 0]
        return cls(now, guards, middles, WeightTable.of(exits), Chooser(directory))


@dataclass(slots=True)
class Client:
    """Who keeps guards and middles, from the first start on."""

    choice: random.Random
    guards: Guards = field(default_factory=Guards)
    middles: Middles = ()
    middle_numbers: MiddleNumbers = MIDDLE_NUMBERS

    def take(self, offer: Offer) -> None:
        """Take a directory into account: guards first, since middles are drawn beside them."""
        self.take_guards(offer)
        self.middles = renew_middles(
            self.middles,
            offer.middles,
            guards=in_use(self.guards, offer.guards),
            now=offer.now,
            choice=self.choice,
            numbers=self.middle_numbers,
        )

    def take_guards(self, offer: Offer) -> None:
        """The same for experiments that end at the guard."""
        self.guards = after_directory(self.guards, offer.guards, now=offer.now, choice=self.choice)

    def enter(self, offer: Offer, *, beside: Iterable[RelayId] = ()) -> RelayId:
        """The guard of a path that has these relays; the path works."""
        guard = self._guard(offer, beside)
        self.guards = after_success(self.guards, guard, offer.guards, now=offer.now, choice=self.choice)
        return guard

    def enter_all(self, offer: Offer) -> tuple[RelayId, ...]:
        """The guards of many paths, whose exits rule out now this one and now that one of those in use."""
        used: list[RelayId] = []
        for _ in range(self.guards.numbers.in_use):
            used.append(self.enter(offer, beside=used))
        return tuple(used)

    def draw(
        self, offer: Offer, *, excluded: Collection[RelayId] = (), avoided: Avoided = NOTHING_AVOIDED
    ) -> Path:
        """A path that begins with the first guard and goes on over a sticky middle."""
        purpose = Purpose(
            serves=ServiceId.STREAM,
            guards=frozenset({self._guard(offer, ())}),
            middles=usable_middles(self.middles, offer.middles, now=offer.now),
        )
        return offer.chooser.choose(
            purpose, choice=self.choice, now=offer.now, excluded=excluded, avoided=avoided
        )

    def _guard(self, offer: Offer, beside: Iterable[RelayId]) -> RelayId:
        found = guard_for(self.guards, offer.guards, taken=offer.guards.taken_by(beside), now=offer.now)
        assert isinstance(found, Relay), found
        return found.relay_id
