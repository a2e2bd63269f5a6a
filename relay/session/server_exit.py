"""Posts opened layers to servers outside: one request for each connection, over the exit's only way to connect.

Nothing about the client goes along, and nothing of what went wrong comes back: an exit that told it would scan ports
for whoever asks. Spec: docs/specs/session-onion.md §6 and §13.
"""

from __future__ import annotations

import ssl

import trio

from onionpath.errors import MalformedError
from onionpath.onion.session_answers import HopAnswer
from onionpath.onion.session_lsrpc import LsrpcServer
from onionpath.onion.session_refusals import Refusal, refuse
from onionpath.onion.statuses import Reason
from onionpath.service.call_shares import CallShares
from onionpath.service.hosts import parse_host
from relay.exit.dial import Dialer
from relay.session.server_exchange import ServerExchange

TIMEOUT_S = 25.0  # as the original waits
READ_SIZE = 64 * 1024
# Of responses that have not come whole, of which one host alone may have half: six of the longest. Without it, whoever
# has a server that never ends its responses could have each place hold one of the longest.
MOST_HELD_BYTES = 128 * 1024 * 1024
# All of Session counts as one caller of the resolver: no lookups of its clients take more than a link's share.
CALLER = -1

_TOO_LATE = frozenset({Reason.NAME_TIMED_OUT, Reason.CONNECTION_TIMED_OUT})


class ServerExit:
    """An exit for requests to servers.

    Args:
        dialer: judges every address.
        tls: the calling side's context, which verifies servers.
        at_once: requests under way, each of which has a socket; more are answered as busy.
        most_bytes: of their responses, all together; what comes beyond is answered as busy too.
    """

    def __init__(
        self,
        dialer: Dialer,
        tls: ssl.SSLContext,
        *,
        at_once: int,
        most_bytes: int = MOST_HELD_BYTES,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._dialer = dialer
        self._tls = tls
        self._places = trio.CapacityLimiter(at_once)
        self._responses: CallShares[str] = CallShares(max_bytes=most_bytes)
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
            except (trio.BrokenResourceError, MalformedError):
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
            return await self._exchange(stream, server, posted)

    async def _exchange(self, stream: trio.abc.Stream, server: LsrpcServer, posted: bytes) -> HopAnswer:
        exchange = ServerExchange(server, posted)
        await stream.send_all(exchange.request)
        with self._responses.growing(server.host) as hold:
            while True:
                data = bytes(await stream.receive_some(READ_SIZE))
                if not hold(len(data)):
                    return _refused(Refusal.BUSY)
                answer = exchange.receive(data)
                if answer is not None:
                    return answer


def _refused(refusal: Refusal) -> HopAnswer:
    refused = refuse(refusal)
    return HopAnswer(refused.status, refused.body)
