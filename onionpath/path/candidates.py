"""Which relays a client could keep as guards or middles at this moment, and which of them belong together."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from onionpath.crypto.identity import RelayId
from onionpath.directory.directory import Directory, Relay
from onionpath.injected import UnixTime
from onionpath.path.constraints import Taken


@dataclass(frozen=True, slots=True)
class Candidates:
    """A directory as the choice of guards and middles sees it.

    Args:
        listed: all relays of a directory that is valid now.
        excluded: those that the program wants on no path.
        usable: those that may stand on one now.
        distinct_subnets: whether relays of one network are related.
    """

    listed: Mapping[RelayId, Relay]
    excluded: frozenset[RelayId]
    usable: frozenset[RelayId]
    distinct_subnets: bool

    @classmethod
    def of(cls, directory: Directory, *, excluded: Collection[RelayId], now: UnixTime) -> Candidates:
        """What this directory offers a program that excludes these relays."""
        usable = (
            relay.relay_id
            for relay in directory.relays.values()
            if relay.weight > 0
            and relay.relay_id not in excluded
            and relay.descriptor.packet_key(now) is not None
        )
        distinct_subnets = directory.document.parameters.distinct_subnets
        return cls(directory.relays, frozenset(excluded), frozenset(usable), distinct_subnets)

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
