"""Which addresses a public network may list. Spec: docs/specs/directory.md §9.1."""

from __future__ import annotations

import ipaddress

# Python 3.11 calls all of these global. An address that leads through a translator or a tunnel
# hides where it ends.
# Sources: the IANA special-purpose address registries; RFC 3068, RFC 3056, RFC 4380, RFC 6052, RFC 8215.
_NOT_PUBLIC = tuple(
    ipaddress.ip_network(network)
    for network in (
        "192.88.99.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.175.48.0/24",
        "168.63.129.16/32",  # a cloud's host service, at a public address
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "2001::/23",
        "2002::/16",
        "2620:4f:8000::/48",
        "3fff::/20",
    )
)
_GLOBAL_UNICAST_V6 = ipaddress.ip_network("2000::/3")


def is_public(host: str) -> bool:
    """Whether anybody on the internet reaches this IP literal directly."""
    ip = ipaddress.ip_address(host)
    if not ip.is_global or ip.is_multicast:
        return False
    if ip.version == 6 and ip not in _GLOBAL_UNICAST_V6:
        return False
    return not any(ip in network for network in _NOT_PUBLIC)
