"""Reads the address of a website as a person types it, strictly, before anybody is asked anything."""

from __future__ import annotations

import re

import httpx

from onionpath.errors import MalformedError, UsageError
from onionpath.service.hosts import parse_host

_URL = re.compile(r"https?://(?P<authority>[^/?#\\]*)", re.IGNORECASE)


def parse_url(text: str) -> httpx.URL:
    """The address, with its host in the one spelling that exits take.

    Raises:
        UsageError: it is not the address of a website; says why.

    Spec: docs/specs/stream.md §7.
    """
    found = _URL.match(text)
    if found is None:
        raise _no_address(text, "it starts with https:// or http://")
    if "@" in found["authority"]:
        # It would leave as a header that nobody sees here.
        raise UsageError("not the address of a website: a name or password stands before the host")
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL as error:
        raise _no_address(text, str(error)) from error
    except UnicodeEncodeError as error:
        # A shell's bytes that are no UTF-8 arrive as lone surrogates, which no URL can hold.
        raise _no_address(text, "it is not UTF-8 text") from error
    # Certificates never carry the dot at a name's end.
    host = url.raw_host.removesuffix(b".")
    try:
        parse_host(host)
    except MalformedError as error:
        raise _no_address(text, f"{url.host!r} is neither a DNS name nor an IP address") from error
    if url.port is not None and not 1 <= url.port <= 65_535:
        raise _no_address(text, f"a port is 1 to 65535, not {url.port}")
    return url.copy_with(host=host.decode("ascii"))


def _no_address(text: str, why: str) -> UsageError:
    return UsageError(f"{text!r} is not the address of a website: {why}")
