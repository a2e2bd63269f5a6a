"""Posts opened layers to servers outside: one request for each connection, over the exit's only way to connect.

Nothing about the client goes along, and nothing of what went wrong comes back: an exit that told it would scan ports
for whoever asks. Spec: docs/specs/session-onion.md §6 and §13.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from types import MappingProxyType

import h11
import trio

from onionpath.onion.session_answers import HopAnswer
from onionpath.onion.session_framing import MAX_FRAMING_SIZE
from onionpath.onion.session_lsrpc import LsrpcServer
from onionpath.onion.session_refusals import Refusal, refuse
from onionpath.onion.statuses import Reason
from onionpath.service.hosts import parse_host
from relay.exit.dial import Dialer
from relay.session.http import PRODUCT

TIMEOUT_S = 25.0  # as the original waits
MAX_HEAD_SIZE = 16 * 1024  # bytes
MAX_RESPONSE_SIZE = MAX_FRAMING_SIZE
MAX_STATUS = 599  # no relay passes others on
READ_SIZE = 64 * 1024
# All of Session counts as one caller of the resolver: no lookups of its clients take more than a link's share.
CALLER = -1

_DEFAULT_PORTS: Mapping[str, int] = MappingProxyType({"https": 443, "http": 80})
_TOO_LATE = frozenset({Reason.NAME_TIMED_OUT, Reason.CONNECTION_TIMED_OUT})


class ServerExit:
    """An exit for requests to servers.

    Args:
        dialer: judges every address.
        tls: the calling side's context, which verifies servers.
        at_once: requests under way, each of which has a socket; more are answered as busy.
    """

    def __init__(
        self, dialer: Dialer, tls: ssl.SSLContext, *, at_once: int, timeout_s: float = TIMEOUT_S
    ) -> None:
        self._dialer = dialer
        self._tls = tls
        self._places = trio.CapacityLimiter(at_once)
        self._timeout_s = timeout_s

    async def post(self, server: LsrpcServer, posted: bytes) -> HopAnswer:
        """The server's status and body as they are, or a refusal."""
        place = object()
        try:
            self._places.acquire_on_behalf_of_nowait(place)
        except trio.WouldBlock:
            return _refused(Refusal.BUSY)
        try:
            return await self._post_in_time(server, posted)
        finally:
            self._places.release_on_behalf_of(place)

    async def _post_in_time(self, server: LsrpcServer, posted: bytes) -> HopAnswer:
        with trio.move_on_after(self._timeout_s):
            try:
                return await self._post(server, posted)
            except (trio.BrokenResourceError, h11.RemoteProtocolError):
                return _refused(Refusal.SERVER_UNREACHABLE)
        return _refused(Refusal.SERVER_TIMED_OUT)

    async def _post(self, server: LsrpcServer, posted: bytes) -> HopAnswer:
        host = parse_host(server.host.encode("ascii"))
        async with self._dialer.dial(host, server.port, CALLER) as connection:
            if isinstance(connection, Reason):
                is_late = connection in _TOO_LATE
                return _refused(Refusal.SERVER_TIMED_OUT if is_late else Refusal.SERVER_UNREACHABLE)
            stream: trio.abc.Stream = connection
            if server.protocol == "https":
                stream = trio.SSLStream(
                    connection, self._tls, server_hostname=server.host, https_compatible=True
                )
            return await _exchange(stream, server, posted)


async def _exchange(stream: trio.abc.Stream, server: LsrpcServer, posted: bytes) -> HopAnswer:
    http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD_SIZE)
    events = (_request(server, len(posted)), h11.Data(posted), h11.EndOfMessage())
    await stream.send_all(b"".join(http.send(event) or b"" for event in events))
    status, body = 0, bytearray()
    while True:
        match event := http.next_event():
            case h11.Response():
                status = event.status_code
            case h11.Data():
                body += event.data
                if len(body) > MAX_RESPONSE_SIZE:
                    return _refused(Refusal.SERVER_UNREACHABLE)
            case h11.EndOfMessage() if status <= MAX_STATUS:
                return HopAnswer(status, bytes(body))
            case h11.EndOfMessage():
                return _refused(Refusal.SERVER_UNREACHABLE)
            case h11.NEED_DATA:
                http.receive_data(bytes(await stream.receive_some(READ_SIZE)))


def _request(server: LsrpcServer, size: int) -> h11.Request:
    is_default = server.port == _DEFAULT_PORTS[server.protocol]
    host = server.host if is_default else f"{server.host}:{server.port}"
    headers = [
        (b"Host", host.encode("ascii")),
        (b"Accept", b"*/*"),
        (b"Content-Type", b"application/octet-stream"),
        (b"User-Agent", PRODUCT),
        (b"Content-Length", b"%d" % size),
    ]
    return h11.Request(method="POST", target=server.target, headers=headers)


def _refused(refusal: Refusal) -> HopAnswer:
    refused = refuse(refusal)
    return HopAnswer(refused.status, refused.body)
