"""Which relays a client could keep as guards or middles at this moment, and which of them belong together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from onionpath.crypto.identity import RelayId
from onionpath.injected import UnixTime
from onionpath.path.constraints import Constraints, Taken
from onionpath.path.relays import ListedRelay, RelayList
from onionpath.path.roles import Purpose


@dataclass(frozen=True, slots=True)
class Candidates:
    """A directory as the choice of guards, or of middles, sees it.

    Args:
        listed: all relays of a directory that is valid now.
        excluded: those that the application doesn't want there.
        usable: those that may stand there now.
        distinct_subnets: whether relays of one network are related.
    """

    listed: Mapping[RelayId, ListedRelay]
    excluded: frozenset[RelayId]
    usable: frozenset[RelayId]
    distinct_subnets: bool

    @classmethod
    def of(
        cls, directory: RelayList, *, position: int, constraints: Constraints, now: UnixTime
    ) -> Candidates:
        """What this directory offers an application with these constraints for a position, 0 for guards."""
        purpose = Purpose(constraints=constraints)
        relays = directory.relays.values()
        excluded = frozenset(
            relay.relay_id
            for relay in relays
            if purpose.refusal(relay, position, hops=directory.hops) is not None
        )
        usable = frozenset(
            relay.relay_id
            for relay in relays
            if relay.weight > 0 and relay.descriptor.packet_key(now) is not None
        )
        return cls(directory.relays, excluded, usable - excluded, directory.distinct_subnets)

    def taken_by(self, relays: Iterable[RelayId]) -> Taken:
        """What these relays rule out for others; one that is not listed rules out nothing."""
        listed = [self.listed[relay_id] for relay_id in relays if relay_id in self.listed]
        return Taken.by(listed, distinct_subnets=self.distinct_subnets)

    def apart(self, order: Iterable[RelayId], count: int) -> tuple[RelayId, ...]:
        """The first ``count`` that are pairwise unrelated; related ones fill up, in order, where those are too few."""
        chosen: list[RelayId] = []
        related: list[RelayId] = []
        for relay_id in order:
            if len(chosen) == count:
                break
            is_apart = self.taken_by(chosen).refusal(self.listed[relay_id].descriptor) is None
            (chosen if is_apart else related).append(relay_id)
        return (*chosen, *related)[:count]
