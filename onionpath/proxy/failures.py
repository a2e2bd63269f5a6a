"""What a program is told when it gets no connection: a SOCKS reply code, an HTTP status, and words."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from onionpath.errors import (
    DeadlineError,
    DirectoryError,
    NoPathError,
    OnionPathError,
    RefusedError,
    UnreachableError,
    UsageError,
)


class SocksCode(IntEnum):
    """RFC 1928 §6."""

    SUCCEEDED = 0
    FAILED = 1
    NOT_ALLOWED = 2
    NETWORK_UNREACHABLE = 3
    HOST_UNREACHABLE = 4
    CONNECTION_REFUSED = 5
    TTL_EXPIRED = 6
    COMMAND_UNKNOWN = 7
    ADDRESS_TYPE_UNKNOWN = 8


class Failure(NamedTuple):
    """Why there is no connection."""

    code: SocksCode
    status: int
    words: str


# What the exit says of the destination. Whatever isn't here is a failure on the way, and of nobody's in particular.
_REFUSALS = {
    "port_refused": (SocksCode.NOT_ALLOWED, 403),
    "address_forbidden": (SocksCode.NOT_ALLOWED, 403),
    "name_not_found": (SocksCode.HOST_UNREACHABLE, 502),
    "name_timed_out": (SocksCode.HOST_UNREACHABLE, 504),
    "connection_refused": (SocksCode.CONNECTION_REFUSED, 502),
    "connection_timed_out": (SocksCode.TTL_EXPIRED, 504),
}
# Why relays were refused, when none of them is an exit for a port.
_NO_EXIT = {"port-not-allowed", "service-not-offered"}


def failure_of(error: OnionPathError) -> Failure:
    """What to tell a program of an error of the client's."""
    code, status = _codes(error)
    return Failure(code, status, str(error))


def _codes(error: OnionPathError) -> tuple[SocksCode, int]:
    match error:
        case RefusedError(reason=reason):
            return _REFUSALS.get(reason, (SocksCode.FAILED, 502))
        case NoPathError(reasons=reasons) if reasons and reasons.keys() <= _NO_EXIT:
            return SocksCode.NOT_ALLOWED, 403
        case DeadlineError():
            return SocksCode.TTL_EXPIRED, 504
        case UnreachableError() | DirectoryError():
            return SocksCode.NETWORK_UNREACHABLE, 503
        case UsageError():
            return SocksCode.FAILED, 400
        case _:
            return SocksCode.FAILED, 502
