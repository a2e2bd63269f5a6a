"""Which names and values a message may hold, and which fields belong to a connection and not to a message.

Source: RFC 9110 §5 and §7.6.1; RFC 9113 §8.2.1 and §8.3.1, which RFC 9292 §3.4 and §3.6 refer to.
"""

from __future__ import annotations

import re

from onionpath.errors import MalformedError
from onionpath.ohttp.messages import Fields, HttpRequest, values_of

_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(rb"(?![ \t])[^\0\r\n]*(?<![ \t])|")
_SCHEME = re.compile(rb"[a-z][a-z0-9+.-]*")
# A name or IPv4 address, or an IPv6 address in brackets, and a port; never a user's name before an @.
_AUTHORITY = re.compile(rb"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?|")
_PATH = re.compile(rb"/[!-\"$-~]*|\*")

CONNECTION_FIELDS = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"te", b"transfer-encoding", b"upgrade"}
)


def parse_name(name: bytes) -> bytes:
    """A field's name in lower case.

    Raises:
        MalformedError: it is no token; that includes every pseudo-field, since we know none.
    """
    if not _TOKEN.fullmatch(name):
        raise MalformedError("a field's name is not a token")
    return name.lower()


def check_value(value: bytes) -> None:
    """Refuse NUL, CR, LF, and white space at either end.

    Raises:
        MalformedError: it has one of these.
    """
    if not _VALUE.fullmatch(value):
        raise MalformedError("a field's value has a forbidden byte")


def check_control(request: HttpRequest) -> None:
    """Refuse control data that RFC 9113 §8.3.1 does not allow; the authority may be empty.

    Raises:
        MalformedError: which part it is.
    """
    parts = {
        "method": _TOKEN.fullmatch(request.method),
        "scheme": _SCHEME.fullmatch(request.scheme),
        "authority": _AUTHORITY.fullmatch(request.authority),
        "path": _PATH.fullmatch(request.path),
    }
    for name, found in parts.items():
        if not found:
            raise MalformedError(f"a request's {name} is not well formed")


def without_connection_fields(fields: Fields) -> Fields:
    """What is left when every field is removed that speaks of a connection or is named by ``Connection``."""
    named = {name.strip().lower() for value in values_of(fields, b"connection") for name in value.split(b",")}
    gone = CONNECTION_FIELDS | named
    return tuple(field for field in fields if field[0] not in gone)
