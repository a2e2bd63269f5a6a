"""Which relays may stand on one path: different ones, of different families, in different networks.

Spec: docs/specs/directory.md §7.2.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from onionpath.crypto.identity import RelayId
from onionpath.directory.address import Address
from onionpath.directory.descriptor import Descriptor
from onionpath.directory.directory import Relay

# An attacker rents a /16 or a /32 as one lot; within it, addresses say nothing about different owners.
V4_PREFIX = 16
V6_PREFIX = 32


@lru_cache(maxsize=65_536)
def subnet(host: str) -> str:
    """The network to which an IP literal belongs: /16 of IPv4, also when mapped or 6to4, or /32 of IPv6."""
    ip = ipaddress.ip_address(host)
    if isinstance(ip, ipaddress.IPv6Address):
        ip = ip.ipv4_mapped or ip.sixtofour or ip
    prefix = V4_PREFIX if ip.version == 4 else V6_PREFIX
    return str(ipaddress.ip_network((int(ip) if ip.version == 4 else ip, prefix), strict=False))


@lru_cache(maxsize=32_768)
def subnets(addresses: tuple[Address, ...]) -> frozenset[str]:
    """The networks in which a relay has an address."""
    return frozenset(subnet(address.host) for address in addresses)


@dataclass(frozen=True, slots=True)
class Taken:
    """What the relays already on a path rule out for the next one.

    Args:
        relays: their ids.
        families: everybody whom one of them names as family.
        networks: where they have addresses; empty where the network doesn't ask for distinct subnets.
    """

    relays: frozenset[RelayId]
    families: frozenset[RelayId]
    networks: frozenset[str]

    @classmethod
    def by(cls, relays: Iterable[Relay], *, distinct_subnets: bool) -> Taken:
        """What these relays rule out together."""
        descriptors = [relay.descriptor for relay in relays]
        return cls(
            frozenset(descriptor.relay_id for descriptor in descriptors),
            frozenset(member for descriptor in descriptors for member in descriptor.family),
            frozenset(
                network
                for descriptor in descriptors
                if distinct_subnets
                for network in subnets(descriptor.addresses)
            ),
        )

    def refusal(self, candidate: Descriptor) -> str | None:
        """The name of the constraint that this relay would break, if there is one."""
        if candidate.relay_id in self.relays:
            return "already-on-path"
        # One side's word is enough: whoever hides a family only has to stay silent on the other side.
        if candidate.relay_id in self.families or not self.relays.isdisjoint(candidate.family):
            return "same-family"
        if self.networks and not self.networks.isdisjoint(subnets(candidate.addresses)):
            return "same-network"
        return None
