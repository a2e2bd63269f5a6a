"""Where a relay listens: an IP literal in its one canonical form, and a port.

Spec: docs/specs/directory.md §3.2.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from onionpath.directory.canonical import Form
from onionpath.errors import MalformedError


@dataclass(frozen=True, slots=True, order=True)
class Address:
    """A host that needs no name lookup, and a port from 1 to 65535.

    Raises:
        MalformedError: the host is no canonical IP literal, has a zone, or is IPv4 mapped into IPv6.
    """

    host: str
    port: int

    def __post_init__(self) -> None:
        try:
            ip = ipaddress.ip_address(self.host)
        except ValueError as error:
            raise MalformedError("a host is not an IP address") from error
        # A mapped address is a second spelling of an IPv4 address and would hide which network it is in.
        if str(ip) != self.host or (ip.version == 6 and (ip.scope_id or ip.ipv4_mapped)):
            raise MalformedError(f"the address {ip} is not written in its canonical form")
        if not 1 <= self.port <= 65_535:
            raise MalformedError(f"a port is 1 to 65535, not {self.port}")

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class AddressForm(Form, frozen=True):
    """``Address`` as JSON."""

    host: str
    port: int

    @classmethod
    def of(cls, address: Address) -> AddressForm:
        return cls(address.host, address.port)

    def parse(self) -> Address:
        return Address(self.host, self.port)
