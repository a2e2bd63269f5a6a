"""IPv4 addresses inside IPv6 addresses, by which one network could otherwise pass for two.

Spec: docs/specs/paths.md §1.2.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network

_COMPATIBLE = IPv6Network("::/96")  # RFC 4291 §2.5.5.1
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052 §2.1
_ISATAP = (0x0000_5EFE, 0x0200_5EFE)  # RFC 5214 §6.1: upper half of the interface identifier


def translated_ipv4(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address for which this IPv6 address is another spelling, in a prefix that nobody owns."""
    if address.ipv4_mapped or address.sixtofour:
        return address.ipv4_mapped or address.sixtofour
    if address.teredo:
        return address.teredo[1]
    return _low_bits(address) if address in _NAT64 or address in _COMPATIBLE else None


def embedded_ipv4(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that this IPv6 address carries in any known way."""
    is_isatap = int(address) >> 32 & 0xFFFF_FFFF in _ISATAP
    return translated_ipv4(address) or (_low_bits(address) if is_isatap else None)


def _low_bits(address: IPv6Address) -> IPv4Address:
    return IPv4Address(int(address) & 0xFFFF_FFFF)
