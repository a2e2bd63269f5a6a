"""Bytes both ways between a program and a stream, until both ways have ended or nothing moves any more."""

from __future__ import annotations

from collections.abc import Callable

import anyio
from anyio.abc import ByteReceiveStream, ByteSendStream, ByteStream, TaskGroup

READ_SIZE = 64 * 1024
ENDS = (anyio.BrokenResourceError, anyio.ClosedResourceError)


class Idleness:
    """Cancels a scope when nothing has happened for so long."""

    def __init__(self, idle_s: float) -> None:
        self._idle_s = idle_s
        self.scope = anyio.CancelScope(deadline=anyio.current_time() + idle_s)

    def moved(self) -> None:
        """Something has happened."""
        self.scope.deadline = anyio.current_time() + self._idle_s


async def tunnel(program: ByteStream, stream: ByteStream, *, idle_s: float) -> None:
    """Carry bytes both ways; the end of one way is passed on, and the other goes on.

    Each way holds one chunk and reads the next when that was taken. The caller closes both.
    """
    idleness = Idleness(idle_s)
    with idleness.scope:
        async with anyio.create_task_group() as both:
            both.start_soon(_one_way, program, stream, both, idleness.moved)
            both.start_soon(_one_way, stream, program, both, idleness.moved)


async def _one_way(
    source: ByteReceiveStream, sink: ByteStream | ByteSendStream, both: TaskGroup, moved: Callable[[], None]
) -> None:
    try:
        while True:
            try:
                data = await source.receive(READ_SIZE)
            except anyio.EndOfStream:
                break
            moved()
            await sink.send(data)
            moved()
        if isinstance(sink, ByteStream):
            await sink.send_eof()
    except ENDS:
        # Nothing can be said to whoever is left but that it is over.
        both.cancel_scope.cancel()
