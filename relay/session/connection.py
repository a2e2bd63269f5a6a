"""One connection of a client: its requests, one after the other.

Each wait has a deadline, and no byte of a body is kept without a place for it. Who is too slow, or leaves, is let go
without a word. Spec: docs/specs/session-onion.md §12.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import trio

from onionpath.injected import UnixTime
from relay.session.http import Done, DoorHttp, Event, Head, Left, Part, Refused, Response
from relay.session.places import Place, Places
from relay.session.requests import BUSY, Requests
from relay.session.routes import Route, route_of

PIECE_SIZE = 64 * 1024  # bytes read or written at once
# A client that still sends its body would lose a refusal if the connection ended under it. What comes is not even
# decrypted, and these are half as many bytes again as a body may have.
LINGER_S = 5.0
LINGER_BYTES = 15 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a client is waited for, in seconds.

    Args:
        handshake_s: its TLS.
        head_s: a request on a connection that is open.
        part_s: the next bytes of a body, in either direction.
        body_s: all of a body: 10 MiB at 90 kB/s.
    """

    handshake_s: float = 10.0
    head_s: float = 60.0
    part_s: float = 15.0
    body_s: float = 120.0


@dataclass(frozen=True, slots=True)
class DoorParts:
    """What all connections share.

    Args:
        is_seed: whether the list of nodes is handed out.
        is_closing: whether no further request shall be begun.
        clock: Unix time that never goes back.
    """

    requests: Requests
    places: Places
    is_seed: bool
    is_closing: Callable[[], bool]
    clock: Callable[[], UnixTime]
    patience: Patience


class ClientConnection:
    """One connection, after its handshake.

    Args:
        source: where it came from, for counts and budgets.
    """

    def __init__(self, stream: trio.SSLStream[trio.SocketStream], source: str, parts: DoorParts) -> None:
        self._stream = stream
        self._source = source
        self._parts = parts
        self._http = DoorHttp()

    async def run(self) -> None:
        """Serve requests until there will be no more.

        Raises:
            trio.BrokenResourceError: the connection broke.
        """
        while await self._serve_one() and self._http.start_again():
            pass

    async def _serve_one(self) -> bool:
        match await self._event_within(self._parts.patience.head_s):
            case Head() as head:
                route = route_of(head, is_seed=self._parts.is_seed)
            case Refused(response):
                route = response
            case _:
                return False
        if isinstance(route, Response):
            return await self._refuse(route)
        with self._parts.places.entered(self._source) as place:
            return await (self._refuse(BUSY) if place is None else self._serve(route, place))

    async def _serve(self, route: Route, place: Place) -> bool:
        body = await self._read_body(place)
        if body is None:
            return False
        if isinstance(body, Response):
            return await self._refuse(body)
        response = await self._parts.requests.answer(route, body, source=self._source)
        if response is BUSY or not place.hold(len(response.body)):
            # Who goes on asking over the same connection would be refused at our cost, as often as he likes.
            return await self._refuse(BUSY)
        return await self._respond(response, is_last=self._parts.is_closing())

    async def _read_body(self, place: Place) -> bytes | Response | None:
        """The body, or what to answer instead of reading on; None if the client is gone or too slow."""
        body = bytearray()
        with trio.move_on_after(self._parts.patience.body_s):
            if go_ahead := self._http.go_ahead():
                await self._stream.send_all(go_ahead)
            while True:
                match await self._event_within(self._parts.patience.part_s):
                    case Part(data):
                        if not place.hold(len(data)):
                            return BUSY
                        body += data
                    case Done():
                        return bytes(body)
                    case Refused(response):
                        return response
                    case _:
                        return None
        return None

    async def _event_within(self, seconds: float) -> Event:
        event = self._http.next_event()
        if event is not None:
            return event
        with trio.move_on_after(seconds):
            while event is None:
                self._http.receive(bytes(await self._stream.receive_some(PIECE_SIZE)))
                event = self._http.next_event()
            return event
        return Left()

    async def _refuse(self, response: Response) -> bool:
        """Answer a request that may not have come whole, and be done with its connection."""
        if await self._respond(response, is_last=True):
            await self._stream.transport_stream.send_eof()
            with trio.move_on_after(LINGER_S):
                await self._read_in_vain()
        return False

    async def _read_in_vain(self) -> None:
        left = LINGER_BYTES
        while left > 0 and (data := await self._stream.transport_stream.receive_some(PIECE_SIZE)):
            left -= len(data)

    async def _respond(self, response: Response, *, is_last: bool) -> bool:
        """Write a response; False if the client takes too long for it."""
        data = memoryview(self._http.respond(response, now=self._parts.clock(), is_last=is_last))
        with trio.move_on_after(self._parts.patience.body_s):
            for start in range(0, len(data), PIECE_SIZE):
                with trio.move_on_after(self._parts.patience.part_s) as waiting:
                    await self._stream.send_all(data[start : start + PIECE_SIZE])
                if waiting.cancelled_caught:
                    return False
            return True
        return False
