"""Connections on which one asks: the counterparts of the client's ``Connection(s)`` and of the relay's caller."""

from __future__ import annotations

from onionpath.client.connections import surplus
from onionpath.errors import FIRST_EDGE, MalformedError, UnreachableError
from onionpath.link.frames import (
    AnswerBody,
    CallBody,
    Frame,
    FrameReader,
    Kind,
    decode_answer,
    encode_call,
    encode_frame,
)
from onionpath.link.neighbour import Neighbour
from onionpath.onion.geometry import Geometry, SizeClass
from onionpath.onion.packets import Packet
from simulations.virtual.heap import EventHeap, Promise
from simulations.virtual.wires import End, Fabric


class Connection:
    """Many exchanges at once over one wire; made by ``connect``."""

    def __init__(self, name: str, heap: EventHeap, geometry: Geometry) -> None:
        self.name = name
        self.is_usable = True
        self._heap = heap
        self._geometry = geometry
        self._reader = FrameReader(geometry)
        self._end: End | None = None
        self._exchanges: dict[int, Promise[Frame]] = {}
        self._next_exchange_id = 1
        self.heard = 0  # Writes of the other side, of whatever kind.

    @property
    def in_flight(self) -> int:
        """Exchanges that wait for their answer."""
        return len(self._exchanges)

    def use(self, end: End) -> None:
        """It stands."""
        self._end = end

    async def exchange(self, packet: Packet) -> Frame:
        """Send a packet and wait for the REPLY or REJECT that belongs to it.

        Raises:
            UnreachableError: the connection broke before the answer came.
        """
        return await self._exchange(
            Kind.REQUEST,
            packet.layer,
            size_class=packet.size_class,
            generation=packet.generation,
            slot=packet.slot,
        )

    async def ping(self) -> None:
        """Ask whether the relay is there, and wait until it says so.

        Raises:
            UnreachableError: the connection broke.
        """
        await self._exchange(Kind.PING, b"", size_class=SizeClass.SMALL)

    async def call(self, call: CallBody, *, size_class: SizeClass = SizeClass.SMALL) -> AnswerBody:
        """Ask the neighbour itself, without an onion.

        Raises:
            UnreachableError: the connection broke. MalformedError: the answer is not of the specified form.
        """
        frame = await self._exchange(Kind.CALL, encode_call(call), size_class=size_class)
        if frame.kind is not Kind.ANSWER:
            raise MalformedError("a call was answered by something else")
        return decode_answer(frame.body)

    async def _exchange(
        self,
        kind: Kind,
        body: bytes | memoryview,
        *,
        size_class: SizeClass,
        generation: int = 0,
        slot: int = 0,
    ) -> Frame:
        if self._end is None or not self._end.is_open:
            raise UnreachableError("the connection is closed", edge=FIRST_EDGE, sent=False)
        exchange_id, self._next_exchange_id = self._next_exchange_id, self._next_exchange_id + 1
        promise = self._exchanges[exchange_id] = Promise(self._heap)
        try:
            frame = encode_frame(
                self._geometry, kind, body,
                size_class=size_class, generation=generation, slot=slot, exchange_id=exchange_id,
            )  # fmt: skip
            self._end.send(frame)
            return await promise
        finally:
            # An abandoned exchange leaves no trace: its late reply is dropped in ``_handle``.
            self._exchanges.pop(exchange_id, None)

    def received(self, end: End, data: bytes) -> None:
        """A write arrives."""
        self.heard += 1
        self._reader.feed(data)
        while (frame := self._reader.next_frame()) is not None:
            self._handle(frame)
        self._reader.keep()

    def _handle(self, frame: Frame) -> None:
        if frame.kind in (Kind.REPLY, Kind.REJECT, Kind.ANSWER, Kind.PONG):
            promise = self._exchanges.get(frame.exchange_id)
            if promise is not None:
                promise.keep(frame._replace(body=bytes(frame.body)))
        elif frame.kind is Kind.GOING_AWAY:
            self.is_usable = False
        elif frame.kind is Kind.PING and self._end is not None:
            self._end.send(encode_frame(self._geometry, Kind.PONG, exchange_id=frame.exchange_id))

    def accepted(self, end: End) -> None:
        """Nobody calls us."""
        end.close()

    def written(self, end: End, size: int) -> None:
        """What we send is bounded by whoever asks."""

    def closed(self, end: End) -> None:
        """The other side is gone: whatever waited fails."""
        self.is_usable = False
        for promise in self._exchanges.values():
            promise.break_off(UnreachableError("the connection to the first hop broke", edge=FIRST_EDGE))

    async def aclose(self) -> None:
        """``close``, as the client's connection has it."""
        self.close()

    def close(self) -> None:
        """Close; what is under way fails."""
        if self._end is not None and self._end.is_open:
            self._end.close()
            self.closed(self._end)


