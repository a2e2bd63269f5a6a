"""A connection from the client to one relay: many exchanges at once over one TLS session."""

from __future__ import annotations

import ssl
from types import TracebackType

import anyio
from anyio.abc import SocketStream

from onionpath.client.dial import Dial, dial_directly
from onionpath.errors import FIRST_EDGE, MalformedError, PeerError, UnreachableError, WrongPeerError
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
from onionpath.link.tls import TlsSession
from onionpath.onion.geometry import Geometry, SizeClass
from onionpath.onion.packets import Packet

CONNECT_TIMEOUT_S = 10.0
READ_SIZE = 256 * 1024


class _Exchange:
    """One request that waits for its frame."""

    __slots__ = ("done", "frame")

    def __init__(self) -> None:
        self.done = anyio.Event()
        self.frame: Frame | None = None


class Connection:
    """Make it with ``connect``, then keep ``run`` running for as long as it is used."""

    def __init__(self, stream: SocketStream, tls: TlsSession, geometry: Geometry) -> None:
        self._stream = stream
        self._tls = tls
        self._geometry = geometry
        self._reader = FrameReader(geometry)
        self._exchanges: dict[int, _Exchange] = {}
        self._next_exchange_id = 1
        self._sending = anyio.Lock()
        self._is_open = True
        self._going_away = False
        self._pongs: list[bytes] = []
        self.heard = 0  # Chunks, of whatever kind.

    @property
    def is_usable(self) -> bool:
        """False once it broke, or the relay asked to send nothing new."""
        return self._is_open and not self._going_away

    @property
    def in_flight(self) -> int:
        """Exchanges that wait for their answer."""
        return len(self._exchanges)

    async def exchange(self, packet: Packet) -> Frame:
        """Send a packet and wait for the REPLY or REJECT that belongs to it; the caller sets the deadline.

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
        """Ask whether the relay is there, and wait until it says so; the caller sets the deadline.

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
        exchange_id = self._next_exchange_id
        self._next_exchange_id += 1
        exchange = self._exchanges[exchange_id] = _Exchange()
        try:
            frame = encode_frame(
                self._geometry, kind, body,
                size_class=size_class, generation=generation, slot=slot, exchange_id=exchange_id,
            )  # fmt: skip
            await self._send(frame)
            await exchange.done.wait()
        finally:
            # An abandoned exchange leaves no trace: its late reply is dropped in ``_handle``.
            self._exchanges.pop(exchange_id, None)
        if exchange.frame is None:
            raise UnreachableError("the connection to the first hop broke", edge=FIRST_EDGE)
        return exchange.frame

    async def _send(self, data: bytes) -> None:
        async with self._sending:
            if not self._is_open:
                raise UnreachableError(
                    "the connection to the first hop is closed", edge=FIRST_EDGE, sent=False
                )
            # A half-sent TLS record would garble all that follows, so this is not interrupted; it is bounded by
            # the reader noticing a dead connection.
            with anyio.CancelScope(shield=True):
                try:
                    self._tls.write(data)
                    with anyio.fail_after(CONNECT_TIMEOUT_S):
                        await self._stream.send(self._tls.take())
                except (
                    anyio.BrokenResourceError,
                    anyio.ClosedResourceError,
                    TimeoutError,
                    PeerError,
                ) as error:
                    self._break()
                    raise UnreachableError(
                        "the connection to the first hop broke", edge=FIRST_EDGE
                    ) from error

    async def run(self) -> None:
        """Read until the connection ends; whatever waited then fails."""
        buffer = memoryview(bytearray(READ_SIZE))
        try:
            while self._is_open:
                while filled := self._tls.read_into(buffer):
                    self._take(buffer[:filled])
                while self._pongs:
                    await self._send(self._pongs.pop())
                self._tls.feed(await self._stream.receive(READ_SIZE))
                self.heard += 1
        except (
            anyio.EndOfStream,
            anyio.BrokenResourceError,
            anyio.ClosedResourceError,
            EOFError,
            PeerError,
            UnreachableError,
        ):
            pass
        finally:
            self._break()
            with anyio.CancelScope(shield=True):
                await self._stream.aclose()

    def _take(self, data: memoryview) -> None:
        self._reader.feed(data)
        while (frame := self._reader.next_frame()) is not None:
            self._handle(frame)
        self._reader.keep()

    def _handle(self, frame: Frame) -> None:
        if frame.kind in (Kind.REPLY, Kind.REJECT, Kind.ANSWER, Kind.PONG):
            exchange = self._exchanges.get(frame.exchange_id)
            if exchange is not None:
                exchange.frame = frame._replace(body=bytes(frame.body))
                exchange.done.set()
        elif frame.kind is Kind.GOING_AWAY:
            self._going_away = True
        elif frame.kind is Kind.PING:
            self._pongs.append(encode_frame(self._geometry, Kind.PONG, exchange_id=frame.exchange_id))

    def _break(self) -> None:
        self._is_open = False
        for exchange in self._exchanges.values():
            exchange.done.set()

    async def aclose(self) -> None:
        """Close; what is under way fails with ``UnreachableError``."""
        self._break()
        await self._stream.aclose()

    async def __aenter__(self) -> Connection:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


async def connect(
    neighbour: Neighbour, geometry: Geometry, context: ssl.SSLContext, dial: Dial = dial_directly
) -> Connection:
    """Reach a relay and check that it holds the expected link key.

    Raises:
        UnreachableError: nobody answers there within 10 s. WrongPeerError: somebody else does.
    """
    try:
        with anyio.fail_after(CONNECT_TIMEOUT_S):
            stream = await dial(neighbour.host, neighbour.port)
            try:
                tls = await _shake_hands(stream, context)
                _check_peer(tls, neighbour)
            except BaseException:
                with anyio.CancelScope(shield=True):
                    await stream.aclose()
                raise
    except TimeoutError as error:
        message = f"{neighbour} did not answer in {CONNECT_TIMEOUT_S:.0f} s"
        raise UnreachableError(message, edge=FIRST_EDGE, sent=False) from error
    except (OSError, anyio.EndOfStream, anyio.BrokenResourceError) as error:
        raise UnreachableError(f"{neighbour} could not be reached", edge=FIRST_EDGE, sent=False) from error
    return Connection(stream, tls, geometry)


def _check_peer(tls: TlsSession, neighbour: Neighbour) -> None:
    try:
        tls.check_peer(neighbour.key_hash)
    except WrongPeerError as error:
        message = f"somebody else answers at {neighbour}: its link key is not the one that was promised"
        raise WrongPeerError(message, peer=str(neighbour)) from error


async def _shake_hands(stream: SocketStream, context: ssl.SSLContext) -> TlsSession:
    tls = TlsSession(context, server_side=False)
    while not tls.shake_hands():
        await stream.send(tls.take())
        tls.feed(await stream.receive(READ_SIZE))
    await stream.send(tls.take())
    return tls
