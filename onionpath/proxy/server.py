"""``ProxyServer``: takes programs' connections, hears what they want, and joins each to a stream of the client."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import anyio
import h11
from anyio.abc import ByteStream, Listener

from onionpath.errors import OnionPathError, WebsiteError
from onionpath.proxy.errand import Errand
from onionpath.proxy.failures import Failure, SocksCode, failure_of
from onionpath.proxy.handshake import Access, Handshake, Wanted
from onionpath.proxy.http import NO_REQUEST, HttpHandshake
from onionpath.proxy.socks import VERSION, SocksHandshake, refuse_version_4
from onionpath.proxy.tunnel import ENDS, READ_SIZE, Idleness, tunnel


@dataclass(frozen=True, slots=True)
class ProxyLimits:
    """What one proxy takes on.

    Args:
        connections: at a time; a browser has some dozens.
        handshake_s: until a program has said what it wants.
        open_s: until the exit is connected.
        idle_s: without a byte in either direction; an hour suits chats that say something now and then.
    """

    connections: int = 256
    handshake_s: float = 15.0
    open_s: float = 40.0
    idle_s: float = 3_600.0


class OpenStream(Protocol):
    """``Client.open_stream``."""

    async def __call__(
        self, host: str, port: int, *, isolation: str | None = None, deadline_s: float = ...
    ) -> ByteStream:
        """A connection from an exit to a host."""
        ...


def _nobody(reason: str) -> None:
    """For those who want no notices."""


def _untold(wanted: Wanted, failure: Failure) -> None:
    """For those who leave failures to the programs."""


class ProxyServer:
    """A proxy over one client.

    Args:
        open_stream: the client's.
        notice: told each named reason when it is counted for the first time.
        failed: told each failure of what a program asked for; programs seldom show what they are told.
    """

    def __init__(
        self,
        open_stream: OpenStream,
        *,
        access: Access | None = None,
        limits: ProxyLimits | None = None,
        notice: Callable[[str], None] = _nobody,
        failed: Callable[[Wanted, Failure], None] = _untold,
    ) -> None:
        self._open_stream = open_stream
        self._access = access or Access()
        self._limits = limits or ProxyLimits()
        self._notice = notice
        self._failed = failed
        self._counts: Counter[str] = Counter()
        self._open = 0

    @property
    def counts(self) -> Mapping[str, int]:
        """What happened how often, by named reason."""
        return dict(self._counts)

    async def serve(self, listener: Listener[ByteStream]) -> None:
        """Take connections until cancelled; then all of them end."""
        async with listener:
            await listener.serve(self.handle)

    async def handle(self, program: ByteStream) -> None:
        """One connection from its first byte to its end; whatever goes wrong on it ends no other."""
        if self._open >= self._limits.connections:
            self._count("too_many_connections")
            await anyio.aclose_forcefully(program)
            return
        self._open += 1
        try:
            async with program:
                await self._handle(program)
        except* (*ENDS, anyio.EndOfStream):
            self._count("program_hung_up")
        except* Exception as group:
            # What nobody foresaw must cost one program its connection, not all of them theirs.
            self._count(f"failed_by_{type(_first(group)).__name__}")
        finally:
            self._open -= 1

    async def _handle(self, program: ByteStream) -> None:
        with anyio.move_on_after(self._limits.handshake_s) as scope:
            heard = await self._hear(program)
        if scope.cancelled_caught:
            self._count("handshake_timed_out")
        elif heard is not None:
            handshake, outcome = heard
            if isinstance(outcome, Failure):
                await self._refuse(program, handshake, outcome)
            else:
                await self._connect(program, handshake, outcome)

    async def _hear(self, program: ByteStream) -> tuple[Handshake, Wanted | Failure] | None:
        """The handshake up to its outcome; None if it is of a kind that is not spoken here."""
        data = await program.receive(READ_SIZE)
        # The first byte tells: 5 begins no method of HTTP.
        if data[0] == 4:
            self._count("socks_4")
            await program.send(refuse_version_4())
            return None
        kind = SocksHandshake if data[0] == VERSION else HttpHandshake
        handshake: Handshake = kind(self._access)
        while True:
            send, outcome = handshake.hear(data)
            if send:
                await program.send(send)
            if outcome is not None:
                return handshake, outcome
            data = await program.receive(READ_SIZE)

    async def _refuse(self, program: ByteStream, handshake: Handshake, failure: Failure) -> None:
        self._count(f"refused_{failure.code.name.lower()}")
        reply = handshake.failed(failure)
        if reply:
            await program.send(reply)
            await program.send_eof()

    async def _connect(self, program: ByteStream, handshake: Handshake, wanted: Wanted) -> None:
        if wanted.is_by_number:
            self._count("address_by_number")
        try:
            stream = await self._open_stream(
                wanted.host, wanted.port, isolation=wanted.isolation, deadline_s=self._limits.open_s
            )
        except OnionPathError as error:
            failure = failure_of(error)
            self._failed(wanted, failure)
            await self._refuse(program, handshake, failure)
            return
        self._count("connected")
        try:
            await self._carry(program, handshake, stream, wanted)
        finally:
            await stream.aclose()

    async def _carry(
        self, program: ByteStream, handshake: Handshake, stream: ByteStream, wanted: Wanted
    ) -> None:
        if isinstance(handshake, HttpHandshake) and handshake.by_url is not None:
            errand = Errand(handshake.connection, handshake.by_url)
            failure = await _run_errand(program, stream, errand, Idleness(self._limits.idle_s))
            if failure is not None:
                self._failed(wanted, failure)
                await self._refuse(program, handshake, failure)
            return
        reply, early = handshake.connected()
        await program.send(reply)
        if early:
            await stream.send(early)
        await tunnel(program, stream, idle_s=self._limits.idle_s)

    def _count(self, reason: str) -> None:
        self._counts[reason] += 1
        if self._counts[reason] == 1:
            self._notice(reason)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """One of the errors in a group of groups, to stand for all."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def _run_errand(
    program: ByteStream, stream: ByteStream, errand: Errand, idleness: Idleness
) -> Failure | None:
    """Carry a request and its response, or say why there is none.

    Before the response has begun the program is told; afterwards it sees that it ends too early.
    """
    failure: Failure | None = None
    try:
        with idleness.scope:
            await stream.send(errand.begin())
            async with anyio.create_task_group() as asking:
                asking.start_soon(_ask, program, stream, errand, idleness)
                await _answer(program, stream, errand, idleness)
                asking.cancel_scope.cancel()
    except* WebsiteError as group:
        failure = Failure(SocksCode.FAILED, 502, str(_first(group)))
    except* h11.ProtocolError:
        failure = NO_REQUEST
    return failure


async def _ask(program: ByteStream, stream: ByteStream, errand: Errand, idleness: Idleness) -> None:
    """The request's body, as far as there is one; a program that hangs up ends the exchange.

    Raises:
        h11.ProtocolError: the program breaks the rules.
    """
    try:
        while True:
            data = errand.from_program(await program.receive(READ_SIZE))
            idleness.moved()
            if data:
                await stream.send(data)
    except anyio.EndOfStream:
        return  # it may still read
    except ENDS:
        idleness.scope.cancel()


async def _answer(program: ByteStream, stream: ByteStream, errand: Errand, idleness: Idleness) -> None:
    while not errand.is_over:
        try:
            data = await stream.receive(READ_SIZE)
        except anyio.EndOfStream:
            data = b""
        except ENDS as error:
            raise WebsiteError("the connection to the website broke") from error
        idleness.moved()
        answer = errand.from_website(data)
        if answer:
            await program.send(answer)
        if not data and not errand.is_over:
            raise WebsiteError("the website ended without an answer")
    await program.send_eof()
