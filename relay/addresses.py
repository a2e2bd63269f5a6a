"""Which addresses are the public internet: what an exit may reach, and what a public network may list.

The table is our own since ``ipaddress.is_global`` passes some translated and metadata addresses and differs
between Python versions. An exit may reach an address when no entry holds it, it isn't this machine's, it lies in
the part of IPv6 that is in use, and whatever IPv4 address it embeds is allowed as well.
Spec: docs/specs/stream.md §8, docs/specs/directory.md §9.1.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv6Address, IPv6Network, ip_address, ip_network

from onionpath.path.embedded import NAT64, embedded
from onionpath.service.exit_policy import IPAddress, IPNetwork


class Why(Enum):
    """Why an address is forbidden; the value is what metrics call it."""

    UNSPECIFIED = "unspecified"  # "this host" to a socket
    LOOPBACK = "loopback"
    PRIVATE = "private"
    LINK_LOCAL = "link_local"
    METADATA = "metadata"  # a cloud's metadata service hands out the machine's credentials
    MULTICAST = "multicast"
    BROADCAST = "broadcast"
    DOCUMENTATION = "documentation"
    BENCHMARKING = "benchmarking"
    ANYCAST = "anycast"  # answered by the nearest node, perhaps inside the operator's network
    TRANSLATED = "translated"  # a translator or tunnel decides where it leads
    RESERVED = "reserved"
    OWN = "own"  # an interface of this machine


@dataclass(frozen=True, slots=True)
class Allowed:
    """The exit may dial the address."""


@dataclass(frozen=True, slots=True)
class Forbidden:
    """The exit must not dial the address."""

    why: Why


Verdict = Allowed | Forbidden

# Never reachable, whatever an operator lists: they name no single other machine.
_NEVER = frozenset({Why.UNSPECIFIED, Why.MULTICAST, Why.BROADCAST})

# (network, reason, where it is registered). Specific entries come first: the first match gives the reason.
SPECIAL: Sequence[tuple[str, Why, str]] = (
    # Cloud metadata, from the providers' manuals.
    (
        "169.254.169.254/32",
        Why.METADATA,
        "AWS, Azure, Google Cloud, Oracle, OpenStack, DigitalOcean, Hetzner",
    ),
    ("169.254.169.253/32", Why.METADATA, "AWS resolver"),
    ("169.254.170.2/32", Why.METADATA, "AWS ECS task credentials"),
    ("169.254.170.23/32", Why.METADATA, "AWS EKS pod identity"),
    ("169.254.42.42/32", Why.METADATA, "Scaleway"),
    ("169.254.0.23/32", Why.METADATA, "Tencent Cloud"),
    ("169.254.10.10/32", Why.METADATA, "Tencent Cloud"),
    ("100.100.100.200/32", Why.METADATA, "Alibaba Cloud"),
    ("168.63.129.16/32", Why.METADATA, "Azure host channel, an address that looks public"),
    ("192.0.0.192/32", Why.METADATA, "Oracle Cloud, older"),
    ("fd00:ec2::/32", Why.METADATA, "AWS: ::254 metadata, ::253 resolver, ::23 pod identity, ::123 time"),
    ("fd20:ce::254/128", Why.METADATA, "Google Cloud"),
    ("fd00:42::42/128", Why.METADATA, "Scaleway"),
    ("fd00:a9fe:a9fe::1/128", Why.METADATA, "Linode"),
    ("fd00:c1::a9fe:a9fe/128", Why.METADATA, "Oracle Cloud"),
    ("fe80::a9fe:a9fe/128", Why.METADATA, "OpenStack"),
    # IANA IPv4 special-purpose address registry, and multicast.
    ("0.0.0.0/32", Why.UNSPECIFIED, "RFC 1122 §3.2.1.3"),
    ("0.0.0.0/8", Why.UNSPECIFIED, "RFC 791 §3.2"),
    ("10.0.0.0/8", Why.PRIVATE, "RFC 1918"),
    ("100.64.0.0/10", Why.PRIVATE, "RFC 6598, shared between a carrier's customers"),
    ("127.0.0.0/8", Why.LOOPBACK, "RFC 1122 §3.2.1.3"),
    ("169.254.0.0/16", Why.LINK_LOCAL, "RFC 3927"),
    ("172.16.0.0/12", Why.PRIVATE, "RFC 1918"),
    ("192.0.0.9/32", Why.ANYCAST, "RFC 7723"),
    ("192.0.0.10/32", Why.ANYCAST, "RFC 8155"),
    ("192.0.0.170/31", Why.TRANSLATED, "RFC 7050, RFC 8880"),
    ("192.0.0.0/24", Why.RESERVED, "RFC 6890 §2.1"),
    ("192.0.2.0/24", Why.DOCUMENTATION, "RFC 5737"),
    ("192.31.196.0/24", Why.ANYCAST, "RFC 7535"),
    ("192.52.193.0/24", Why.ANYCAST, "RFC 7450"),
    ("192.88.99.0/24", Why.TRANSLATED, "RFC 7526"),
    ("192.168.0.0/16", Why.PRIVATE, "RFC 1918"),
    ("192.175.48.0/24", Why.ANYCAST, "RFC 7534"),
    ("198.18.0.0/15", Why.BENCHMARKING, "RFC 2544"),
    ("198.51.100.0/24", Why.DOCUMENTATION, "RFC 5737"),
    ("203.0.113.0/24", Why.DOCUMENTATION, "RFC 5737"),
    ("224.0.0.0/4", Why.MULTICAST, "RFC 5771"),
    ("255.255.255.255/32", Why.BROADCAST, "RFC 919 §7"),
    ("240.0.0.0/4", Why.RESERVED, "RFC 1112 §4"),
    # IANA IPv6 special-purpose address registry, multicast, and older forms that stacks still understand.
    ("::/128", Why.UNSPECIFIED, "RFC 4291"),
    ("::1/128", Why.LOOPBACK, "RFC 4291"),
    ("::/96", Why.TRANSLATED, "RFC 4291 §2.5.5.1, IPv4-compatible"),
    ("::ffff:0:0/96", Why.TRANSLATED, "RFC 4291 §2.5.5.2, IPv4-mapped"),
    ("::ffff:0:0:0/96", Why.TRANSLATED, "RFC 2765, IPv4-translated"),
    ("64:ff9b:1::/48", Why.TRANSLATED, "RFC 8215"),
    ("100::/64", Why.RESERVED, "RFC 6666, discarded"),
    ("100:0:0:1::/64", Why.RESERVED, "RFC 9780, dummy"),
    ("2001::/32", Why.TRANSLATED, "RFC 4380, Teredo"),
    ("2001:1::/32", Why.ANYCAST, "RFC 7723, RFC 8155, RFC 9665"),
    ("2001:2::/48", Why.BENCHMARKING, "RFC 5180"),
    ("2001:3::/32", Why.ANYCAST, "RFC 7450"),
    ("2001:4:112::/48", Why.ANYCAST, "RFC 7535"),
    ("2001::/23", Why.RESERVED, "RFC 2928, with ORCHID (RFC 4843, 7343) and DRIP (RFC 9374)"),
    ("2001:db8::/32", Why.DOCUMENTATION, "RFC 3849"),
    ("2002::/16", Why.TRANSLATED, "RFC 3056, 6to4"),
    ("2620:4f:8000::/48", Why.ANYCAST, "RFC 7534"),
    ("3ffe::/16", Why.RESERVED, "RFC 3701, returned"),
    ("3fff::/20", Why.DOCUMENTATION, "RFC 9637"),
    ("5f00::/16", Why.RESERVED, "RFC 9602, segment identifiers"),
    ("fc00::/7", Why.PRIVATE, "RFC 4193"),
    ("fe80::/10", Why.LINK_LOCAL, "RFC 4291"),
    ("fec0::/10", Why.PRIVATE, "RFC 3879, site-local"),
    ("ff00::/8", Why.MULTICAST, "RFC 4291 §2.7"),
)

_TABLE: dict[int, list[tuple[IPNetwork, Why]]] = {4: [], 6: []}
for _text, _why, _ in SPECIAL:
    _TABLE[ip_network(_text).version].append((ip_network(_text), _why))

_GLOBAL_UNICAST = IPv6Network("2000::/3")  # All that IANA has given out; the rest of IPv6 is reserved.


def judge(
    address: IPAddress, *, own: Collection[IPAddress], reachable_private: Sequence[IPNetwork] = ()
) -> Verdict:
    """Say whether the exit may dial an address, and if not, why.

    Args:
        own: the addresses of this machine's interfaces.
        reachable_private: networks that the operator lets the exit reach although they aren't public, such as
            loopback in a local test network. A metadata address has to be listed by itself (/32 or /128).
    """
    why = _special(address)
    if why is None and address in own:
        why = Why.OWN
    if why is not None and not _lifted(address, why, reachable_private):
        return Forbidden(why)
    # What an operator listed in one form isn't thereby reachable in another, except where the outer form is
    # listed as well.
    inner_private = reachable_private if why is not None else ()
    for inner in embedded(address):
        verdict = judge(inner, own=own, reachable_private=inner_private)
        if isinstance(verdict, Forbidden):
            return verdict
    return Allowed()


def is_public(host: str) -> bool:
    """Whether anybody on the internet reaches this IP literal directly, so that a public network may list it.

    It is what an exit may dial, less the addresses that embed another one: a translator or a tunnel decides where
    those lead, and would hide in which network a relay stands.
    """
    address = ip_address(host)
    return isinstance(judge(address, own=()), Allowed) and not embedded(address)


def _special(address: IPAddress) -> Why | None:
    for network, why in _TABLE[address.version]:
        if address in network:
            return why
    if isinstance(address, IPv6Address) and address not in _GLOBAL_UNICAST and address not in NAT64:
        return Why.RESERVED
    return None


def _lifted(address: IPAddress, why: Why, reachable_private: Sequence[IPNetwork]) -> bool:
    if why in _NEVER:
        return False
    exactly = why is Why.METADATA
    return any(
        address in network and (not exactly or network.prefixlen == network.max_prefixlen)
        for network in reachable_private
    )
