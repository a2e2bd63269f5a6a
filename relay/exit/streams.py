"""The stream service: finds or opens the stream that a call names, and has it answer.

The table changes here only: a token enters when an OPEN is accepted, and moves to ``forgotten`` at CLOSE or
when its stream's task is over. Spec: docs/specs/stream.md §4.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import trio

from onionpath.errors import MalformedError
from onionpath.onion.statuses import Reason
from onionpath.service.calls import Call, Limits, Reply
from onionpath.service.hosts import parse_host
from onionpath.service.stream import REPLY_OVERHEAD, RequestFlags, StreamReply, StreamRequest
from relay.exit.dial import Dialer
from relay.exit.forgotten import Forgotten
from relay.exit.limits import StreamLimits
from relay.exit.memory import Budget
from relay.exit.stream import ExitStream, State

# Every stream keeps a call waiting, and a busy one up to 32.
DEFAULT_LIMITS = Limits(concurrent=4096)


@dataclass(frozen=True, slots=True)
class StreamStatistics:
    """Counts of the stream service; nothing in it tells one stream from another.

    Args:
        open: streams that callers can name now.
        connecting: those of them that are still being dialled.
        running: tasks, those that still write after CLOSE included.
        held: bytes in all buffers and with the calls that wait.
        evicted: streams that made room for others.
        opened, bytes_up, bytes_down: since the start; bytes count when their stream is over.
        refused: calls refused, by reason.
        failed: bugs, by the exception's class.
    """

    open: int
    connecting: int
    running: int
    held: int
    evicted: int
    opened: int
    bytes_up: int
    bytes_down: int
    refused: Mapping[Reason, int]
    failed: Mapping[str, int]


class StreamService:
    """TCP connections for the callers of one exit.

    Args:
        dialer: connects, or says why not.
        nursery: the streams' tasks live in it; ``close`` or its cancellation ends them.
        limits: what the registry enforces for each call.
        stream_limits: what streams may take.
    """

    def __init__(
        self,
        dialer: Dialer,
        nursery: trio.Nursery,
        *,
        limits: Limits = DEFAULT_LIMITS,
        stream_limits: StreamLimits | None = None,
    ) -> None:
        self._dialer = dialer
        self._nursery = nursery
        self._limits = limits
        self._stream_limits = stream_limits or StreamLimits()
        self._budget = Budget(self._stream_limits.shared)
        self._streams: dict[bytes, ExitStream] = {}
        self._running: dict[ExitStream, bytes] = {}  # with their tokens
        self._forgotten = Forgotten(limit=self._stream_limits.tokens)
        self._per_link: Counter[int] = Counter()
        self._calls_per_link: Counter[int] = Counter()
        self._closed = False
        self._opened = self._evicted = self._bytes_up = self._bytes_down = 0
        self._refused: Counter[Reason] = Counter()
        self._failed: Counter[str] = Counter()

    @property
    def limits(self) -> Limits:
        """What the registry enforces."""
        return self._limits

    async def answer(self, call: Call) -> Reply:
        """Answer one call of a stream."""
        try:
            answer = await self._answer(StreamRequest.decode(call.body), call)
        except MalformedError:
            answer = Reason.BAD_CALL
        if isinstance(answer, Reason):
            self._refused[answer] += 1
            return Reply.refused(answer)
        return Reply(answer.encode())

    def close(self) -> None:
        """Close every connection and open none any more."""
        self._closed = True
        for stream in self._running:
            stream.abort()

    def statistics(self) -> StreamStatistics:
        """What happened so far and what is held now."""
        streams = self._streams.values()
        return StreamStatistics(
            open=len(self._streams),
            connecting=sum(stream.state is State.CONNECTING for stream in streams),
            running=len(self._running),
            held=sum(stream.held for stream in self._running),
            evicted=self._evicted,
            opened=self._opened,
            bytes_up=self._bytes_up,
            bytes_down=self._bytes_down,
            refused=dict(self._refused),
            failed=dict(self._failed),
        )

    async def _answer(self, request: StreamRequest, call: Call) -> StreamReply | Reason:
        capacity = call.reply_capacity - REPLY_OVERHEAD
        if capacity < 0:
            return Reason.BAD_CALL
        if RequestFlags.CLOSE in request.flags:
            self._close(request.token)
            return StreamReply()
        if self._calls_per_link[call.caller] >= self._stream_limits.calls_per_link:
            return Reason.SERVICE_BUSY
        stream = self._find(request, call)
        if isinstance(stream, Reason):
            return stream
        with counted(self._calls_per_link, call.caller):
            return await stream.answer(request, capacity=capacity)

    def _find(self, request: StreamRequest, call: Call) -> ExitStream | Reason:
        stream = self._streams.get(request.token)
        opens = RequestFlags.OPEN in request.flags
        if stream is not None:
            same = not opens or stream.name == (request.host, request.port)
            return stream if same else Reason.BAD_CALL
        over = self._forgotten.reason(request.token)
        if over is not None or not opens:
            return over or Reason.STREAM_UNKNOWN
        return self._open(request, call)

    def _open(self, request: StreamRequest, call: Call) -> ExitStream | Reason:
        host = parse_host(request.host)
        if self._closed:
            return Reason.SERVICE_BUSY
        if not self._make_room(call.caller):
            return Reason.STREAM_LIMIT
        stream = ExitStream(
            (request.host, request.port),
            host,
            caller=call.caller,
            budget=self._budget,
            limits=self._stream_limits,
        )
        self._streams[request.token] = stream
        self._running[stream] = request.token
        self._per_link[call.caller] += 1
        self._opened += 1
        self._nursery.start_soon(self._run, stream)
        return stream

    def _make_room(self, caller: int) -> bool:
        """Whether a stream can be opened, after another made room for it where that is necessary and fair."""
        limits, link = self._stream_limits, caller
        if not self._forgotten.has_room_beside(
            len(self._running), of_link=self._per_link[link], link=link, now=trio.current_time()
        ):
            return False
        if self._per_link[link] < limits.streams_per_link:
            if len(self._running) < limits.streams:
                return True
            # Of a full relay, the link gives way that has taken most.
            link = max(self._per_link, key=self._per_link.__getitem__, default=link)
        return self._evict_from(link)

    def _evict_from(self, link: int) -> bool:
        """End the stream of this link that carried no byte for the longest time; False if all are in use."""
        streams = [stream for stream in self._running if stream.caller == link]
        longest = min(streams, key=lambda stream: stream.active_at, default=None)
        if longest is None or trio.current_time() - longest.active_at < self._stream_limits.evict_after_s:
            return False
        longest.abort()
        self._leave(longest)
        self._evicted += 1
        return True

    def _close(self, token: bytes) -> None:
        stream = self._streams.get(token)
        if stream is not None:
            stream.close()
            self._forget(token, stream)

    def _forget(self, token: bytes, stream: ExitStream) -> None:
        self._streams.pop(token, None)
        self._forgotten.add(token, stream.refusal, link=stream.caller, now=trio.current_time())

    def _leave(self, stream: ExitStream) -> None:
        """Count the stream no more, once."""
        token = self._running.pop(stream, None)
        if token is not None:
            self._forget(token, stream)
            decrement(self._per_link, stream.caller)

    async def _run(self, stream: ExitStream) -> None:
        try:
            await stream.run(self._dialer.dial)
        except Exception as error:  # A bug in one stream must not end the others.
            self._failed[type(error).__name__] += 1
        finally:
            self._leave(stream)
            self._bytes_up += stream.bytes_up
            self._bytes_down += stream.bytes_down


@contextmanager
def counted(counts: Counter[int], link: int) -> Iterator[None]:
    """Count something of a link while it lasts."""
    counts[link] += 1
    try:
        yield
    finally:
        decrement(counts, link)


def decrement(counts: Counter[int], link: int) -> None:
    """Count one less, and keep nothing of a link that has none: links come and go."""
    counts[link] -= 1
    if not counts[link]:
        del counts[link]
