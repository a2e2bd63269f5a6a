"""The request that a person types: address, headers, method and body, read strictly before anybody is asked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from onionpath.cli_url import parse_url
from onionpath.errors import UsageError

# A body is held in memory; longer ones are for programs.
MAX_BODY = 64 * 1024 * 1024
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# RFC 9110 §5.5: visible characters, blanks and tabs, and none of those that would end the line.
_VALUE = re.compile(r"[\t\x20-\x7e]*")
# They follow from address and body, and a second one would say something else to the website than to us.
_OURS = frozenset({"host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "expect"})


@dataclass(frozen=True, slots=True)
class WebRequest:
    """What is sent; ``build`` makes httpx's of it."""

    method: str
    url: httpx.URL
    # A password may stand in either, and that belongs into no log.
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    body: bytes | None = field(repr=False)

    def build(self, http: httpx.AsyncClient) -> httpx.Request:
        """For this client."""
        # The body is shown as it comes, so it shall not come compressed, unless somebody asks for that.
        named = {name.lower() for name, _ in self.headers}
        defaults = () if "accept-encoding" in named else (("Accept-Encoding", "identity"),)
        return http.build_request(
            self.method, self.url, headers=[*defaults, *self.headers], content=self.body
        )


def parse_request(
    url: str, headers: Sequence[str], *, method: str | None = None, data: str | None = None
) -> WebRequest:
    """Read what was typed.

    Args:
        headers: each as ``Name: value``.
        method: None for GET, or for POST where there is a body.
        data: the body, or ``@FILE``.

    Raises:
        UsageError: says what is wrong.
    """
    address = parse_url(url)
    named = method or ("GET" if data is None else "POST")
    if not _TOKEN.fullmatch(named) or named.upper() == "CONNECT":
        raise UsageError(f"{named!r} is no method such as GET or POST")
    return WebRequest(named, address, tuple(map(_header, headers)), None if data is None else _body(data))


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
        # The value may be a password, so only what stands before it is repeated.
        raise UsageError(f"--header {name!r}: a header is 'Name: value', in ASCII and on one line")
    if name.lower() in _OURS:
        raise UsageError(f"--header {name!r}: it follows from the address and the body")
    return name, value.strip(" \t")


def _body(data: str) -> bytes:
    if not data.startswith("@"):
        return data.encode("utf-8", "surrogateescape")
    file = Path(data[1:])
    try:
        with file.open("rb") as opened:
            body = opened.read(MAX_BODY + 1)
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from error
    if len(body) > MAX_BODY:
        raise UsageError(f"{file} is longer than {MAX_BODY} bytes")
    return body
