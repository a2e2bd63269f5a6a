"""What both kinds of handshake have in common: what is asked for, by whom, and who may ask.

A handshake is fed with bytes until it gives a ``Wanted`` or a ``Failure``; then it says how to answer.
"""

from __future__ import annotations

import hmac
import ipaddress
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from onionpath.proxy.failures import Failure

# Whoever gives this name gets what those get who give none: paths of its own for each host and port.
DEFAULT_USER = "onionpath"


class Wanted(NamedTuple):
    """A connection that a program asks for.

    Args:
        host: as the program wrote it; a name is resolved at the exit.
        isolation: connections with different keys never share a path; None: each host and port has one of its own.
    """

    host: str
    port: int
    isolation: str | None

    @property
    def is_by_number(self) -> bool:
        """Whether the program gave an address; perhaps it has looked the name up itself, for all to see."""
        try:
            ipaddress.ip_address(self.host)
        except ValueError:
            return False
        return True


class Heard(NamedTuple):
    """What bytes of a program lead to: bytes to send, and an outcome unless more must come."""

    send: bytes = b""
    outcome: Wanted | Failure | None = None


class Handshake(Protocol):
    """A handshake with one program."""

    def hear(self, data: bytes) -> Heard:
        """Take what the program sent; not again after an outcome."""
        ...

    def connected(self) -> tuple[bytes, bytes]:
        """What to tell a program that it is connected, and what it has sent for its destination already."""
        ...

    def failed(self, failure: Failure) -> bytes:
        """What to tell one that isn't, before it is hung up on."""
        ...


@dataclass(frozen=True, slots=True)
class Access:
    """Who may use the proxy.

    Args:
        password: that must be given; None lets everybody in who can reach the port.
    """

    password: str | None = None

    def admits(self, password: str) -> bool:
        """Whether whoever gives this password may come in."""
        if self.password is None:
            return True
        return hmac.compare_digest(password.encode(), self.password.encode())

    def isolation(self, user: str, password: str) -> str | None:
        """The key of whoever gives these; both count, unless the password is the same for all."""
        if user in ("", DEFAULT_USER):
            return None
        secret = password if self.password is None else ""
        return f"proxy {len(user)} {user} {secret}"
