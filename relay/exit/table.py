"""The streams of an exit by their tokens: which one a call means, and which one makes room for another.

The table changes here only: a token enters when an OPEN is accepted, and moves to ``forgotten`` at CLOSE or when nobody
carries its stream any more. Nothing here waits or knows a clock. Spec: docs/specs/stream.md §4.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from onionpath.errors import MalformedError
from onionpath.onion.statuses import Reason
from onionpath.service.calls import Call, Reply
from onionpath.service.hosts import parse_host
from onionpath.service.stream import REPLY_OVERHEAD, RequestFlags, StreamReply, StreamRequest
from relay.exit.forgotten import Forgotten
from relay.exit.limits import StreamLimits
from relay.exit.memory import Budget
from relay.exit.stream import ExitStream, State


@dataclass(frozen=True, slots=True)
class StreamStatistics:
    """Counts of the stream service; nothing in it tells one stream from another.

    Args:
        open: streams that callers can name now.
        connecting: those of them that are still being dialled.
        running: those that somebody carries, also to write what came before CLOSE.
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


@dataclass(frozen=True, slots=True)
class Asked:
    """A call that its stream must answer.

    Args:
        capacity: downstream bytes that fit the reply.
        link: it came over this one.
        is_new: the stream was opened by this call, and somebody must carry it.
    """

    stream: ExitStream
    request: StreamRequest
    capacity: int
    link: int
    is_new: bool


class StreamTable:
    """Finds or opens the stream that a call means. Times are seconds of a clock that never goes back."""

    def __init__(self, limits: StreamLimits) -> None:
        self._limits = limits
        self._budget = Budget(limits.shared)
        self._streams: dict[bytes, ExitStream] = {}
        self._running: dict[ExitStream, bytes] = {}  # with their tokens
        self._forgotten = Forgotten(limit=limits.tokens)
        self._per_link: Counter[int] = Counter()
        self._calls_per_link: Counter[int] = Counter()
        self._closed = False
        self._opened = self._evicted = self._bytes_up = self._bytes_down = 0
        self._refused: Counter[Reason] = Counter()
        self._failed: Counter[str] = Counter()

    @property
    def running(self) -> Collection[ExitStream]:
        """Every stream that somebody carries."""
        return self._running.keys()

    def ask(self, call: Call, *, now: float) -> Asked | StreamReply | Reason:
        """Find out which stream a call means, or answer it."""
        try:
            return self._ask(StreamRequest.decode(call.body), call, now)
        except MalformedError:
            return Reason.BAD_CALL

    def _ask(self, request: StreamRequest, call: Call, now: float) -> Asked | StreamReply | Reason:
        capacity = call.reply_capacity - REPLY_OVERHEAD
        if capacity < 0:
            return Reason.BAD_CALL
        if RequestFlags.CLOSE in request.flags:
            self._close(request.token, now)
            return StreamReply()
        if self._calls_per_link[call.caller] >= self._limits.calls_per_link:
            return Reason.SERVICE_BUSY
        opened = self._opened
        stream = self._find(request, call.caller, now)
        if isinstance(stream, Reason):
            return stream
        return Asked(stream, request, capacity, call.caller, is_new=self._opened > opened)

    def reply(self, answer: StreamReply | Reason) -> Reply:
        """An answer as the registry wants it; refusals are counted."""
        if isinstance(answer, Reason):
            self._refused[answer] += 1
            return Reply.refused(answer)
        return Reply(answer.encode())

    @contextmanager
    def answering(self, link: int) -> Iterator[None]:
        """Count a call of this link while it lasts."""
        self._calls_per_link[link] += 1
        try:
            yield
        finally:
            _decrement(self._calls_per_link, link)

    def close(self) -> None:
        """Close every stream and open none any more."""
        self._closed = True
        for stream in list(self._running):
            stream.abort()

    def left(self, stream: ExitStream, *, now: float, bug: Exception | None = None) -> None:
        """Nobody carries the stream any more; with ``bug`` if it should have gone on."""
        stream.end(now=now)
        self._leave(stream, now)
        self._bytes_up += stream.bytes_up
        self._bytes_down += stream.bytes_down
        if bug is not None:
            self._failed[type(bug).__name__] += 1

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

    def _find(self, request: StreamRequest, link: int, now: float) -> ExitStream | Reason:
        stream = self._streams.get(request.token)
        opens = RequestFlags.OPEN in request.flags
        if stream is not None:
            same = not opens or stream.name == (request.host, request.port)
            return stream if same else Reason.BAD_CALL
        over = self._forgotten.reason(request.token)
        if over is not None or not opens:
            return over or Reason.STREAM_UNKNOWN
        return self._open(request, link, now)

    def _open(self, request: StreamRequest, link: int, now: float) -> ExitStream | Reason:
        host = parse_host(request.host)
        if self._closed:
            return Reason.SERVICE_BUSY
        if not self._make_room(link, now):
            return Reason.STREAM_LIMIT
        stream = ExitStream(
            (request.host, request.port), host, caller=link, budget=self._budget, limits=self._limits, now=now
        )
        self._streams[request.token] = stream
        self._running[stream] = request.token
        self._per_link[link] += 1
        self._opened += 1
        return stream

    def _make_room(self, link: int, now: float) -> bool:
        """Whether a stream can be opened, after another made room for it where that is necessary and fair."""
        if not self._forgotten.has_room_beside(
            len(self._running), of_link=self._per_link[link], link=link, now=now
        ):
            return False
        if self._per_link[link] < self._limits.streams_per_link:
            if len(self._running) < self._limits.streams:
                return True
            # Of a full relay, the link gives way that has taken most.
            link = max(self._per_link, key=self._per_link.__getitem__, default=link)
        return self._evict_from(link, now)

    def _evict_from(self, link: int, now: float) -> bool:
        """End the stream of this link that carried no byte for the longest time; False if all are in use."""
        streams = [stream for stream in self._running if stream.caller == link]
        longest = min(streams, key=lambda stream: stream.active_at, default=None)
        if longest is None or now - longest.active_at < self._limits.evict_after_s:
            return False
        longest.abort()
        self._leave(longest, now)
        self._evicted += 1
        return True

    def _close(self, token: bytes, now: float) -> None:
        stream = self._streams.get(token)
        if stream is not None:
            stream.close(now=now)
            self._forget(token, stream, now)

    def _forget(self, token: bytes, stream: ExitStream, now: float) -> None:
        self._streams.pop(token, None)
        self._forgotten.add(token, stream.refusal, link=stream.caller, now=now)

    def _leave(self, stream: ExitStream, now: float) -> None:
        """Count the stream no more, once."""
        token = self._running.pop(stream, None)
        if token is not None:
            self._forget(token, stream, now)
            _decrement(self._per_link, stream.caller)


def _decrement(counts: Counter[int], link: int) -> None:
    """Count one less, and keep nothing of a link that has none: links come and go."""
    counts[link] -= 1
    if not counts[link]:
        del counts[link]
