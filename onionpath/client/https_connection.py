"""A connection to a Session node: TLS, with the certificate checked where the list of nodes has its hash.

| a connection is … | until … |
|---|---|
| idle | it is asked, or the node ends it, which is no failure |
| busy: one request is under way | its response is whole; cancelled, or broken, the connection is over |
| over | – |
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from contextlib import suppress

import anyio
from anyio.abc import ByteStream
from anyio.streams.tls import TLSAttribute, TLSStream

from onionpath.client.dial import Dial
from onionpath.client.http_exchange import HttpExchange, HttpResponse
from onionpath.crypto.certificates import certificate_key_hash
from onionpath.errors import FIRST_EDGE, MalformedError, UnreachableError, WrongPeerError
from onionpath.swarm.nodes import SessionNode

CONNECT_TIMEOUT_S = 10.0
READ_SIZE = 64 * 1024  # bytes

# What using a connection that is over, or was closed meanwhile, ends with.
BROKEN = (
    OSError,
    anyio.EndOfStream,
    anyio.BrokenResourceError,
    anyio.ClosedResourceError,
    anyio.BusyResourceError,
)


def https_context() -> ssl.SSLContext:
    """TLS to Session nodes: nobody vouches for their certificates, which they make themselves.

    TLS 1.2 is allowed, because nodes of the original may know nothing newer.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    # ``_check_certificate`` pins the key where it is known. Otherwise this is unauthenticated, as in all clients of
    # the format: the seals of the layers protect what is asked, and nothing protects the lengths (§10).
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    return context


class _Asked:
    """A request under way."""

    __slots__ = ("done", "response", "sending", "was_heard")

    def __init__(self) -> None:
        # A node may refuse before it has read all, and read no more then.
        self.sending = anyio.CancelScope()
        self.done = anyio.Event()
        self.response: HttpResponse | None = None
        self.was_heard = False


class HttpsConnection:
    """Make it with ``connect_https``, then keep ``run`` running for as long as it is used.

    Args:
        heard: is called whenever something came.
    """

    def __init__(self, stream: ByteStream, host: str, *, heard: Callable[[], None]) -> None:
        self._stream = stream
        self._http = HttpExchange(host)
        self._heard = heard
        self._asked: _Asked | None = None
        self._is_new = True
        self._is_open = True
        self._is_closed_by_us = False

    @property
    def is_idle(self) -> bool:
        """Whether a request may be sent over it."""
        return self._is_open and self._http.is_idle

    async def post(self, body: bytes) -> HttpResponse:
        """Send an onion and wait for the response; the caller sets the deadline. A call that is cancelled ends it.

        Raises:
            UnreachableError: the connection broke before the response was whole.
        """
        asked = self._asked = _Asked()
        try:
            with asked.sending:
                await self._send(self._http.ask(body))
            await asked.done.wait()
        finally:
            if asked.response is None or asked.sending.cancelled_caught:
                # Half a request, or half a response, is of no use to the next.
                await self._end()
        if asked.response is None:
            raise self._broken(asked)
        self._is_new = False
        return asked.response

    async def _send(self, data: bytes) -> None:
        try:
            await self._stream.send(data)
        except BROKEN:
            # What came before that counts.
            await self._end()

    async def run(self) -> None:
        """Read until the connection ends; what is under way then fails."""
        try:
            while self._is_open:
                self._take(await self._stream.receive(READ_SIZE))
        except anyio.EndOfStream:
            # The end of the connection is the end of a response without a length.
            with suppress(MalformedError):
                self._read(b"")
        except (*BROKEN, MalformedError):
            pass
        finally:
            await self._end()

    def _take(self, data: bytes) -> None:
        self._heard()
        if self._asked is not None:
            self._asked.was_heard = True
        self._read(data)

    def _read(self, data: bytes) -> None:
        response = self._http.receive(data)
        if response is not None and self._asked is not None:
            self._asked.response = response
            self._asked.sending.cancel()
            self._asked.done.set()

    def _broken(self, asked: _Asked) -> UnreachableError:
        # A node ends a connection that was idle for long whenever it likes, also at the moment of the next request.
        is_nobodys = not (self._is_new or asked.was_heard or self._is_closed_by_us)
        message = "the connection to the first hop broke, or what came over it is no response"
        return UnreachableError(message, edge=None if is_nobodys else FIRST_EDGE)

    async def aclose(self) -> None:
        """Close, because the node is not there; what is under way fails with ``UnreachableError``."""
        self._is_closed_by_us = True
        await self._end()

    async def _end(self) -> None:
        self._is_open = False
        if self._asked is not None:
            self._asked.done.set()
        # It waits for nothing: no farewell is said in TLS.
        with anyio.CancelScope(shield=True):
            await self._stream.aclose()


async def connect_https(
    node: SessionNode, context: ssl.SSLContext, dial: Dial, *, heard: Callable[[], None]
) -> HttpsConnection:
    """Reach a node, and check its certificate if the list has the hash of its key.

    Raises:
        UnreachableError: nobody answers there within 10 s. WrongPeerError: somebody else does.
    """
    try:
        with anyio.fail_after(CONNECT_TIMEOUT_S):
            transport = await dial(node.host, node.https_port)
            try:
                stream = await TLSStream.wrap(
                    transport, server_side=False, ssl_context=context, standard_compatible=False
                )
                _check_certificate(stream, node)
            except BaseException:
                with anyio.CancelScope(shield=True):
                    await transport.aclose()
                raise
    except TimeoutError as error:
        message = f"{_name(node)} did not answer in {CONNECT_TIMEOUT_S:.0f} s"
        raise UnreachableError(message, edge=FIRST_EDGE, sent=False) from error
    except BROKEN as error:
        raise UnreachableError(f"{_name(node)} could not be reached", edge=FIRST_EDGE, sent=False) from error
    return HttpsConnection(stream, _name(node), heard=heard)


def _check_certificate(stream: TLSStream, node: SessionNode) -> None:
    if node.certificate_hash is None:
        return
    der = stream.extra_attributes[TLSAttribute.peer_certificate_binary]()
    try:
        matches = der is not None and certificate_key_hash(der) == node.certificate_hash
    except MalformedError:
        matches = False
    if not matches:
        message = f"somebody else answers at {_name(node)}: its certificate is not the one that was promised"
        raise WrongPeerError(message, peer=_name(node))


def _name(node: SessionNode) -> str:
    return f"{node.host}:{node.https_port}"
