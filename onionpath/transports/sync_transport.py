"""The transport for programs without an event loop; ``for_httpx`` and ``onionpath.httpx2`` give it its names."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

from onionpath.client.attempts import DEFAULT_DEADLINE_S
from onionpath.client.client import Client
from onionpath.errors import UsageError
from onionpath.transports.client_thread import ClientThread
from onionpath.transports.failures import as_http_errors
from onionpath.transports.libraries import Library, library_of
from onionpath.transports.network import OnionNetwork
from onionpath.transports.settings import Limits, TransportSettings, core_request, response_of
from onionpath.transports.sync_network import Portal, SyncOnionNetwork


class SyncTransport:
    """``OnionTransport`` for plain programs; several threads may use it at once.

    The client lives in a thread that the transport starts when it is entered or first used. Closing the transport
    closes the client and ends the thread within seconds.

    Args:
        client: an ``onionpath.Client`` that nobody has entered. Its ``status`` may be read from any thread.
        portal: where an entered client lives; then the transport starts no thread, and closing it leaves both.
        verify, http1, http2, isolation, limits: see ``OnionTransport``.
    """

    def __init__(
        self,
        client: Client,
        *,
        portal: Portal | None = None,
        verify: ssl.SSLContext | None = None,
        http1: bool = True,
        http2: bool = False,
        isolation: str | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._client, self._isolation = client, isolation
        self._settings = TransportSettings.checked(verify, http1, http2, limits)
        self._given, self._thread = portal, ClientThread(client)
        self._lock = threading.Lock()
        self._pools: dict[str, Any] = {}

    def handle_request(self, request: Any) -> Any:
        """Carry one request; the library calls this."""
        library = library_of(request)
        if not isinstance(request.stream, library.http.SyncByteStream):
            raise UsageError("this transport is for a Client; an AsyncClient takes OnionTransport")
        with as_http_errors(library, request):
            response = self._pool(library).handle_request(core_request(library, request))
        body = library.sync_body(_parts(library, request, response.stream), response.stream.close)
        return response_of(library, response, body)

    def _pool(self, library: Library) -> Any:
        core = library.core
        with self._lock:
            if core.__name__ not in self._pools:
                network = OnionNetwork(core, self._client, self._isolation)
                self._pools[core.__name__] = core.ConnectionPool(
                    network_backend=SyncOnionNetwork(core, network, self._portal),
                    **self._settings.pool_options(library),
                )
            return self._pools[core.__name__]

    def _portal(self, timeout_s: float) -> Portal:
        return self._given or self._thread.start(timeout_s)

    def close(self) -> None:
        """Close the connections, and the client unless it lives elsewhere.

        Raises:
            DeadlineError: the thread hangs; it does not keep the program from ending.
        """
        # A client that closes takes all connections with it.
        for pool in self._pools.values() if self._given else ():
            pool.close()
        self._thread.close()

    def __enter__(self) -> Self:
        """Start the client.

        Raises:
            OnionPathError: as on entering a client.
        """
        self._portal(DEFAULT_DEADLINE_S)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        self.close()


def _parts(library: Library, request: Any, stream: Any) -> Iterator[bytes]:
    with as_http_errors(library, request):
        yield from stream
