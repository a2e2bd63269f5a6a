"""The HTTP/1.1 of a connection to a Session node, one request at a time: bytes in, a response out. No socket.

| state | what may come |
|---|---|
| idle: before the first request, and after each whole response | ``ask`` |
| asked | the bytes of one response, at most 10 MiB |
| over: the node closes after this response, or broke HTTP | nothing |

The headers have the values that Session's Desktop sends (docs/specs/paths.md §6.7).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import h11

from onionpath.errors import MalformedError
from onionpath.onion.session_http import FREE_PIECES, MAX_BODY_SIZE, MAX_HEAD_SIZE, is_in_crumbs

ONION_PATH = b"/onion_req/v2"


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A whole response."""

    status: int
    body: bytes = field(repr=False)


class HttpExchange:
    """See the module's first lines."""

    def __init__(self, host: str) -> None:
        self._host = host.encode("ascii")
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD_SIZE)
        self._status = 0
        self._parts: list[bytes] = []
        self._size = 0
        self._announced = 0

    @property
    def is_idle(self) -> bool:
        """Whether a request may be sent."""
        # What came after a response would be taken for the next one.
        return self._http.our_state is h11.IDLE and not self._http.trailing_data[0]

    def ask(self, body: bytes) -> bytes:
        """The bytes of a request that posts an onion."""
        headers = [
            (b"Host", self._host),
            (b"User-Agent", b"WhatsApp"),
            (b"Accept-Language", b"en-us"),
            (b"Accept", b"*/*"),
            (b"Content-Length", b"%d" % len(body)),
            (b"Accept-Encoding", b"gzip,deflate"),
        ]
        self._status, self._parts, self._size, self._announced = 0, [], 0, 0
        parts = (
            self._http.send(h11.Request(method=b"POST", target=ONION_PATH, headers=headers)),
            self._http.send(h11.Data(body)),
            self._http.send(h11.EndOfMessage()),
        )
        return b"".join(part or b"" for part in parts)

    def receive(self, data: bytes) -> HttpResponse | None:
        """Take what came, nothing for the connection's end; the response once it is whole.

        Raises:
            MalformedError: this is no HTTP, nobody asked, or it is too long.
        """
        if self._http.our_state is h11.IDLE and data:
            raise MalformedError("a response came that nobody has asked for")
        try:
            self._http.receive_data(data)
            while True:
                event = self._http.next_event()
                if event is h11.NEED_DATA:
                    return None
                if isinstance(event, h11.EndOfMessage):
                    return self._whole()
                self._take(event)
        except h11.RemoteProtocolError as error:
            raise MalformedError("what came back is no HTTP") from error

    def _take(self, event: object) -> None:
        match event:
            case h11.Response():
                self._status = event.status_code
                if any(name == b"content-encoding" for name, _ in event.headers):
                    # Something was unpacked that we did not ask for: what packs well can be a thousand times longer.
                    raise MalformedError("the response is compressed")
            case h11.Data():
                self._parts.append(bytes(event.data))
                self._size += len(event.data)
                if self._size > MAX_BODY_SIZE:
                    raise MalformedError(f"the response has more than {MAX_BODY_SIZE} bytes")
                if is_in_crumbs(len(self._parts), self._size):
                    raise MalformedError("the response comes in too small parts")
            case h11.InformationalResponse():
                self._announced += 1
                if self._announced > FREE_PIECES:
                    raise MalformedError("a response is announced, and does not come")
            case _:
                raise MalformedError("the connection ended, or was switched to something else")

    def _whole(self) -> HttpResponse:
        response = HttpResponse(self._status, b"".join(self._parts))
        if self._http.their_state is h11.DONE and self._http.our_state is h11.DONE:
            self._http.start_next_cycle()
        self._parts = []
        return response
