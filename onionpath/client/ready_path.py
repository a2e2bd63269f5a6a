"""A chosen path with the keys to seal for it, and what a path is for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from onionpath.crypto.identity import RelayId
from onionpath.directory.directory import Directory
from onionpath.errors import Edge, NoPathError
from onionpath.injected import UnixTime
from onionpath.onion.packets import Hop
from onionpath.path.choose import Path


class Need(NamedTuple):
    """What a path is for: which service its last hop must offer, to which port, and if it must be one exit."""

    service: int
    port: int | None = None
    exit: RelayId | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ReadyPath:
    """A chosen path with the keys to seal for it."""

    path: Path
    hops: tuple[Hop, ...]
    made_at: UnixTime

    @classmethod
    def of(cls, path: Path, *, now: UnixTime) -> ReadyPath:
        """This path with the keys of now.

        Raises:
            NoPathError: a relay has none.
        """
        hops = []
        for relay in path.relays:
            key = relay.descriptor.packet_key(now)
            if key is None:
                raise NoPathError("a relay was chosen that has no packet key for the present")
            hops.append(Hop(relay.relay_id, key.public, key.generation))
        return cls(path, tuple(hops), now)

    @property
    def guard(self) -> RelayId:
        """The relay that we connect to."""
        return self.hops[0].relay_id

    @property
    def exit(self) -> RelayId:
        """The relay that serves."""
        return self.hops[-1].relay_id

    @property
    def relays(self) -> tuple[RelayId, ...]:
        """All of them, first hop first."""
        return tuple(hop.relay_id for hop in self.hops)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What the next attempt of one call does without, because earlier ones failed there.

    Args:
        relays: they stand nowhere on it, if another path is possible.
        guards: they are first only if no other guard is.
    """

    relays: frozenset[RelayId] = field(default_factory=frozenset)
    guards: frozenset[RelayId] = field(default_factory=frozenset)

    def after(self, ready: ReadyPath, edge: Edge | None) -> LeftOut:
        """Leave out both ends of an edge; of a path on which nobody knows where, all of it. Spec: paths.md §3.6."""
        relays = ready.relays
        if edge is None:
            return LeftOut(self.relays | frozenset(relays[1:]), self.guards | {relays[0]})
        ends = {relays[hop] for hop in (edge.speaker, edge.about) if 0 <= hop < len(relays)}
        guards = self.guards | {relays[0]} if edge.speaker < 0 else self.guards
        return LeftOut(self.relays | (ends - {relays[0]}), guards)

    def allows(self, ready: ReadyPath) -> bool:
        """Whether a path has nothing of it."""
        return self.relays.isdisjoint(ready.relays) and ready.guard not in self.guards


NOTHING_LEFT_OUT = LeftOut()


def has_current_keys(directory: Directory, ready: ReadyPath, *, now: UnixTime) -> bool:
    """Whether each relay of the path still publishes the key that packets would be sealed to."""
    return all(_has_key(directory, hop, now) for hop in ready.hops)


def _has_key(directory: Directory, hop: Hop, now: UnixTime) -> bool:
    relay = directory.relays.get(hop.relay_id)
    key = None if relay is None else relay.descriptor.packet_key(now)
    return key is not None and key.generation == hop.generation
