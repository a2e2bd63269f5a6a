"""The door's sockets: accepts and speaks TLS; what is said inside is ``connection``'s.

A stream object for each connection costs some times what the links' driven ``ssl.MemoryBIO`` costs. Here a request is
a few reads and one write beside a key exchange, and the simpler code is worth it (docs/decisions/0012).
Spec: docs/specs/session-onion.md §12.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Sequence
from pathlib import Path

import structlog
import trio

from onionpath.injected import UnixTime
from relay.listener import Gate, accept_forever, source_of
from relay.session.connection import ClientConnection, DoorParts, Patience
from relay.session.places import Places
from relay.session.requests import Requests

log = structlog.get_logger(__name__)

GOODBYE_S = 1.0


def door_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """The answering side of the door's TLS.

    TLS 1.2 is offered too, since Session's clients run on telephones that know nothing newer.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(["http/1.1"])
    # A ticket would let whoever sees two connections know that one client made both.
    context.num_tickets = 0
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION
    return context


class HttpsDoor:
    """One relay's door for Session's clients.

    Args:
        listeners: sockets that listen already.
        tls: from ``door_context``.
        is_seed: whether it hands out the list of nodes.
        clock: Unix time that never goes back.
    """

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        tls: ssl.SSLContext,
        requests: Requests,
        *,
        gate: Gate,
        places: Places,
        is_seed: bool,
        clock: Callable[[], UnixTime],
        patience: Patience | None = None,
    ) -> None:
        self._listeners = listeners
        self._tls = tls
        self._requests = requests
        self._gate = gate
        self._places = places
        self._clock = clock
        self._accepting = trio.CancelScope()
        self._patience = patience or Patience()
        self._parts = DoorParts(requests, places, is_seed, lambda: self.is_draining, clock, self._patience)

    @property
    def is_draining(self) -> bool:
        """Whether it accepts nothing new and ends connections after the request under way."""
        return self._accepting.cancel_called

    @property
    def is_idle(self) -> bool:
        """Whether no request is under way."""
        return not self._places.requests

    async def run(self) -> None:
        """Serve until cancelled; once it drains, until the last connection has ended."""
        async with trio.open_nursery() as nursery:
            for listener in self._listeners:
                nursery.start_soon(self._accept, listener, nursery)

    def drain(self) -> None:
        """Accept nothing new; each connection ends after the request that is under way."""
        self._accepting.cancel()

    def counts(self) -> dict[str, int]:
        """Refused and failed connections by reason, and answers by status, since the start."""
        return self._gate.counts() | self._requests.counts()

    async def _accept(self, listener: socket.socket, nursery: trio.Nursery) -> None:
        with self._accepting:
            await accept_forever(listener, self._gate, self._serve, nursery, clock=self._clock)

    async def _serve(self, connection: socket.socket) -> None:
        source = source_of(str(connection.getpeername()[0]))
        inner = trio.SocketStream(trio.socket.from_stdlib_socket(connection))
        stream = trio.SSLStream(inner, self._tls, server_side=True, https_compatible=True)
        try:
            with trio.fail_after(self._patience.handshake_s):
                await stream.do_handshake()
            await ClientConnection(stream, source, self._parts).run()
            with trio.move_on_after(GOODBYE_S):
                await stream.aclose()
        except (trio.BrokenResourceError, trio.TooSlowError):
            self._gate.count("broke")
        except Exception as error:
            # A bug of ours must end one connection, not the relay.
            self._gate.count("bug")
            log.error("session_connection_failed", kind=type(error).__name__)
        finally:
            await trio.aclose_forcefully(inner)
