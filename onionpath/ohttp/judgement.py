"""Which opened requests a gateway passes to its app, and in what form.

Source: RFC 9458 §5.1 and §6.3; RFC 9110 §7.2; docs/specs/ohttp.md §5.
"""

from __future__ import annotations

from dataclasses import replace

from onionpath.errors import RefusedError
from onionpath.ohttp.fields import without_connection_fields
from onionpath.ohttp.messages import HttpRequest, values_of


class JudgedError(RefusedError):
    """A request that the app never sees; ``status`` goes back inside the seal."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message, reason=str(status))
        self.status = status


def judge(request: HttpRequest, *, authorities: frozenset[bytes]) -> HttpRequest:
    """The request as the app gets it: one Host, no fields of a connection, and the length of its body if it has one.

    Args:
        authorities: ``host`` or ``host:port`` in lower case, those that the app answers for.

    Raises:
        JudgedError: it asks for what a sealed message cannot do, contradicts itself, or is for somebody else.
    """
    _refuse_protocol_changes(request)
    authority = _authority(request)
    if request.scheme != b"https" or authority not in authorities:
        raise JudgedError(421, "this gateway does not serve that origin")
    lengths = values_of(request.fields, b"content-length")
    if any(length != b"%d" % len(request.body) for length in lengths):
        raise JudgedError(400, "the content is not as long as its length says")
    kept = without_connection_fields(request.fields)
    kept = tuple(field for field in kept if field[0] not in (b"host", b"content-length"))
    if request.body or lengths:
        kept = (*kept, (b"content-length", b"%d" % len(request.body)))
    return replace(request, authority=authority, fields=((b"host", authority), *kept))


def _refuse_protocol_changes(request: HttpRequest) -> None:
    if request.method == b"CONNECT" or values_of(request.fields, b"upgrade"):
        raise JudgedError(400, "a sealed message cannot become a tunnel or another protocol")
    if not request.path.startswith(b"/"):
        raise JudgedError(400, "the path is not that of a resource")
    if values_of(request.fields, b"expect"):
        raise JudgedError(417, "a sealed message arrives whole, so there is nothing to expect")


def _authority(request: HttpRequest) -> bytes:
    hosts = values_of(request.fields, b"host")
    named = {name.lower().removesuffix(b":443") for name in (request.authority, *hosts) if name}
    if len(hosts) > 1 or len(named) != 1:
        raise JudgedError(400, "the request names no host, or more than one")
    return named.pop()
