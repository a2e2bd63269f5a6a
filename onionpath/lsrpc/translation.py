"""v4 messages as HTTP messages: what the app is told of a request, and what a client is told of its response.

Characters of headers stand for bytes as in ISO 8859-1, both ways, so that an app that decodes them in the way of its
framework reads what the client has written. Spec: docs/specs/session-server.md §3.
"""

from __future__ import annotations

import msgspec

from onionpath.errors import MalformedError
from onionpath.ohttp.fields import without_connection_fields
from onionpath.ohttp.messages import Fields, HttpRequest, HttpResponse, values_of
from onionpath.onion.session_v4 import MAX_HEAD_SIZE, V4Request, V4Response

INVALID_REQUEST = V4Response(400, {"content-type": "text/plain"}, b"Invalid v4 onion request")

# The exit's request says which host was asked; the body is its own length; and a sealed message arrives whole.
_REPLACED = frozenset({b"host", b"content-length", b"expect"})
# ``{"code":200,"headers":}`` and whatever may be added to it.
_REST_OF_HEAD = 64


def to_http(request: V4Request, *, scheme: bytes, host: bytes) -> HttpRequest:
    """The request as the app gets it: one ``host`` if there is one, no fields of a connection, a body with its length.

    Args:
        scheme, host: of the exit's request; ``host`` may be empty.

    Raises:
        MalformedError: it has one header twice, or asks for what a sealed message cannot do.
    """
    fields = _fields_of(request)
    if request.method == "CONNECT" or values_of(fields, b"upgrade"):
        raise MalformedError("a sealed message cannot become a tunnel or another protocol")
    if "#" in request.endpoint:
        raise MalformedError("an endpoint is a path and a query")
    kept = tuple(field for field in without_connection_fields(fields) if field[0] not in _REPLACED)
    if host:
        kept = ((b"host", host), *kept)
    if request.body is not None:
        kept = (*kept, (b"content-length", b"%d" % len(request.body)))
    return HttpRequest(
        request.method.encode(), scheme, host, request.endpoint.encode(), kept, request.body or b""
    )


def _fields_of(request: V4Request) -> Fields:
    try:
        fields = tuple(
            (name.lower().encode(), value.strip(" \t").encode("iso-8859-1"))
            for name, value in request.headers.items()
        )
    except UnicodeEncodeError as error:
        raise MalformedError("a header holds a character that HTTP cannot carry") from error
    if len({name for name, _ in fields}) != len(fields):
        raise MalformedError("a header stands twice")
    return fields


def from_http(response: HttpResponse) -> V4Response:
    """The response as the client reads it; lines of one name are joined, and the body is its own length.

    Raises:
        MalformedError: more headers, or longer ones, than a v4 head holds.
    """
    headers: dict[str, str] = {}
    for name, value in ((name.decode(), value.decode("iso-8859-1")) for name, value in response.fields):
        # Cookies have commas of their own (RFC 6265 §3).
        joins = name in headers and name != "set-cookie"
        headers[name] = f"{headers[name]}, {value}" if joins else value
    headers.pop("content-length", None)
    if len(msgspec.json.encode(headers)) > MAX_HEAD_SIZE - _REST_OF_HEAD:
        raise MalformedError(f"the head of a response has at most {MAX_HEAD_SIZE} bytes")
    return V4Response(response.status, headers, response.body)
