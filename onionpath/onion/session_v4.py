"""Requests to servers with a key of their own, and their responses: v4, a bencoded list of a JSON head and a body.

Both stand alone in one sealed layer. Spec: docs/specs/session-onion.md §7.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

import msgspec

from onionpath.errors import MalformedError
from onionpath.onion.session_bencode import decode_list, encode_list
from onionpath.onion.session_fields import F, Form, decode_fields, to_form

MAX_HEAD_SIZE = 16 * 1024  # bytes of JSON
MAX_HEADERS = 64
# Values of headers may hold brackets, and so many of them still nest less deeply than a parser can.
_MAX_BRACKETS = 200

_METHOD = re.compile(r"[A-Z]{1,16}")
_ENDPOINT = re.compile(r"/[!-~]*")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# Halves of surrogate pairs can be written in JSON and in no other text.
_VALUE = re.compile(r"[^\0\r\n\ud800-\udfff]*")


class _RequestHead(Form, frozen=True):
    method: str
    endpoint: str
    headers: dict[str, str] = {}  # noqa: RUF012 - msgspec copies it for each head


class _ResponseHead(Form, frozen=True):
    code: Annotated[int, msgspec.Meta(ge=100, le=599)]
    headers: dict[str, str] = {}  # noqa: RUF012 - likewise


@dataclass(frozen=True, slots=True)
class V4Request:
    """One HTTP request for a server.

    Args:
        method: upper-case letters, such as ``GET``.
        endpoint: path and query, from its first ``/`` on, in visible ASCII.
        headers: at most 64.
        body: None for a request without one, which is not the same as an empty one.

    Raises:
        MalformedError: one of them is written otherwise.
    """

    method: str
    endpoint: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False, default_factory=dict)
    body: bytes | None = field(repr=False, default=None)

    def __post_init__(self) -> None:
        if not (_METHOD.fullmatch(self.method) and _ENDPOINT.fullmatch(self.endpoint)):
            raise MalformedError(
                "a request has a method of capital letters and an endpoint that begins with /"
            )
        _check_headers(self.headers)


@dataclass(frozen=True, slots=True)
class V4Response:
    """A server's response; its status is 100 to 599.

    Raises:
        MalformedError: a header is written otherwise than HTTP allows, or there are more than 64.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False, default_factory=dict)
    body: bytes = field(repr=False, default=b"")

    def __post_init__(self) -> None:
        _check_headers(self.headers)


def encode_v4_request(request: V4Request) -> bytes:
    """The plaintext of a server's layer."""
    head = _RequestHead(request.method, request.endpoint, dict(request.headers))
    encoded = msgspec.json.encode(head)
    return encode_list([encoded] if request.body is None else [encoded, request.body])


def decode_v4_request(plaintext: bytes) -> V4Request:
    """Read the plaintext of a server's layer.

    Raises:
        MalformedError: no list of one or two strings, or a head that is too long or says something unknown.
    """
    items = decode_list(plaintext, at_most=2)
    if not items:
        raise MalformedError("a v4 request has no head")
    head = _read_head(items[0], _RequestHead)
    return V4Request(head.method, head.endpoint, head.headers, items[1] if len(items) > 1 else None)


def encode_v4_response(response: V4Response) -> bytes:
    """The plaintext of a server's reply."""
    head = _ResponseHead(response.status, dict(response.headers))
    return encode_list([msgspec.json.encode(head), response.body])


def decode_v4_response(plaintext: bytes) -> V4Response:
    """Read the plaintext of a server's reply.

    Raises:
        MalformedError: no list of two strings, or a head that is too long or says something unknown.
    """
    items = decode_list(plaintext, at_most=2)
    if len(items) != 2:
        raise MalformedError("a v4 response has a head and a body")
    head = _read_head(items[0], _ResponseHead)
    return V4Response(head.code, head.headers, items[1])


def _read_head(text: bytes, kind: type[F]) -> F:
    return to_form(decode_fields(text, max_size=MAX_HEAD_SIZE, max_brackets=_MAX_BRACKETS), kind)


def _check_headers(headers: Mapping[str, str]) -> None:
    if len(headers) > MAX_HEADERS:
        raise MalformedError(f"a v4 message has at most {MAX_HEADERS} headers")
    if not all(_NAME.fullmatch(name) and _VALUE.fullmatch(value) for name, value in headers.items()):
        raise MalformedError("a header's name is no token, or its value holds a line's end")
