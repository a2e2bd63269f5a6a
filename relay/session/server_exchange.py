"""One request to a server and its response, as bytes out and bytes in; no socket.

Spec: docs/specs/session-onion.md §13.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import h11

from onionpath.errors import MalformedError
from onionpath.onion.session_answers import HopAnswer
from onionpath.onion.session_http import MAX_BODY_SIZE, MAX_HEAD_SIZE, is_in_crumbs
from onionpath.onion.session_lsrpc import LsrpcServer
from relay.session.http import PRODUCT, has_long_head

MAX_STATUS = 599  # no relay passes others on

_DEFAULT_PORTS: Mapping[str, int] = MappingProxyType({"https": 443, "http": 80})


class ServerExchange:
    """Send ``request``, then ``receive`` until it gives the answer."""

    def __init__(self, server: LsrpcServer, posted: bytes) -> None:
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD_SIZE)
        events = (_request(server, len(posted)), h11.Data(posted), h11.EndOfMessage())
        self.request = b"".join(self._http.send(event) or b"" for event in events)
        self._status = 0
        self._body = bytearray()
        self._pieces = 0  # chunks, and responses that only announce another one

    def receive(self, data: bytes) -> HopAnswer | None:
        """Take bytes of the server, none for its end; the answer, once it is whole.

        Raises:
            MalformedError: it is no response, or one beyond the bounds.
        """
        self._http.receive_data(data)
        try:
            while (event := self._next_event()) is not h11.NEED_DATA:
                if isinstance(event, h11.EndOfMessage):
                    return HopAnswer(self._status, bytes(self._body))
                self._take(event)
        except h11.RemoteProtocolError as error:
            raise MalformedError("a server's response is no HTTP") from error
        return None

    def _next_event(self) -> object:
        if self._http.their_state is h11.SEND_RESPONSE and has_long_head(self._http):
            raise MalformedError("a server's response has too long a head")
        return self._http.next_event()

    def _take(self, event: object) -> None:
        match event:
            case h11.Response():
                self._status = event.status_code
            case h11.Data():
                self._body += event.data
                self._pieces += event.chunk_start
            case _:
                self._pieces += 1
        if self._status > MAX_STATUS or len(self._body) > MAX_BODY_SIZE:
            raise MalformedError("a server's response is too long, or has a status of its own")
        if is_in_crumbs(self._pieces, len(self._body)):
            raise MalformedError("a server's response comes in crumbs")


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
