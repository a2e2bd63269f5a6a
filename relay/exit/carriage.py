"""Carries one stream of an exit: dials, reads, writes and waits as the stream says.

Only the carriage's own task touches the connection. After each event the stream settles, and whoever waits here for a
change looks again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import trio

from onionpath.onion.statuses import Reason
from onionpath.service.hosts import Host
from onionpath.service.stream import StreamReply, StreamRequest
from relay.exit.stream import ExitStream, State

Dial = Callable[[Host, int, int], AbstractAsyncContextManager[trio.SocketStream | Reason]]


class Carriage:
    """One stream under way; ``run`` is its task, ``answer`` is called for each of its calls.

    Args:
        write_timeout_s: a server that takes nothing for so long is given up.
    """

    def __init__(self, stream: ExitStream, *, write_timeout_s: float) -> None:
        self._stream = stream
        self._write_timeout_s = write_timeout_s
        self._changed = trio.lowlevel.ParkingLot()
        self._life = trio.CancelScope(deadline=stream.ends_at)
        self._connected = trio.CancelScope()
        stream.woken = self._woken

    async def run(self, dial: Dial) -> None:
        """Dial, carry bytes both ways, and stay until the stream's end."""
        stream = self._stream
        try:
            with self._life:
                async with dial(stream.host, stream.name[1], stream.caller) as connection:
                    if isinstance(connection, Reason):
                        stream.refused(connection)
                        return
                    stream.connected()
                    self._settle()
                    await self._carry(connection)
                await trio.sleep_forever()  # The replies to come are answered from the buffers.
        finally:
            stream.end(now=trio.current_time())
            self._settle()

    async def answer(self, request: StreamRequest, *, capacity: int) -> StreamReply | Reason:
        """Have one call answered, and wait for that.

        Args:
            capacity: downstream bytes that fit the reply.
        """
        call = self._stream.ask(request, capacity=capacity, now=trio.current_time())
        if isinstance(call, Reason):
            return call
        try:
            self._settle()
            while call.answer is None:
                with trio.move_on_at(call.until):
                    await self._changed.park()
                self._settle()
        finally:
            self._stream.leave(call)
        return call.answer

    def _settle(self) -> None:
        stream = self._stream
        if stream.settle(trio.current_time()):
            self._changed.unpark_all()
        self._life.deadline = stream.ends_at
        if stream.state is State.BROKEN:
            self._connected.cancel()

    def _woken(self) -> None:
        self._settle()
        self._changed.unpark_all()

    async def _carry(self, connection: trio.SocketStream) -> None:
        async with trio.open_nursery() as nursery:
            self._connected = nursery.cancel_scope
            nursery.start_soon(self._read, connection)
            nursery.start_soon(self._write, connection)

    async def _read(self, connection: trio.SocketStream) -> None:
        try:
            while await self._read_once(connection):
                self._settle()
        except trio.BrokenResourceError:
            self._stream.broke()
        else:
            self._stream.ended()
        self._settle()

    async def _read_once(self, connection: trio.SocketStream) -> bool:
        """Read one chunk when there is room for it; False at the end."""
        while not self._stream.may_read:
            await self._changed.park()
        # Memory is held only for bytes that are there: an idle stream holds none.
        await trio.lowlevel.wait_readable(connection.socket)
        granted, data = await self._granted(), b""
        try:
            data = await connection.receive_some(granted)
        finally:
            # Also when the connection broke: the stream is kept for its last replies, and must not keep this.
            self._stream.read(granted, data, now=trio.current_time())
        return bool(data)

    async def _granted(self) -> int:
        try:
            while not (granted := self._stream.grant()):
                await self._changed.park()
        except trio.Cancelled:
            self._stream.grant_no_more()
            raise
        return granted

    async def _write(self, connection: trio.SocketStream) -> None:
        stream = self._stream
        while not stream.must_end:
            data = stream.next_write()
            if data:
                await self._send(connection.send_all(data))
                stream.written(len(data))
                self._settle()
            else:
                await self._changed.park()
        await self._send(connection.send_eof())

    async def _send(self, sending: Awaitable[None]) -> None:
        """Wait until the kernel has taken it; a server that takes nothing for long breaks the stream."""
        try:
            with trio.fail_after(self._write_timeout_s):
                await sending
        except trio.TooSlowError:
            self._stream.broke()
            self._settle()
            await trio.lowlevel.checkpoint()
        except trio.BrokenResourceError:
            # What the server sent before is still in the kernel: the reader takes it and then meets the same
            # error. Until then upstream bytes go nowhere, as they would behind a socket.
            return
