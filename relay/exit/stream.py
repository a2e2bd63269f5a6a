"""One stream of an exit: a TCP connection, the buffers on both sides of it, and the calls that wait for them.

State      next               when
CONNECTING OPEN, REFUSED      the dial ended
OPEN       ENDED, BROKEN      the server ended its side; an error on the connection
any        FORGOTTEN          CLOSE came, or no call for a while, or the exit closes

Only this stream's own task touches the connection. Every change wakes everybody who waits, and each looks
again whether it was what they wait for. Spec: docs/specs/stream.md §5, §6.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from enum import Enum, auto

import trio

from onionpath.onion.statuses import Reason
from onionpath.service.hosts import Host
from onionpath.service.stream import ReplyFlags, RequestFlags, StreamReply, StreamRequest
from onionpath.service.stream_buffers import Downstream, Upstream
from relay.exit.limits import StreamLimits
from relay.exit.memory import Account, Budget

Dial = Callable[[Host, int, int], AbstractAsyncContextManager[trio.SocketStream | Reason]]

CHUNK = 64 * 1024  # bytes read or written at once; half a large packet, so that one fills in two steps


class State(Enum):
    """Where a stream's life stands; see the table above."""

    CONNECTING = auto()
    OPEN = auto()
    REFUSED = auto()
    ENDED = auto()
    BROKEN = auto()
    FORGOTTEN = auto()


