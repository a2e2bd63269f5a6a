"""Which relays may stand on one path: different ones, of different families, in different networks; and not those that
the application doesn't want.

Spec: docs/specs/paths.md §1.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from onionpath.crypto.identity import RelayId
from onionpath.directory.address import Address
from onionpath.path.countries import Countries
from onionpath.path.embedded import embedded_ipv4, translated_ipv4
from onionpath.path.relays import Described, ListedRelay

IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

# An attacker rents a /16 or a /32 as one lot; within it, addresses say nothing about different owners.
V4_PREFIX = 16
V6_PREFIX = 32
NO_COUNTRIES = Countries()


@lru_cache(maxsize=65_536)
def subnets_of(host: str) -> frozenset[str]:
    """The networks to which an IP literal belongs: a /16 of IPv4, a /32 of IPv6, or both."""
    ip = ipaddress.ip_address(host)
    if isinstance(ip, ipaddress.IPv4Address):
        return frozenset({_subnet(ip)})
    inside = embedded_ipv4(ip)
    # Who owns an IPv6 prefix may write any IPv4 address into it, and must not leave his own network by that.
    outside = None if translated_ipv4(ip) else ip
    return frozenset(_subnet(each) for each in (inside, outside) if each is not None)


def _subnet(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    prefix = V4_PREFIX if ip.version == 4 else V6_PREFIX
    return str(ipaddress.ip_network(f"{ip}/{prefix}", strict=False))


@lru_cache(maxsize=32_768)
def subnets(addresses: tuple[Address, ...]) -> frozenset[str]:
    """The networks in which a relay has an address."""
    return frozenset(subnet for address in addresses for subnet in subnets_of(address.host))


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
    def by(cls, relays: Iterable[ListedRelay], *, distinct_subnets: bool) -> Taken:
        """What these relays rule out together."""
        descriptors = [relay.descriptor for relay in relays]
        return cls(
            frozenset([descriptor.relay_id for descriptor in descriptors]),
            frozenset().union(*[descriptor.family for descriptor in descriptors]),
            frozenset().union(
                *[subnets(descriptor.addresses) for descriptor in descriptors if distinct_subnets]
            ),
        )

    def refusal(self, candidate: Described) -> str | None:
        """The name of the constraint that this relay would break, if there is one."""
        if candidate.relay_id in self.relays:
            return "already-on-path"
        # One side's word is enough: whoever hides a family only has to stay silent on the other side.
        if candidate.relay_id in self.families or not self.relays.isdisjoint(candidate.family):
            return "same-family"
        if self.networks and not self.networks.isdisjoint(subnets(candidate.addresses)):
            return "same-network"
        return None


@dataclass(frozen=True, slots=True)
class Constraints:
    """What an application wants of all its paths beyond the rules of the network; by default nothing.

    Args:
        excluded_relays, excluded_networks, excluded_countries: these stand nowhere.
        guards, middles, exits: the only relays for the first hop, those between, and the last; None for any.
        exit_countries: the only countries for the last hop; None for any, also for unknown ones.
        countries: what is known of addresses.
    """

    excluded_relays: frozenset[RelayId] = frozenset()
    excluded_networks: tuple[IPNetwork, ...] = ()
    excluded_countries: frozenset[str] = frozenset()
    guards: frozenset[RelayId] | None = None
    middles: frozenset[RelayId] | None = None
    exits: frozenset[RelayId] | None = None
    exit_countries: frozenset[str] | None = None
    countries: Countries = NO_COUNTRIES

    def refusal(self, relay: ListedRelay) -> str | None:
        """The name of the wish that this relay would break at any position, if there is one."""
        hosts = [address.host for address in relay.descriptor.addresses]
        if relay.relay_id in self.excluded_relays:
            return "excluded"
        if self.excluded_networks and any(_is_within(host, self.excluded_networks) for host in hosts):
            return "excluded-network"
        if self.excluded_countries and not self.excluded_countries.isdisjoint(self._countries_of(relay)):
            return "excluded-country"
        return None

    def exit_refusal(self, relay: ListedRelay) -> str | None:
        """The same for what is asked of the last hop only."""
        if self.exits is not None and relay.relay_id not in self.exits:
            return "exit-not-wanted"
        if self.exit_countries is not None:
            known = self._countries_of(relay)
            if not known or not known <= self.exit_countries:
                return "exit-country-not-wanted"
        return None

    def _countries_of(self, relay: ListedRelay) -> set[str]:
        found = {self.countries.country(address.host) for address in relay.descriptor.addresses}
        return {country for country in found if country is not None}


def _is_within(host: str, networks: Sequence[IPNetwork]) -> bool:
    ip = ipaddress.ip_address(host)
    inside = embedded_ipv4(ip) if isinstance(ip, ipaddress.IPv6Address) else None
    return any(ip in network or (inside is not None and inside in network) for network in networks)
