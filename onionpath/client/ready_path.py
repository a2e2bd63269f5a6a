"""A chosen path with the keys that its relays had then, and what a path is for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from onionpath.crypto.identity import RelayId
from onionpath.errors import Edge, NoPathError
from onionpath.injected import UnixTime
from onionpath.path.choose import Path
from onionpath.path.relays import RelayList


class Need(NamedTuple):
    """What a path is for.

    Args:
        service: that its last hop must offer; None for any.
        port: to which its last hop must connect.
        exit: the only relay that may be last.
        hops: how many relays it has; None for as many as the network says.
    """

    service: int | None
    port: int | None = None
    exit: RelayId | None = None
    hops: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ReadyPath:
    """A chosen path.

    Args:
        keys: to which packets for its relays were to be sealed when it was chosen.
    """

    path: Path
    keys: tuple[object, ...]
    made_at: UnixTime

    @classmethod
    def of(cls, path: Path, *, now: UnixTime) -> ReadyPath:
        """This path, with the keys of now.

        Raises:
            NoPathError: a relay has none.
        """
        keys = tuple(relay.descriptor.packet_key(now) for relay in path.relays)
        if None in keys:
            raise NoPathError("a relay was chosen that has no packet key for the present")
        return cls(path, keys, now)

    @property
    def guard(self) -> RelayId:
        """The relay that we connect to."""
        return self.path.relays[0].relay_id

    @property
    def exit(self) -> RelayId:
        """The relay that serves."""
        return self.path.relays[-1].relay_id

    @property
    def relays(self) -> tuple[RelayId, ...]:
        """All of them, first hop first."""
        return tuple(relay.relay_id for relay in self.path.relays)


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


def has_current_keys(listed: RelayList, ready: ReadyPath, *, now: UnixTime) -> bool:
    """Whether packets for each relay of the path are still to be sealed to the key that it had then."""
    return all(
        _key_of(listed, relay_id, now) == key for relay_id, key in zip(ready.relays, ready.keys, strict=True)
    )


def _key_of(listed: RelayList, relay_id: RelayId, now: UnixTime) -> object | None:
    relay = listed.relays.get(relay_id)
    return None if relay is None else relay.descriptor.packet_key(now)
