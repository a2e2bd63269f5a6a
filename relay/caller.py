"""A relay as somebody who asks: unsealed calls to an authority or a mirror, over a connection of their own."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from onionpath.errors import MalformedError, PeerError, UnreachableError
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
from onionpath.onion.geometry import Geometry
from relay.links import connect
from relay.wire import Wire

READ_SIZE = 64 * 1024
# A socket that always has more would otherwise keep the thread that carries everybody's packets: about 1 ms.
READ_AT_ONCE = 1024 * 1024


class Caller:
    """One connection, one call at a time."""

    def __init__(self, wire: Wire, geometry: Geometry) -> None:
        self._wire = wire
        self._geometry = geometry
        self._reader = FrameReader(geometry)
        self._received = memoryview(bytearray(READ_SIZE))
        self._plaintext = memoryview(bytearray(READ_SIZE))
        self._exchange_id = 0
        self._read_since_pause = 0

    async def call(self, call: CallBody) -> AnswerBody:
        """Ask, and wait for the answer; the caller sets the deadline.

        Raises:
            UnreachableError: the connection broke. MalformedError: the answer has not the specified form.
        """
        self._exchange_id += 1
        frame = encode_frame(self._geometry, Kind.CALL, encode_call(call), exchange_id=self._exchange_id)
        try:
            self._wire.put(frame)
            await self._wire.flush()
            while True:
                answer = self._reader.next_frame()
                if answer is None:
                    await self._read()
                elif answer.kind is Kind.ANSWER and answer.exchange_id == self._exchange_id:
                    return self._decode(answer)
        except MalformedError:
            raise
        except (OSError, EOFError, PeerError) as error:
            # Of the errors of a peer only damage to TLS is left, and that may be anybody's on the way.
            raise UnreachableError("the connection broke") from error

    async def _read(self) -> None:
        while not (filled := self._wire.tls.read_into(self._plaintext)):
            count = await self._wire.receive(self._received)
            self._wire.tls.feed(self._received[:count])
            self._read_since_pause += count
            if self._read_since_pause >= READ_AT_ONCE:
                self._read_since_pause = 0
                await trio.lowlevel.checkpoint()
        self._reader.feed(bytes(self._plaintext[:filled]))

    def _decode(self, answer: Frame) -> AnswerBody:
        decoded = decode_answer(answer.body)
        self._reader.keep()
        return decoded


@asynccontextmanager
async def calling(neighbour: Neighbour, geometry: Geometry, context: ssl.SSLContext) -> AsyncIterator[Caller]:
    """A connection to one neighbour whose link key was checked; the caller sets the deadline.

    Raises:
        UnreachableError: it can't be reached, or somebody else is there.
    """
    async with wired(neighbour, context) as wire:
        yield Caller(wire, geometry)


@asynccontextmanager
async def wired(neighbour: Neighbour, context: ssl.SSLContext) -> AsyncIterator[Wire]:
    """The same, without a word of what is said over it."""
    sock = await connect(neighbour)
    if sock is None:
        raise UnreachableError(f"{neighbour.host}:{neighbour.port} could not be reached")
    with sock:
        wire = Wire(0, sock, TlsSession(context, server_side=False))
        await _greet(wire, neighbour)
        # What is raised while the connection is used is no word about how it was made.
        yield wire
    await trio.lowlevel.checkpoint()


async def _greet(wire: Wire, neighbour: Neighbour) -> None:
    try:
        await wire.shake_hands(memoryview(bytearray(16 * 1024)))
        wire.tls.check_peer(neighbour.key_hash)
    except (OSError, EOFError) as error:
        raise UnreachableError(f"{neighbour.host}:{neighbour.port} broke the connection") from error
    except PeerError as error:
        raise UnreachableError(f"{neighbour.host}:{neighbour.port}: {error}") from error