class ExitStream:
    """One stream; ``run`` is its task, ``answer`` is called for each of its calls.

    Args:
        name: the bytes of the host and the port that it was opened with.
        host: the same host, read.
        caller: the link that opened it, for accounting.
    """

    def __init__(
        self, name: tuple[bytes, int], host: Host, *, caller: int, budget: Budget, limits: StreamLimits
    ) -> None:
        self.name = name
        self.caller = caller
        self.refusal = Reason.STREAM_UNKNOWN  # What its token is answered once it is over.
        self.bytes_up = 0
        self.bytes_down = 0
        self.active_at = trio.current_time()  # When bytes last came in, from either side.
        self._host = host
        self._limits = limits
        self._state = State.CONNECTING
        self._upstream = Upstream(limits.upstream)
        self._downstream = Downstream(limits.downstream)
        self._up_account = Account(budget, limits.floor)
        self._down_account = Account(budget, limits.floor)
        self._waiting_account = Account(budget, limits.waiting_floor)
        self._calls = 0
        self._changed = trio.lowlevel.ParkingLot()
        self._life = trio.CancelScope()
        self._reading = trio.CancelScope()
        self._connected = trio.CancelScope()
        self._touch()

    @property
    def state(self) -> State:
        """Where its life stands."""
        return self._state

    @property
    def held(self) -> int:
        """Bytes in both buffers and with the calls that wait."""
        return self._up_account.held + self._down_account.held + self._waiting_account.held

    async def run(self, dial: Dial) -> None:
        """Dial, carry bytes both ways, and stay until closed or idle."""
        try:
            with self._life:
                async with dial(self._host, self.name[1], self.caller) as connection:
                    if isinstance(connection, Reason):
                        self.refusal = connection
                        self._become(State.REFUSED)
                        return
                    self._become(State.OPEN)
                    await self._carry(connection)
                await trio.sleep_forever()  # The replies to come are answered from the buffers.
        finally:
            if self._state is not State.REFUSED:
                self._become(State.FORGOTTEN)
            self._up_account.close()
            self._down_account.close()

    async def answer(self, request: StreamRequest, *, capacity: int) -> StreamReply | Reason:
        """Take the call's bytes, wait for what it wants, and answer it.

        Args:
            capacity: downstream bytes that fit the reply.

        Raises:
            MalformedError: its offsets contradict what came before.
        """
        self._touch()
        if self._calls >= self._limits.calls_per_stream:
            return Reason.SERVICE_BUSY
        self._calls += 1
        try:
            return await self._answer(request, capacity)
        finally:
            self._calls -= 1

    async def _answer(self, request: StreamRequest, capacity: int) -> StreamReply | Reason:
        latest = trio.current_time() + self._limits.longest_wait_s
        with self._keeping(request.data) as may_wait:
            if self._state is State.CONNECTING and not may_wait:
                return Reason.SERVICE_BUSY
            with trio.move_on_at(latest):
                while self._state is State.CONNECTING:
                    await self._changed.park()
            if self._is_over():
                return self.refusal
            if self._state is State.CONNECTING:
                return StreamReply(downstream_offset=request.read_at)
            self._upstream.check(
                request.upstream_offset, len(request.data), ends=RequestFlags.END in request.flags
            )
            self._acknowledge(request.acknowledged)
            with trio.move_on_at(min(latest, trio.current_time() + request.wait_ms / 1000)):
                while not self._satisfied(request, min(request.at_least, capacity)):
                    if not may_wait:
                        return self._answer_at_once(request, capacity)
                    await self._changed.park()
            return self.refusal if self._is_over() else self._reply(request, capacity)

    @contextmanager
    def _keeping(self, data: bytes) -> Iterator[bool]:
        """Hold memory for a call's bytes while it waits; whether there is memory for that.

        Also bytes that were taken stay in memory until their call is answered.
        """
        size = 2 * len(data)
        kept = self._waiting_account.held + size <= self._limits.waiting and self._waiting_account.hold_all(
            size
        )
        try:
            yield kept
        finally:
            if kept:
                self._waiting_account.free(size)

    def _answer_at_once(self, request: StreamRequest, capacity: int) -> StreamReply | Reason:
        """Answer a call that there is no memory to keep; it is busy unless something came of the call."""
        reply = self._reply(request, capacity)
        moved = reply.upstream_received > request.upstream_offset or reply.data
        return reply if moved else Reason.SERVICE_BUSY

    def close(self) -> None:
        """Forget the stream once what has arrived is written, and read no more."""
        self._become(State.FORGOTTEN)
        self._reading.cancel()
        self._down_account.free(self._downstream.forget())
        if self._upstream.held:
            self._life.deadline = trio.current_time() + self._limits.linger_s
        else:
            self._life.cancel()

    def abort(self) -> None:
        """Forget the stream and close its connection now."""
        self._life.cancel()

    # What a call sees.

    def _is_over(self) -> bool:
        return self._state in (State.REFUSED, State.FORGOTTEN)

    def _satisfied(self, request: StreamRequest, at_least: int) -> bool:
        """Take what can be taken of the call's bytes, and say whether it can be answered (§6.2)."""
        if self._is_over():
            # Its accounts are closed, so what it took now nobody would ever give back.
            return True
        taken = self._accept(request)
        if self._state is State.BROKEN:
            return True
        if not at_least:
            return taken
        if self._state is State.ENDED:
            return True
        if request.read_at < self._downstream.acknowledged:
            return True
        # A call that stood behind others is the head once the client has all before it: it may wait no more.
        became_head = request.acknowledged < request.read_at == self._downstream.acknowledged
        return self._downstream.available(request.read_at) >= (1 if became_head else at_least)

    def _accept(self, request: StreamRequest) -> bool:
        """Take the call's upstream bytes as far as they fit; whether all of them, and its END, are in."""
        upstream, stop = self._upstream, request.upstream_offset + len(request.data)
        before = (upstream.received, upstream.ended)
        granted = self._up_account.hold(upstream.wanted(request.upstream_offset, len(request.data)))
        upstream.accept(request.upstream_offset, request.data, at_most=granted)
        ended = RequestFlags.END not in request.flags or upstream.end_at(stop)
        # Waking the others for nothing would have two calls wake each other for ever.
        if before != (upstream.received, upstream.ended):
            self.active_at = trio.current_time()
            self._changed.unpark_all()
        return ended and upstream.received >= stop

    def _acknowledge(self, offset: int) -> None:
        forgotten = self._downstream.acknowledge(offset)
        if forgotten:
            self._down_account.free(forgotten)
            self._changed.unpark_all()

    def _reply(self, request: StreamRequest, capacity: int) -> StreamReply:
        received, read_at, end = self._upstream.received, request.read_at, self._downstream.end
        if read_at < self._downstream.acknowledged:
            return StreamReply(received, read_at, b"", ReplyFlags.RESET)
        data = self._downstream.read(read_at, min(request.at_most, capacity))
        if self._state is State.OPEN or read_at + len(data) < end:
            return StreamReply(received, read_at, data)
        flags = ReplyFlags.END if self._state is State.ENDED else ReplyFlags.RESET
        return StreamReply(received, min(read_at, end), data, flags)

    # The stream's own task.

    async def _carry(self, connection: trio.SocketStream) -> None:
        async with trio.open_nursery() as nursery:
            self._connected = nursery.cancel_scope
            nursery.start_soon(self._read, connection)
            nursery.start_soon(self._write, connection)

    async def _read(self, connection: trio.SocketStream) -> None:
        with self._reading:
            try:
                while await self._read_once(connection):
                    self._changed.unpark_all()
            except trio.BrokenResourceError:
                self._break()
            else:
                self._become(State.ENDED)

    async def _read_once(self, connection: trio.SocketStream) -> bool:
        """Read one chunk when there is room for it; False at the end."""
        while not self._downstream.room:
            await self._changed.park()
        # Memory is held only for bytes that are there: an idle stream holds none.
        await trio.lowlevel.wait_readable(connection.socket)
        granted = await self._down_account.hold_some(min(CHUNK, self._downstream.room))
        data = b""
        try:
            data = await connection.receive_some(granted)
        finally:
            # Also when the connection broke: the stream is kept for its last replies, and must not keep this.
            self._down_account.free(granted - len(data))
        self._downstream.append(data)
        self.bytes_down += len(data)
        self.active_at = trio.current_time()
        return bool(data)

    async def _write(self, connection: trio.SocketStream) -> None:
        while not self._upstream.finished and not (
            self._state is State.FORGOTTEN and not self._upstream.held
        ):
            data = self._upstream.take(CHUNK)
            if not data:
                await self._changed.park()
                continue
            await self._send(connection.send_all(data))
            self._up_account.free(len(data))
            self.bytes_up += len(data)
            self._changed.unpark_all()
        if self._upstream.finished:
            await self._send(connection.send_eof())
        if self._state is State.FORGOTTEN:
            self._life.cancel()

    async def _send(self, sending: Awaitable[None]) -> None:
        """Wait until the kernel has taken it; a server that takes nothing for long breaks the stream."""
        try:
            with trio.fail_after(self._limits.write_timeout_s):
                await sending
        except trio.TooSlowError:
            self._break()
            await trio.lowlevel.checkpoint()
        except trio.BrokenResourceError:
            # What the server sent before is still in the kernel: the reader takes it and then meets the same
            # error. Until then upstream bytes go nowhere, as they would behind a socket.
            return

    # Transitions.

    def _touch(self) -> None:
        self._life.deadline = trio.current_time() + self._limits.idle_s

    def _become(self, state: State) -> None:
        if self._state is not State.FORGOTTEN:
            self._state = state
        self._changed.unpark_all()

    def _break(self) -> None:
        self._become(State.BROKEN)
        self._connected.cancel()
