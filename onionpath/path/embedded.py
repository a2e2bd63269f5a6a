"""IPv4 addresses inside IPv6 addresses, by which one network could pass for two, and a private one for a public one.

Spec: docs/specs/paths.md §1.2.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network

NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052 §2.1
_LAST_32_BITS = (
    IPv6Network("::/96"),  # compatible: RFC 4291 §2.5.5.1
    IPv6Network("::ffff:0:0/96"),  # mapped: RFC 4291 §2.5.5.2
    IPv6Network("::ffff:0:0:0/96"),  # translated: RFC 2765 §2.1
    NAT64,
    IPv6Network("64:ff9b:1::/48"),  # NAT64 of a local network: RFC 8215
)
_SIX_TO_FOUR = IPv6Network("2002::/16")  # RFC 3056 §2
_TEREDO = IPv6Network("2001::/32")  # RFC 4380 §4
_ISATAP = (0x0000_5EFE, 0x0200_5EFE)  # RFC 5214 §6.1: upper half of the interface identifier


def embedded(address: IPv4Address | IPv6Address) -> tuple[IPv4Address, ...]:
    """The IPv4 addresses that an address may lead to: none, one, or Teredo's two (server and client)."""
    if isinstance(address, IPv4Address):
        return ()
    is_isatap = int(address) >> 32 & 0xFFFF_FFFF in _ISATAP
    return _in_prefix(address) or ((_bits(address, 0),) if is_isatap else ())


def embedded_ipv4(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address of the machine that this IPv6 address leads to, if it carries one in any known way."""
    return next(reversed(embedded(address)), None)


def translated_ipv4(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address for which this IPv6 address is another spelling, in a prefix that nobody owns."""
    return next(reversed(_in_prefix(address)), None)


def _in_prefix(address: IPv6Address) -> tuple[IPv4Address, ...]:
    if address in _SIX_TO_FOUR:
        return (_bits(address, 80),)
    if address in _TEREDO:
        # The client's is written with each bit turned over, so that no translator on the way rewrites it.
        return (_bits(address, 64), IPv4Address(~int(address) & 0xFFFF_FFFF))
    # `::` and `::1` are addresses of their own.
    is_last = int(address) > 1 and any(address in network for network in _LAST_32_BITS)
    return (_bits(address, 0),) if is_last else ()


def _bits(address: IPv6Address, shift: int) -> IPv4Address:
    """The 32 bits that are followed by so many others."""
    return IPv4Address(int(address) >> shift & 0xFFFF_FFFF)
