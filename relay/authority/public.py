"""Which addresses a public network may list. Spec: docs/specs/directory.md §9.1."""

from __future__ import annotations

import ipaddress

from relay.addresses import Allowed, embedded, judge


def is_public(host: str) -> bool:
    """Whether anybody on the internet reaches this IP literal directly.

    It is what an exit may dial, less the addresses that embed another one: a translator or a tunnel decides where
    those lead, and would hide in which network a relay stands.
    """
    address = ipaddress.ip_address(host)
    return isinstance(judge(address, own=()), Allowed) and not embedded(address)
