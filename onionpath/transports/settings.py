"""What both transports are told, and requests and responses on their way between a library and its httpcore."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Protocol

from onionpath.errors import UsageError
from onionpath.transports.libraries import Library


class Limits(Protocol):
    """``httpx.Limits`` and ``httpx2.Limits``."""

    @property
    def max_connections(self) -> int | None: ...

    @property
    def max_keepalive_connections(self) -> int | None: ...

    @property
    def keepalive_expiry(self) -> float | None: ...


@dataclass(frozen=True, slots=True)
class _OurLimits:
    """The libraries' own, but for idle connections: a new one costs several round trips through the path."""

    max_connections: int | None = 100
    max_keepalive_connections: int | None = 20
    keepalive_expiry: float | None = 30.0


@dataclass(frozen=True, slots=True)
class TransportSettings:
    """Made by ``checked``."""

    verify: ssl.SSLContext | None
    http1: bool
    http2: bool
    limits: Limits

    @classmethod
    def checked(
        cls, verify: ssl.SSLContext | None, http1: bool, http2: bool, limits: Limits | None
    ) -> TransportSettings:
        """These settings.

        Raises:
            UsageError: one of them makes no sense.
        """
        if verify is not None and not isinstance(verify, ssl.SSLContext):
            raise UsageError("verify is an ssl.SSLContext, or None; certificates are always verified")
        if not (http1 or http2):
            raise UsageError("neither HTTP/1.1 nor HTTP/2 is left")
        if http2 and find_spec("h2") is None:
            raise UsageError("HTTP/2 needs a package more: install onionpath[http2]")
        return cls(verify, http1, http2, limits or _OurLimits())

    def pool_options(self, library: Library) -> Mapping[str, Any]:
        """For a pool of the library's httpcore."""
        limits = self.limits
        return {
            # A file named by the environment would let whoever sets it read what the program sends.
            "ssl_context": self.verify or library.http.create_ssl_context(trust_env=False),
            "http1": self.http1,
            "http2": self.http2,
            "max_connections": limits.max_connections,
            "max_keepalive_connections": limits.max_keepalive_connections,
            "keepalive_expiry": limits.keepalive_expiry,
        }


def core_request(library: Library, request: Any) -> Any:
    """The same request for httpcore; a request is sent once, as no pool of ours retries."""
    url = request.url
    return library.core.Request(
        method=request.method,
        url=library.core.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
        headers=request.headers.raw,
        content=request.stream,
        extensions=request.extensions,
    )


def response_of(library: Library, response: Any, body: Any) -> Any:
    """The library's response for httpcore's, with the way that it came."""
    journey = response.extensions["network_stream"].get_extra_info("onionpath")
    return library.http.Response(
        status_code=response.status,
        headers=response.headers,
        stream=body,
        extensions={**response.extensions, "onionpath": journey},
    )
