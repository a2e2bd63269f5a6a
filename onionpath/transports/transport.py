"""The transport for programs with an event loop; ``for_httpx`` and ``onionpath.httpx2`` give it its public names."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, Self

from onionpath.client.client import Client
from onionpath.errors import UsageError
from onionpath.transports.failures import as_http_errors
from onionpath.transports.libraries import Library, library_of
from onionpath.transports.network import OnionNetwork
from onionpath.transports.settings import Limits, TransportSettings, core_request, response_of


class AsyncTransport:
    """Carries requests of httpx and httpx2 through a client's paths. Made outside of a loop as well.

    A response tells its way in ``response.extensions["onionpath"]``: ``path``, the relays' ids in hex, first hop
    first; ``attempts``, how many the connection took; ``hold_ms``, how long each hop had the newest exchange.

    Args:
        client: an entered ``onionpath.Client``; it stays open when the transport is closed.
        verify: an SSL context for websites; None for the library's own, which reads no environment.
        http1, http2: what to offer websites (``http2`` needs the extra ``http2``).
        isolation: connections with different keys never share a path; None isolates each host and port.
        limits: how many connections, and how long idle ones are kept; the library's own ``Limits``.

    Raises:
        UsageError: ``verify`` is anything else, or HTTP/2 is wanted and not installed.
    """

    def __init__(
        self,
        client: Client,
        *,
        verify: ssl.SSLContext | None = None,
        http1: bool = True,
        http2: bool = False,
        isolation: str | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._client, self._isolation = client, isolation
        self._settings = TransportSettings.checked(verify, http1, http2, limits)
        self._pools: dict[str, Any] = {}

    async def handle_async_request(self, request: Any) -> Any:
        """Carry one request; the library calls this."""
        library = library_of(request)
        if not isinstance(request.stream, library.http.AsyncByteStream):
            raise UsageError("this transport is for an AsyncClient; a Client takes SyncOnionTransport")
        with as_http_errors(library, request):
            response = await self._pool(library).handle_async_request(core_request(library, request))
        body = library.async_body(_parts(library, request, response.stream), response.stream.aclose)
        return response_of(library, response, body)

    def _pool(self, library: Library) -> Any:
        name = library.core.__name__
        if name not in self._pools:
            network = OnionNetwork(library.core, self._client, self._isolation)
            self._pools[name] = library.core.AsyncConnectionPool(
                network_backend=network, **self._settings.pool_options(library)
            )
        return self._pools[name]

    async def aclose(self) -> None:
        """Close the connections; the client stays open."""
        for pool in self._pools.values():
            await pool.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self.aclose()


async def _parts(library: Library, request: Any, stream: Any) -> AsyncIterator[bytes]:
    with as_http_errors(library, request):
        async for part in stream:
            yield part
