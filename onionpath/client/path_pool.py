"""Ready paths, one set per isolation key; decisions only, no waiting.

A path is used again for everything that shares its key and need, until it fails or is ten minutes old. A relay that
somebody reported as broken is left out for a while; what a report proves is in docs/specs/onion-native.md §5.
"""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple

from onionpath.crypto.identity import RelayId
from onionpath.directory.directory import Directory
from onionpath.errors import Edge, MissingDirectoryError, NoPathError
from onionpath.injected import UnixTime
from onionpath.onion.packets import Answer, Hop
from onionpath.path.choose import Path, choose_path

# Tor's MaxCircuitDirtiness: long enough to be worth building, short enough not to link a day's requests.
PATH_LIFETIME_S = 600.0
# Long enough for a relay to restart; short, because a report proves no more than that an edge failed once.
AVOID_S = 60.0
MAX_PATHS = 256


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

    @property
    def exit(self) -> RelayId:
        """The relay that serves."""
        return self.hops[-1].relay_id


class PathPool:
    """Chooses paths and remembers the ones in use.

    Args:
        choice: unpredictable in the world (``random.SystemRandom``), seeded in simulations.
    """

    def __init__(self, choice: random.Random) -> None:
        self._choice = choice
        self._ready: OrderedDict[tuple[str, Need], ReadyPath] = OrderedDict()
        self._avoided: dict[RelayId, UnixTime] = {}

    def __len__(self) -> int:
        return len(self._ready)

    def ready(
        self,
        directory: Directory,
        need: Need,
        isolation: str,
        *,
        now: UnixTime,
        excluded: Collection[RelayId] = (),
    ) -> ReadyPath:
        """A path for this need that nothing with another isolation key uses.

        Raises:
            NoPathError: no path satisfies the constraints.
            MissingDirectoryError: the directory has expired.
        """
        if not directory.is_usable(now):
            raise MissingDirectoryError("the directory has expired and no newer one could be fetched")
        key = (isolation, need)
        ready = self._ready.pop(key, None)
        if ready is None or not self._may_be_used(ready, directory, excluded, now):
            ready = self._choose(directory, need, excluded, now)
        self._ready[key] = ready
        while len(self._ready) > MAX_PATHS:
            self._ready.popitem(last=False)
        return ready

    def retire(self, ready: ReadyPath, edge: Edge | None, *, now: UnixTime) -> None:
        """Never use this path again, and avoid both relays of the edge: either may be the one to blame."""
        for key in [key for key, value in self._ready.items() if value is ready]:
            del self._ready[key]
        for hop in () if edge is None else (edge.speaker, edge.about):
            if 0 <= hop < len(ready.hops):
                self._avoided[ready.hops[hop].relay_id] = UnixTime(now + AVOID_S)

    def answered(self, ready: ReadyPath, answer: Answer, *, now: UnixTime) -> None:
        """Take note of a genuine answer over this path, and of what its hold times say about those who carried it."""
        if answer.lying_edge is not None:
            self.retire(ready, answer.lying_edge, now=now)

    def _may_be_used(
        self, ready: ReadyPath, directory: Directory, excluded: Collection[RelayId], now: UnixTime
    ) -> bool:
        if now - ready.made_at >= PATH_LIFETIME_S:
            return False
        if any(hop.relay_id in excluded for hop in ready.hops):
            return False
        return has_current_keys(directory, ready, now=now)

    def _choose(
        self, directory: Directory, need: Need, excluded: Collection[RelayId], now: UnixTime
    ) -> ReadyPath:
        self._avoided = {relay: until for relay, until in self._avoided.items() if until > now}
        avoided = {*excluded, *self._avoided} - {need.exit}
        path = choose_path(
            directory,
            serves=need.service,
            port=need.port,
            required_exit=need.exit,
            excluded=avoided,
            choice=self._choice,
            now=now,
        )
        hops = []
        for relay in path.relays:
            key = relay.descriptor.packet_key(now)
            if key is None:
                raise NoPathError("a relay was chosen that has no packet key for the present")
            hops.append(Hop(relay.relay_id, key.public, key.generation))
        return ReadyPath(path, tuple(hops), now)


def has_current_keys(directory: Directory, ready: ReadyPath, *, now: UnixTime) -> bool:
    """Whether each relay of the path still publishes the key that packets would be sealed to."""
    return all(_has_key(directory, hop, now) for hop in ready.hops)


def _has_key(directory: Directory, hop: Hop, now: UnixTime) -> bool:
    relay = directory.relays.get(hop.relay_id)
    key = None if relay is None else relay.descriptor.packet_key(now)
    return key is not None and key.generation == hop.generation
