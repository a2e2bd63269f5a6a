"""Networks whose relays take Session's onions, and what is told of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from onionpath.crypto.identity import RelayId
from onionpath.directory.descriptor import Descriptor
from onionpath.directory.directory import Directory
from onionpath.swarm.nodes import Roster
from tests.directory.networks import descriptor, door, network


def session_relay(name: int, **changes: object) -> Descriptor:
    """A relay with a Session door at an IPv4 address of its own."""
    return descriptor(name, **{"session": door(name), **changes})


def directory_of(swarms: dict[int, int | None]) -> Directory:
    """Relays with a Session door, by name, and the swarm of each."""
    relays = {name: session_relay(name) for name in swarms}
    return with_swarms(relays.values(), {relays[name].relay_id: swarms[name] for name in swarms})


def with_swarms(relays: Collection[Descriptor], swarms: Mapping[RelayId, int | None]) -> Directory:
    """A directory of these relays, with the swarm of each."""
    listed = network(relays).document.relays
    listings = tuple(replace(each, swarm=swarms[each.relay_id]) for each in listed)
    return network(relays, relays=listings).directory()


def roster_of(swarms: dict[int, int | None]) -> Roster:
    return Roster.of(directory_of(swarms))