async def connect(name: str, fabric: Fabric, neighbour: Neighbour, geometry: Geometry) -> Connection:
    """Reach a relay or an authority.

    Raises:
        UnreachableError: nobody answers there, or somebody else does.
    """
    connection = Connection(name, fabric.heap, geometry)
    made: Promise[End | None] = Promise(fabric.heap)
    arrived = _Arrival(made)
    fabric.call(connection, str(neighbour), neighbour.key_hash, arrived.take)
    try:
        end = await made
    finally:
        arrived.is_wanted = False
    if end is None:
        raise UnreachableError("hop 1 could not be reached", edge=FIRST_EDGE, sent=False)
    connection.use(end)
    if not end.is_open:
        connection.closed(end)
    return connection


class _Arrival:
    """A connection that is being made; one that comes after nobody waits for it is closed."""

    def __init__(self, made: Promise[End | None]) -> None:
        self._made = made
        self.is_wanted = True

    def take(self, end: End | None) -> None:
        if self.is_wanted:
            self._made.keep(end)
        elif end is not None:
            end.close()


class Connections:
    """One connection to each neighbour of a client, made when first needed, shared by everything."""

    def __init__(self, name: str, fabric: Fabric, geometry: Geometry) -> None:
        self._name, self._fabric, self._geometry = name, fabric, geometry
        self._open: dict[Neighbour, Connection] = {}
        self._making: dict[Neighbour, list[Promise[Connection]]] = {}

    async def to(self, neighbour: Neighbour) -> Connection:
        """An open connection; the caller sets the deadline.

        Raises:
            UnreachableError: nobody answers there, or somebody else does.
        """
        known = self._open.get(neighbour)
        if known is not None and known.is_usable:
            return known
        waiting = self._making.get(neighbour)
        if waiting is None:
            waiting = self._making[neighbour] = []
            # On its own, so that whoever asked first may give up without the others.
            self._fabric.heap.spawn(self._make(neighbour, waiting))
        promise: Promise[Connection] = Promise(self._fabric.heap)
        waiting.append(promise)
        return await promise

    async def _make(self, neighbour: Neighbour, waiting: list[Promise[Connection]]) -> None:
        try:
            connection = await connect(self._name, self._fabric, neighbour, self._geometry)
        except UnreachableError as error:
            del self._making[neighbour]
            for promise in waiting:
                promise.break_off(error)
            return
        del self._making[neighbour]
        self._open[neighbour] = connection
        self._close_surplus(neighbour)
        for promise in waiting:
            promise.keep(connection)

    def _close_surplus(self, newest: Neighbour) -> None:
        in_flight = {neighbour: connection.in_flight for neighbour, connection in self._open.items()}
        for neighbour in surplus(in_flight, newest):
            self._open.pop(neighbour).close()

    def close(self) -> None:
        """Close all of them; what is under way fails, and the next use makes new ones."""
        for connection in self._open.values():
            connection.close()
        self._open.clear()
