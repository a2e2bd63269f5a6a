"""An exit in virtual time: the relay's own streams, their table and their limits, and connections to scripted servers.

It is the counterpart of ``relay.exit.streams``, ``carriage`` and ``dial``. What it leaves out: names are not resolved
and addresses not judged, connections to one server are not counted, and a connection has no bandwidth, only latency and
a window.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from onionpath.onion.statuses import Reason
from onionpath.service.calls import Call, Limits, Reply
from onionpath.service.stream import StreamReply
from relay.exit.limits import StreamLimits
from relay.exit.stream import ExitStream, State
from relay.exit.streams import DEFAULT_LIMITS
from relay.exit.table import Asked, StreamStatistics, StreamTable
from simulations.virtual.destinations import Server, Visit
from simulations.virtual.heap import EventHeap, Promise, Timer

Destinations = Mapping[tuple[str, int], Server]
"""By host and port; whatever isn't there refuses connections."""

Look = Callable[[str, str, int], None]
"""Is told that bytes passed between exit and server: "up" or "down", the server, and how many."""

# Between an exit and a server, and what may be under way from a server that nobody has read.
LATENCY_S = 0.01
WINDOW = 4 * 1024 * 1024


class VirtualExit:
    """The stream service of one relay's life."""

    def __init__(
        self, heap: EventHeap, destinations: Destinations, *, look: Look, limits: StreamLimits | None = None
    ) -> None:
        self.limits: Limits = DEFAULT_LIMITS
        self._heap = heap
        self._destinations = destinations
        self._look = look
        self._table = StreamTable(limits or StreamLimits())
        self._carriages: dict[ExitStream, _Carriage] = {}

    async def answer(self, call: Call) -> Reply:
        """Answer one call of a stream."""
        asked = self._table.ask(call, now=self._heap.now)
        return self._table.reply(await self._answer(asked) if isinstance(asked, Asked) else asked)

    async def _answer(self, asked: Asked) -> StreamReply | Reason:
        stream = asked.stream
        if asked.is_new:
            host, port = stream.name
            server = self._destinations.get((host.decode(), port))
            self._carriages[stream] = _Carriage(
                stream, self._heap, server, f"{host.decode()}:{port}", self._look, self._left
            )
        carriage = self._carriages.get(stream)
        if carriage is None:
            return stream.refusal
        with self._table.answering(asked.link):
            return await carriage.answer(asked)

    def _left(self, stream: ExitStream) -> None:
        del self._carriages[stream]
        self._table.left(stream, now=self._heap.now)

    def close(self) -> None:
        """The process is gone, and with it every connection."""
        self._table.close()

    def statistics(self) -> StreamStatistics:
        """What happened so far and what is held now."""
        return self._table.statistics()


class _Carriage:
    """One stream and its connection: after each event it settles, then reads and writes what the stream wants."""

    def __init__(
        self,
        stream: ExitStream,
        heap: EventHeap,
        server: Server | None,
        name: str,
        look: Look,
        left: Callable[[ExitStream], None],
    ) -> None:
        self._stream, self._heap, self._server, self._name = stream, heap, server, name
        self._look, self._left = look, left
        self._visit: Visit | None = None
        self._made_at = 0.0
        self._under_way = 0  # bytes from the server that nobody has read
        self._arrived = bytearray()
        self._has_arrived_whole = self._has_said_end = self._is_over = False
        self._parked: list[Promise[None]] = []
        self._ending: Timer = heap.at(stream.ends_at, self._step)
        self._dripping: Timer | None = None
        stream.woken = self._step_soon
        heap.after(2 * LATENCY_S, self._dialled)

    async def answer(self, asked: Asked) -> StreamReply | Reason:
        """Have one call answered, and wait for that."""
        call = self._stream.ask(asked.request, capacity=asked.capacity, now=self._heap.now)
        if isinstance(call, Reason):
            return call
        try:
            self._step()
            while call.answer is None:
                await self._change_before(call.until)
                self._stream.settle(self._heap.now)
        finally:
            self._stream.leave(call)
        return call.answer

    def _step_soon(self) -> None:
        # As an event: whoever wakes us is in the middle of something.
        self._heap.at(self._heap.now, self._step)

    async def _change_before(self, until: float) -> None:
        promise: Promise[None] = Promise(self._heap)
        self._parked.append(promise)
        timer = self._heap.at(until, promise.keep, None)
        try:
            await promise
        finally:
            timer.cancel()

    def _dialled(self) -> None:
        if self._is_over:
            return
        if self._server is None:
            self._stream.refused(Reason.CONNECTION_REFUSED)
            self._end()
            return
        self._visit, self._made_at = self._server(), self._heap.now
        self._stream.connected()
        self._step()

    def _step(self) -> None:
        """Something has happened: read and write what can be, then answer who can be answered."""
        if self._is_over:
            return
        if self._stream.ends_at <= self._heap.now:
            self._end()
            return
        self._settle()
        if self._visit is not None:
            self._write(self._visit)
            self._pull(self._visit)
            self._read()
        self._ending.cancel()
        self._ending = self._heap.at(self._stream.ends_at, self._step)

    def _settle(self) -> None:
        if self._stream.settle(self._heap.now):
            parked, self._parked = self._parked, []
            for promise in parked:
                promise.keep(None)

    def _write(self, visit: Visit) -> None:
        while data := self._stream.next_write():
            self._look("up", self._name, len(data))
            self._heap.after(LATENCY_S, self._reach_server, visit, data)
            self._stream.written(len(data))
            self._settle()
        if self._stream.must_end and not self._has_said_end:
            self._has_said_end = True
            self._heap.after(LATENCY_S, self._reach_server, visit, None)

    def _reach_server(self, visit: Visit, data: bytes | None) -> None:
        if data is None:
            visit.ended()
        else:
            visit.received(data, at_s=self._heap.now - self._made_at)
        self._step()

    def _pull(self, visit: Visit) -> None:
        """Have the server send what the connection takes."""
        data = visit.send(WINDOW - self._under_way, at_s=self._heap.now - self._made_at)
        if data or visit.is_over:
            self._under_way += len(data)
            self._heap.after(LATENCY_S, self._arrive, data, visit.is_over)
        if visit.next_at_s is not None and (self._dripping is None or data):
            self._dripping = self._heap.at(self._made_at + visit.next_at_s, self._step)

    def _arrive(self, data: bytes, is_last: bool) -> None:
        self._arrived += data
        self._has_arrived_whole |= is_last
        self._step()

    def _read(self) -> None:
        stream = self._stream
        while self._arrived and stream.may_read and (granted := stream.grant()):
            data = bytes(self._arrived[:granted])
            del self._arrived[: len(data)]
            self._under_way -= len(data)
            self._look("down", self._name, len(data))
            stream.read(granted, data, now=self._heap.now)
            self._settle()
        if self._has_arrived_whole and not self._arrived and stream.state is State.OPEN:
            stream.ended()
            self._settle()

    def _end(self) -> None:
        self._is_over = True
        self._stream.grant_no_more()
        self._left(self._stream)
        self._settle()
        self._ending.cancel()
