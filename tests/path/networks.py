"""Large networks for the tests of choice: relays crowded into few networks and families, without signatures."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from ipaddress import IPv6Address
from types import MappingProxyType

from onionpath.crypto.identity import RelayId
from onionpath.directory.address import Address
from onionpath.directory.descriptor import Descriptor
from onionpath.directory.directory import Directory, Relay
from onionpath.directory.parameters import Parameters
from tests.directory.networks import descriptor, identity, network


@lru_cache(maxsize=1)
def pattern() -> Descriptor:
    return descriptor(0)


@lru_cache(maxsize=4096)
def relay_id(name: int) -> RelayId:
    return identity(name).relay_id


def relay(name: int, weight: int = 1000, **changes: object) -> Relay:
    """A relay with everybody's packet keys, which choice doesn't look into."""
    changes = {"addresses": (Address(f"{20 + name // 200}.{name % 200}.0.1", 443),)} | changes
    return Relay(replace(pattern(), relay_id=relay_id(name), **changes), weight)  # type: ignore[arg-type]


def directory_of(relays: Sequence[Relay], *, parameters: Parameters | None = None) -> Directory:
    """A directory of these relays, of which no authority knows."""
    signed = network(parameters=parameters).directory()
    return replace(signed, relays=MappingProxyType({each.relay_id: each for each in relays}))


def crowded_directory(count: int, dice: random.Random, *, parameters: Parameters | None = None) -> Directory:
    """Relays with one or two addresses of every kind, and families that one or both sides declare."""
    families: dict[int, set[int]] = {name: set() for name in range(count)}
    for name in range(0, count, 3):
        other = dice.randrange(count)
        families[name].add(other)
        if dice.random() < 0.5:
            families[other].add(name)
    return directory_of(
        [
            relay(
                name,
                dice.randrange(0, 5000),
                addresses=tuple(dict.fromkeys(address(name, dice) for _ in range(dice.choice((1, 1, 2))))),
                family=tuple(sorted(relay_id(each) for each in families[name] - {name})),
            )
            for name in range(count)
        ],
        parameters=parameters,
    )


def address(name: int, dice: random.Random) -> Address:
    """IPv4, IPv6, or IPv4 inside IPv6, in one of some 40 networks of each kind."""
    v4 = 30 << 24 | dice.randrange(40) << 16 | name
    inside = dice.choice((None, 0x2002 << 112 | v4 << 80 | 1, 0x0064_FF9B << 96 | v4))
    v6 = 0x2A00 << 112 | dice.randrange(40) << 96 | 0x5EFE << 32 | v4 if dice.random() < 0.1 else None
    plain = 0x2A00 << 112 | dice.randrange(40) << 96 | name + 1
    if dice.random() < 0.5:
        return Address(f"30.{v4 >> 16 & 255}.{name >> 8}.{name & 255}", 443)
    return Address(str(IPv6Address(v6 or inside or plain)), 443)
