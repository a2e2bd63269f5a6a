"""The HTTP/1.1 of one connection of the door: bytes in, requests out; responses in, bytes out. No socket.

| after                | comes                                           |
|----------------------|--------------------------------------------------|
| the start            | ``Head``                                        |
| ``Head``             | any number of ``Part``, then ``Done``           |
| ``Done``             | nothing until ``respond``, then ``Head`` again  |
| ``Refused``          | nothing: respond with it and close              |
| ``Left``             | nothing: close                                  |

``None`` stands for "not yet" throughout. Spec: docs/specs/session-onion.md §12.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus

import h11

from onionpath.injected import UnixTime
from onionpath.onion.session_http import MAX_BODY_SIZE, MAX_HEAD_SIZE, is_in_crumbs
from onionpath.onion.session_refusals import Refusal
from onionpath.swarm.node_list import STORAGE_VERSION

# Sixteen kilobytes in lines of four bytes would cost us as much as ten key exchanges.
MAX_HEAD_LINES = 100
_HEAD_END = re.compile(rb"\n\r?\n")
# What the original calls itself, at its exits as well.
PRODUCT = b"Oxen Storage Server/%d.%d.%d" % STORAGE_VERSION

Headers = Sequence[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Response:
    """What a request is answered; ``headers`` are those beside the usual ones."""

    status: int
    body: bytes = field(default=b"", repr=False)
    content_type: bytes = b"text/plain"
    headers: Headers = ()


@dataclass(frozen=True, slots=True)
class Head:
    """The beginning of a request."""

    method: bytes
    target: bytes


@dataclass(frozen=True, slots=True)
class Part:
    """Some bytes of its body."""

    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Done:
    """The request has come whole."""


@dataclass(frozen=True, slots=True)
class Refused:
    """There is no use in reading on."""

    response: Response


@dataclass(frozen=True, slots=True)
class Left:
    """The client wants no more."""


Event = Head | Part | Done | Refused | Left

NO_HTTP = Response(400, b"Bad Request")
TOO_LARGE = Response(Refusal.TOO_LARGE.status, Refusal.TOO_LARGE.text.encode())


class DoorHttp:
    """One connection's HTTP."""

    def __init__(self) -> None:
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_SIZE)
        self._size = 0  # bytes of body, as declared or as counted so far
        self._chunks = 0
        self._is_chunked = False
        self._wants_body = True

    def receive(self, data: bytes) -> None:
        """Take bytes of the client; none for its end."""
        self._http.receive_data(data)

    def next_event(self) -> Event | None:
        """What the bytes so far say; None if more are needed."""
        if self._size > MAX_BODY_SIZE:
            return Refused(TOO_LARGE)
        if self._http.their_state is h11.IDLE and has_long_head(self._http):
            return Refused(NO_HTTP)
        try:
            event = self._http.next_event()
        except h11.RemoteProtocolError:
            return Refused(NO_HTTP)
        match event:
            case h11.Request():
                return self._begin(event)
            case h11.Data():
                return self._take(event)
            case h11.EndOfMessage():
                # Nobody's clients send headers behind a body, and nothing bounds the lines of these.
                return Refused(NO_HTTP) if event.headers else Done()
            case h11.ConnectionClosed():
                return Left()
        return None

    def go_ahead(self) -> bytes:
        """What a client that asked whether to send its body is waiting for; empty if it did not ask."""
        if not self._http.they_are_waiting_for_100_continue or self._size > MAX_BODY_SIZE:
            return b""
        return (
            self._http.send(h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue")) or b""
        )

    def respond(self, response: Response, *, now: UnixTime, is_last: bool) -> bytes:
        """The response as bytes; after the last one nothing can be read any more."""
        headers: list[tuple[bytes, bytes]] = [
            (b"Server", PRODUCT),
            (b"Content-Type", response.content_type),
            (b"Date", formatdate(now, usegmt=True).encode()),
            *response.headers,
            (b"Content-Length", b"%d" % len(response.body)),
        ]
        if is_last:
            headers.append((b"Connection", b"close"))
        head = h11.Response(status_code=response.status, headers=headers, reason=_reason(response.status))
        sent = (
            self._http.send(head),
            self._http.send(h11.Data(response.body if self._wants_body else b"")),
            self._http.send(h11.EndOfMessage()),
        )
        return b"".join(part or b"" for part in sent)

    def start_again(self) -> bool:
        """Get ready for the next request after a response; False if there will be none."""
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        self._size = 0
        return True

    def _begin(self, request: h11.Request) -> Head | Refused:
        lengths = [value for name, value in request.headers if name == b"content-length"]
        if lengths and any(name == b"transfer-encoding" for name, _ in request.headers):
            # Of two lengths each reader believes another one.
            return Refused(NO_HTTP)
        self._size = int(lengths[0]) if lengths else 0
        self._chunks, self._is_chunked = 0, not lengths
        self._wants_body = request.method != b"HEAD"
        return Head(request.method, request.target)

    def _take(self, data: h11.Data) -> Part | Refused:
        if not self._is_chunked:
            return Part(bytes(data.data))
        self._size += len(data.data)
        self._chunks += data.chunk_start
        if is_in_crumbs(self._chunks, self._size):
            return Refused(NO_HTTP)
        return Refused(TOO_LARGE) if self._size > MAX_BODY_SIZE else Part(bytes(data.data))


def has_long_head(http: h11.Connection) -> bool:
    """Whether the head that stands next has too many bytes or lines; h11 would read all of it before it says so."""
    data, _ = http.trailing_data
    end = _HEAD_END.search(data)
    head = data[: end.start()] if end else data
    return len(head) > MAX_HEAD_SIZE or head.count(b"\n") > MAX_HEAD_LINES


def _reason(status: int) -> bytes:
    try:
        return HTTPStatus(status).phrase.encode()
    except ValueError:
        return b""
