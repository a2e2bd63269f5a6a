"""Reads the host of a stream: a plain DNS name or an address in its one spelling, nothing else.

A resolver understands far more than people write: ``127.1``, ``0x7f.1``, ``2130706433`` and ``0177.0.0.1``
are all the loopback address to it. Each such spelling is refused here, before anything is sent or resolved.
Spec: docs/specs/stream.md §7.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from onionpath.errors import MalformedError
from onionpath.service.exit_policy import IPAddress
from onionpath.service.stream import MAX_HOST_SIZE

# A last label that begins with a letter can't be read as a number, which begins with a digit in any base.
_NAME = re.compile(rb"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")
_MAPPED_PREFIX = "::ffff:"

# Names that no public DNS serves. Asking for them would reach the operator's own network (multicast DNS,
# an internal zone) or tell the DNS about onion services. Sources: RFC 6761, 6762, 7686, 9476 and ICANN.
_LOCAL_TLDS = frozenset({"alt", "internal", "invalid", "local", "onion"})


@dataclass(frozen=True, slots=True)
class DnsName:
    """A DNS name in lower case, without a dot at its end."""

    text: str

    @property
    def is_localhost(self) -> bool:
        """Whether it names this machine without a query (RFC 6761 §6.3)."""
        return self.text == "localhost" or self.text.endswith(".localhost")

    @property
    def is_public(self) -> bool:
        """Whether the public DNS could know it."""
        return self.text.rpartition(".")[2] not in _LOCAL_TLDS


Host = DnsName | IPv4Address | IPv6Address


def parse_host(host: bytes) -> Host:
    """Read the host of a request.

    Raises:
        MalformedError: it is neither a plain name nor an address in its canonical spelling.
    """
    # A dot at the end is refused too: one name has one spelling, and certificates never carry the dot.
    if len(host) <= MAX_HOST_SIZE and _NAME.fullmatch(host):
        return DnsName(host.decode("ascii"))
    address = _parse_address(host)
    if address is None:
        raise MalformedError("a stream's host is neither a plain name nor a canonical address")
    return address


def _parse_address(host: bytes) -> IPAddress | None:
    try:
        text = host.decode("ascii")
        address = IPv6Address(text) if ":" in text else IPv4Address(text)
    except ValueError:
        return None
    # Python's spelling of mapped addresses differs between versions, and they only hide an IPv4 address.
    if "%" in text or text != str(address) or text.startswith(_MAPPED_PREFIX):
        return None
    return address
