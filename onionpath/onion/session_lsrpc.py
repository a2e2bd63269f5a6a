"""Which servers an exit of Session's format may be asked to post to: the grammar, and nothing about addresses.

The original compares a prefix and a suffix and then lets its HTTP library resolve what is between them, so that
``/oxen/../x/lsrpc`` reaches ``/x/lsrpc``. Here every part has one spelling. Whether the address behind the host may
be reached is the exit's to judge, for each address and at each dial. Spec: docs/specs/session-onion.md §6.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from onionpath.errors import MalformedError

MAX_HOST_SIZE = 253  # bytes, as DNS allows
_TARGET = re.compile(r"/(?:loki|oxen)/v[1-9]/lsrpc")
# The last label begins with a letter, so that no resolver reads the name as a number.
_NAME = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")
_PROTOCOLS = ("http", "https")


@dataclass(frozen=True, slots=True)
class LsrpcServer:
    """Where a server takes onion requests.

    Args:
        host: a DNS name in lower case or an IPv4 address in its one spelling.
        port: 1 to 65,535.
        target: the path of its URL, such as ``/oxen/v4/lsrpc``.
        protocol: ``https`` or ``http``.

    Raises:
        MalformedError: one of them is written otherwise.
    """

    # Nobody's log should hold where somebody's request went.
    host: str = field(repr=False)
    port: int = field(repr=False, default=443)
    target: str = field(repr=False, default="/oxen/v4/lsrpc")
    protocol: str = field(repr=False, default="https")

    def __post_init__(self) -> None:
        if not (_is_host(self.host) and _TARGET.fullmatch(self.target)):
            raise MalformedError("a server has a plain host and a target such as /oxen/v4/lsrpc")
        if not 1 <= self.port <= 65_535 or self.protocol not in _PROTOCOLS:
            raise MalformedError("a server has a port from 1 to 65,535 and speaks http or https")


def _is_host(text: str) -> bool:
    if len(text) <= MAX_HOST_SIZE and _NAME.fullmatch(text):
        return True
    try:
        IPv4Address(text)
    except ValueError:
        return False
    return True
