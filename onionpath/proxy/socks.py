"""The server's side of a SOCKS 5 handshake (RFC 1928, RFC 1929): bytes in, bytes and an outcome out.

| state | leaves when |
|---|---|
| greeting | the methods are here: to *password* if the program offers it, else to *request* if none is needed |
| password | name and password are here and right |
| request | the destination is here |
| over | never |

Only CONNECT is offered. BIND and UDP would need what onions don't carry; RESOLVE is no part of the standard, and who
gives names to CONNECT needs no addresses.
"""

from __future__ import annotations

import ipaddress
from enum import Enum, auto

from onionpath.proxy.failures import Failure, SocksCode
from onionpath.proxy.handshake import Access, Heard, Wanted

VERSION = 5
_NO_AUTHENTICATION, _PASSWORD_METHOD, _NO_METHOD = 0, 2, 0xFF
_PASSWORD_VERSION = 1
_CONNECT = 1
_IPV4, _NAME, _IPV6 = 1, 3, 4
# The address from which the exit connected is nobody's business, so the reply names none.
_NOWHERE = bytes([_IPV4]) + bytes(6)


class _State(Enum):
    GREETING = auto()
    PASSWORD = auto()
    REQUEST = auto()
    OVER = auto()


class SocksHandshake:
    """One handshake; see ``handshake.Handshake``. Holds a few hundred bytes at most before its outcome."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._received = bytearray()
        self._state = _State.GREETING
        self._isolation: str | None = None
        self._is_asked = False  # whether a request has come, to which there are replies

    def hear(self, data: bytes) -> Heard:
        """See ``Handshake.hear``."""
        self._received += data
        send = b""
        while True:
            heard = self._step()
            if heard is None:
                return Heard(send)
            send += heard.send
            if heard.outcome is not None:
                self._state = _State.OVER
                return Heard(send, heard.outcome)

    def connected(self) -> tuple[bytes, bytes]:
        """See ``Handshake.connected``."""
        return _reply(SocksCode.SUCCEEDED), bytes(self._received)

    def failed(self, failure: Failure) -> bytes:
        """See ``Handshake.failed``; before the request there is no reply that could hold a code."""
        return _reply(failure.code) if self._is_asked else b""

    def _step(self) -> Heard | None:
        match self._state:
            case _State.GREETING:
                return self._greeting()
            case _State.PASSWORD:
                return self._password()
            case _:
                return self._request()

    def _take(self, size: int) -> bytes:
        taken = bytes(self._received[:size])
        del self._received[:size]
        return taken

    def _greeting(self) -> Heard | None:
        if self._received[0] != VERSION:
            return _broken("not SOCKS 5")
        if len(self._received) < 2 or len(self._received) < 2 + self._received[1]:
            return None
        methods = self._take(2 + self._received[1])[2:]
        if _PASSWORD_METHOD in methods:
            self._state = _State.PASSWORD
            return Heard(bytes([VERSION, _PASSWORD_METHOD]))
        if _NO_AUTHENTICATION in methods and self._access.password is None:
            self._state = _State.REQUEST
            return Heard(bytes([VERSION, _NO_AUTHENTICATION]))
        failure = Failure(SocksCode.NOT_ALLOWED, 407, "this proxy wants a user name and a password")
        return Heard(bytes([VERSION, _NO_METHOD]), failure)

    def _password(self) -> Heard | None:
        received = self._received
        if received[:1] and received[0] != _PASSWORD_VERSION:
            return _broken("not the password negotiation of RFC 1929")
        if len(received) < 2 or len(received) < 3 + received[1]:
            return None
        user_end = 2 + received[1]
        if len(received) < user_end + 1 + received[user_end]:
            return None
        taken = self._take(user_end + 1 + received[user_end])
        user, password = taken[2:user_end].decode("latin-1"), taken[user_end + 1 :].decode("latin-1")
        if not self._access.admits(password):
            failure = Failure(SocksCode.NOT_ALLOWED, 407, "a wrong password")
            return Heard(bytes([_PASSWORD_VERSION, 1]), failure)
        self._isolation = self._access.isolation(user, password)
        self._state = _State.REQUEST
        return Heard(bytes([_PASSWORD_VERSION, 0]))

    def _request(self) -> Heard | None:
        received = self._received
        if received[:1] and received[0] != VERSION:
            return _broken("not SOCKS 5")
        if len(received) < 5:
            return None
        self._is_asked = True
        _, command, zero, kind = received[:4]
        if command != _CONNECT:
            words = "only CONNECT is offered: no BIND, no UDP, no RESOLVE"
            return Heard(outcome=Failure(SocksCode.COMMAND_UNKNOWN, 405, words))
        size = {_IPV4: 4, _IPV6: 16, _NAME: 1 + received[4]}.get(kind)
        if size is None:
            return Heard(outcome=Failure(SocksCode.ADDRESS_TYPE_UNKNOWN, 400, "an unknown kind of address"))
        if len(received) < 4 + size + 2:
            return None
        taken = self._take(4 + size + 2)
        host, port = _host(kind, taken[4:-2]), int.from_bytes(taken[-2:])
        if zero or host is None or not port:
            return Heard(outcome=Failure(SocksCode.FAILED, 400, "no destination that there can be"))
        return Heard(outcome=Wanted(host, port, self._isolation))


def refuse_version_4() -> bytes:
    """What a program that speaks SOCKS 4 understands as a refusal."""
    return bytes([0, 0x5B]) + bytes(6)


def _host(kind: int, data: bytes) -> str | None:
    if kind == _IPV4:
        return str(ipaddress.IPv4Address(data))
    if kind == _IPV6:
        return str(ipaddress.IPv6Address(data))
    name = data[1:]
    # Anything else is for the client to judge: it knows what a name is.
    return name.decode() if name and name.isascii() and name.decode().isprintable() else None


def _reply(code: SocksCode) -> bytes:
    return bytes([VERSION, code, 0]) + _NOWHERE


def _broken(words: str) -> Heard:
    return Heard(outcome=Failure(SocksCode.FAILED, 400, words))
