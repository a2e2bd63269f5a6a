"""The network backend and its streams for threads: each call waits for the event loop in which the client lives."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from time import monotonic
from typing import Any, TypeVar

import anyio.from_thread

from onionpath.client.attempts import DEFAULT_DEADLINE_S
from onionpath.transports.failures import as_core_errors
from onionpath.transports.network import OnionNetwork, OnionSocket

Result = TypeVar("Result")
Portal = anyio.from_thread.BlockingPortal
# Gives the way into the loop within so many seconds.
OpenPortal = Callable[[float], Portal]


class SyncOnionNetwork:
    """Opens streams from any thread."""

    def __init__(self, core: Any, network: OnionNetwork, open_portal: OpenPortal) -> None:
        self._core, self._network, self._open_portal = core, network, open_portal

    def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, **sockets_only: object
    ) -> SyncOnionSocket:
        """A connection from an exit; ``timeout`` holds for starting the client, too."""
        ends_at = monotonic() + (DEFAULT_DEADLINE_S if timeout is None else timeout)
        core = self._core
        with as_core_errors(core.ConnectError, core.ConnectTimeout):
            portal = self._open_portal(ends_at - monotonic())
        left_s = max(0.0, ends_at - monotonic())
        socket = wait_in(portal, core.ConnectError, self._network.connect_tcp, host, port, left_s)
        return SyncOnionSocket(core, socket, portal)

    def connect_unix_socket(self, path: str, *args: object, **more: object) -> SyncOnionSocket:
        """Refused: nothing goes anywhere but through the onion."""
        raise self._core.ConnectError("a local socket is not reached through the onion")


class SyncOnionSocket:
    """An ``OnionSocket`` for threads; one may read while another writes."""

    def __init__(self, core: Any, socket: OnionSocket, portal: Portal) -> None:
        self._core, self._socket, self._portal = core, socket, portal

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """See ``OnionSocket``."""
        return wait_in(self._portal, self._core.ReadError, self._socket.read, max_bytes, timeout)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """See ``OnionSocket``."""
        wait_in(self._portal, self._core.WriteError, self._socket.write, buffer, timeout)

    def close(self) -> None:
        """See ``OnionSocket``; nobody waits until it is done."""
        # A loop that has ended has closed it.
        with suppress(RuntimeError):
            self._portal.start_task_soon(self._socket.aclose)

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> SyncOnionSocket:
        """See ``OnionSocket``."""
        error = self._core.ConnectError
        arguments = ssl_context, server_hostname, timeout
        tls = wait_in(self._portal, error, self._socket.start_tls, *arguments)
        return SyncOnionSocket(self._core, tls, self._portal)

    def get_extra_info(self, info: str) -> Any:
        """See ``OnionSocket``; what is told is read at once, so no loop is asked."""
        return self._socket.get_extra_info(info)


def wait_in(
    portal: Portal, closed: type[Exception], work: Callable[..., Awaitable[Result]], *arguments: object
) -> Result:
    """Have the loop do it, and wait; whoever is interrupted leaves nothing under way.

    Raises:
        closed: the loop has ended, or ends meanwhile.
    """
    try:
        future: Future[Result] = portal.start_task_soon(work, *arguments)
    except RuntimeError as error:
        raise closed("the transport was closed") from error
    try:
        return future.result()
    except CancelledError as error:
        raise closed("the transport was closed meanwhile") from error
    except BaseException:
        future.cancel()
        raise
