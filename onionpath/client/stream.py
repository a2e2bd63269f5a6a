"""A TCP connection from the exit, as a byte stream that survives the death of its path.

Every byte has an offset, so each call of the stream may be lost, repeated or reordered without losing or doubling
one. What to ask for next is decided by ``Polls`` and ``Reassembly``; this file sends the calls and waits.

Spec: docs/specs/stream.md. When a path breaks, its calls are made again over another path to the same exit, at most
``MAX_CONTINUATIONS`` times for one stream: whoever kills paths to be chosen himself gets so many draws and no more.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import anyio
import anyio.lowlevel
from anyio import TypedAttributeSet, typed_attribute
from anyio.abc import ByteStream, TaskGroup

from onionpath.client.path_pool import ReadyPath
from onionpath.client.refusals import stream_refusal
from onionpath.crypto.identity import RelayId
from onionpath.errors import (
    DeadlineError,
    Edge,
    MalformedError,
    OnionPathError,
    RefusedError,
    StreamError,
    UnreachableError,
)
from onionpath.onion.geometry import Geometry, SizeClass
from onionpath.onion.packets import Answer, OnionCall
from onionpath.onion.statuses import Reason, ReplyStatus
from onionpath.service.calls import ServiceId
from onionpath.service.stream import REQUEST_OVERHEAD, ReplyFlags, RequestFlags, StreamReply, StreamRequest
from onionpath.service.stream_outgoing import Outgoing
from onionpath.service.stream_pause import Pause
from onionpath.service.stream_polls import Poll, Polls
from onionpath.service.stream_reassembly import Reassembly

MAX_CONTINUATIONS = 3
# What the way there and back may take beyond the time that a call may wait at the exit.
TRAVEL_S = 10.0
# Resolving and connecting at the exit: docs/specs/stream.md §8.
DIAL_S = 15.0
MAX_PUSHES = 8
PUSH_WAIT_MS = 10_000
# A third of what the exit tolerates without any call.
KEEP_ALIVE_S = 20.0
BUSY_PAUSE_S = 0.25


class Carrier(Protocol):
    """What a stream needs of its client: paths to one exit, and calls over them."""

    async def path_to_exit(self) -> ReadyPath: ...

    def is_current(self, ready: ReadyPath) -> bool: ...

    def retire(self, ready: ReadyPath, edge: Edge | None) -> None: ...

    async def exchange(self, ready: ReadyPath, call: OnionCall, *, timeout_s: float) -> Answer: ...


class StreamAttribute(TypedAttributeSet):
    """What ``stream.extra(...)`` can be asked, also through TLS on top of it."""

    path: tuple[RelayId, ...] = typed_attribute()
    """The relays that carry the stream now, first hop first."""


class OnionStream(ByteStream):
    """Bytes to and from one host and port. Made by ``Client.open_stream``.

    ``receive`` raises ``anyio.EndOfStream`` at the end and ``anyio.BrokenResourceError`` with a ``StreamError`` as
    cause when the stream broke for good.
    """

    def __init__(self, carrier: Carrier, *, token: bytes, host: str, port: int, geometry: Geometry) -> None:
        self._carrier = carrier
        self._token = token
        self._host = host.encode("ascii")
        self._port = port
        self._geometry = geometry
        last = geometry.last_depth
        self._polls = Polls(
            small_reply=geometry.reply_capacity(SizeClass.SMALL, last),
            large_reply=geometry.reply_capacity(SizeClass.LARGE, last),
        )
        self._incoming = Reassembly()
        self._outgoing = Outgoing()
        self._ready: ReadyPath | None = None
        self._choosing = anyio.Lock()
        self._continuations = 0
        self._answered_at = -math.inf
        self._pushes = 0
        self._push_pause = Pause()
        self._failure: OnionPathError | None = None
        self._closed = False
        self._changed = anyio.Event()
        self._scope = anyio.CancelScope()

    @property
    def path(self) -> tuple[RelayId, ...]:
        """The relays that carry the stream now, first hop first; none while it moves to others."""
        return tuple(hop.relay_id for hop in self._ready.hops) if self._ready else ()

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        """For ``extra``; see ``StreamAttribute``."""
        return {StreamAttribute.path: lambda: self.path}

    @property
    def continuations(self) -> int:
        """How often the stream has moved to another path."""
        return self._continuations

    async def open(self) -> None:
        """Have the exit connect; the caller sets the deadline.

        Raises:
            RefusedError: the exit refused, or the destination did. UnreachableError: no path held.
        """
        request = StreamRequest(token=self._token, flags=RequestFlags.OPEN, host=self._host, port=self._port)
        await self._call(request, SizeClass.SMALL, SizeClass.SMALL, timeout_s=DIAL_S + TRAVEL_S)

    async def run(self) -> None:
        """Keep calls under way until the stream is closed or broken; the client runs this."""
        with self._scope:
            async with anyio.create_task_group() as group:
                while self._failure is None and not self._closed:
                    # Only a set one is replaced: whoever waits for the other would wait for ever.
                    if self._changed.is_set():
                        self._changed = anyio.Event()
                    self._start_due(group)
                    patience_s = self._patience_s()
                    with anyio.move_on_after(patience_s) as waited:
                        await self._changed.wait()
                    was_idle = waited.cancelled_caught and patience_s >= KEEP_ALIVE_S
                    if was_idle and not (self._polls.outstanding or self._pushes):
                        self._start_push(group, self._outgoing.end, self._outgoing.end)

    def _patience_s(self) -> float:
        """How long nothing has to be done unless something changes."""
        now = anyio.current_time()
        ends = (self._polls.next_due_at(now=now), self._push_pause.ends_at(now=now))
        return min([KEEP_ALIVE_S, *(end - now for end in ends if end is not None)])

    def _start_due(self, group: TaskGroup) -> None:
        now = anyio.current_time()
        for poll in self._polls.due(self._incoming.missing(), now=now):
            group.start_soon(self._poll, poll)
        if self._push_pause.ends_at(now=now) is not None:
            return
        while self._pushes < MAX_PUSHES:
            found = self._outgoing.next_range(self._push_capacity(SizeClass.LARGE))
            if found is None:
                break
            self._start_push(group, *found)
        if self._outgoing.ended and not self._pushes and not self._outgoing.is_confirmed:
            self._start_push(group, self._outgoing.end, self._outgoing.end)

    def _start_push(self, group: TaskGroup, start: int, stop: int) -> None:
        self._pushes += 1
        group.start_soon(self._push, start, stop)

    def _notify(self) -> None:
        self._changed.set()

    # Calls.

    async def _poll(self, poll: Poll) -> None:
        request = StreamRequest(
            token=self._token,
            read_at=poll.read_at,
            acknowledged=self._incoming.received,
            at_least=poll.at_least,
            at_most=poll.at_most,
            wait_ms=poll.wait_ms,
        )
        reply_class = SizeClass.LARGE if poll.large else SizeClass.SMALL
        timeout_s = poll.wait_ms / 1000 + TRAVEL_S
        reply = await self._reply_or_none(request, SizeClass.SMALL, reply_class, timeout_s=timeout_s)
        if reply is None:
            self._polls.lost(poll)
        else:
            self._polls.answered(poll, len(reply.data), now=anyio.current_time())
            self._receive(reply, poll)
        self._notify()

    def _receive(self, reply: StreamReply, poll: Poll) -> None:
        try:
            if len(reply.data) > poll.at_most or (reply.data and reply.downstream_offset != poll.read_at):
                raise MalformedError("the exit sent bytes that were not asked for")
            self._incoming.add(reply.downstream_offset, reply.data)
            if reply.flags is ReplyFlags.END:
                self._incoming.end_at(reply.end)
        except MalformedError as error:
            self._fail(error)
        if reply.flags is ReplyFlags.RESET and self._incoming.received >= reply.end:
            self._fail(StreamError("the connection beyond the exit broke", reason="reset"))

    async def _push(self, start: int, stop: int) -> None:
        ends = self._outgoing.ended and stop == self._outgoing.end
        data = self._outgoing.read(start, stop)
        start = stop - len(data)
        request = StreamRequest(
            token=self._token,
            flags=RequestFlags.END if ends else RequestFlags.NONE,
            upstream_offset=start,
            data=data,
            read_at=self._incoming.received,
            acknowledged=self._incoming.received,
            wait_ms=PUSH_WAIT_MS,
        )
        fits = len(data) <= self._push_capacity(SizeClass.SMALL)
        request_class = SizeClass.SMALL if fits else SizeClass.LARGE
        timeout_s = PUSH_WAIT_MS / 1000 + TRAVEL_S
        asked_at = anyio.current_time()
        try:
            reply = await self._reply_or_none(request, request_class, SizeClass.SMALL, timeout_s=timeout_s)
        finally:
            self._pushes -= 1
        try:
            if reply is not None:
                self._outgoing.confirm(reply.upstream_received, with_end=ends)
                if reply.upstream_received > start or self._outgoing.is_confirmed:
                    self._push_pause.something_came()
                else:
                    self._push_pause.nothing_came(
                        asked_at=asked_at, wait_s=PUSH_WAIT_MS / 1000, now=anyio.current_time()
                    )
            self._outgoing.send_again(start, stop)
        except MalformedError as error:
            self._fail(error)
        self._notify()

    def _push_capacity(self, size_class: SizeClass) -> int:
        return self._geometry.request_capacity(size_class, self._geometry.last_depth) - REQUEST_OVERHEAD

    async def _reply_or_none(
        self, request: StreamRequest, request_class: SizeClass, reply_class: SizeClass, *, timeout_s: float
    ) -> StreamReply | None:
        """A reply, or None if the call must be made again; a failure for good ends the stream."""
        try:
            return await self._call(request, request_class, reply_class, timeout_s=timeout_s)
        except RefusedError as error:
            if error.reason in _TRY_AGAIN:
                await anyio.sleep(BUSY_PAUSE_S)
                return None
            self._fail(StreamError(str(error), reason=error.reason))
        except UnreachableError:
            if self._failure is None:
                return None
        except OnionPathError as error:
            self._fail(error)
        return None

    async def _call(
        self, request: StreamRequest, request_class: SizeClass, reply_class: SizeClass, *, timeout_s: float
    ) -> StreamReply:
        ready = await self._path()
        call = OnionCall(ServiceId.STREAM, request.encode(), self._token, request_class, reply_class)
        called_at = anyio.current_time()
        try:
            answer = await self._carrier.exchange(ready, call, timeout_s=timeout_s)
        except DeadlineError as error:
            # A slow path still brings replies; only a silent one is given up.
            if self._answered_at < called_at:
                self._leave(ready, error)
            raise
        except UnreachableError as error:
            self._leave(ready, error)
            raise
        self._answered_at = anyio.current_time()
        if answer.head.status is not ReplyStatus.ANSWERED:
            raise stream_refusal(answer, self._host.decode(), self._port)
        return StreamReply.decode(answer.body)

    async def _path(self) -> ReadyPath:
        async with self._choosing:
            if self._ready is not None and not self._carrier.is_current(self._ready):
                self._ready = None  # a new epoch is nobody's failure, and costs no continuation
            if self._ready is None:
                try:
                    self._ready = await self._carrier.path_to_exit()
                except OnionPathError as error:
                    self._fail(error)
                    raise
            return self._ready

    def _leave(self, ready: ReadyPath, error: UnreachableError) -> None:
        """A call failed on this path: move on, once for all calls that were under way on it."""
        if self._ready is not ready:
            return
        self._ready = None
        self._carrier.retire(ready, error.edge)
        self._continuations += 1
        if self._continuations > MAX_CONTINUATIONS:
            self._fail(
                StreamError(
                    f"{MAX_CONTINUATIONS + 1} paths broke under one stream: {error}", reason="paths_broken"
                )
            )

    def _fail(self, error: OnionPathError) -> None:
        if self._failure is None:
            self._failure = error
        self._notify()

    # For the program.

    async def receive(self, max_bytes: int = 65_536) -> bytes:
        """The next bytes, at least one; see the class for how it ends."""
        while True:
            if self._closed:
                raise anyio.ClosedResourceError
            data = self._incoming.take(max_bytes)
            if data:
                self._notify()
                return data
            if self._incoming.finished:
                raise anyio.EndOfStream
            await self._wait_for_change()

    async def send(self, item: bytes) -> None:
        """Hand bytes over; returns when they are accepted for sending, which may be before they arrive.

        Cancelling it closes the stream: some of the bytes may have left, and nobody can say how many.
        """
        rest = memoryview(item)
        try:
            while rest:
                rest = await self._send_some(rest)
        except anyio.get_cancelled_exc_class():
            self.abandon()
            raise

    async def _send_some(self, rest: memoryview) -> memoryview:
        if self._closed or self._outgoing.ended:
            raise anyio.ClosedResourceError
        if self._failure is not None:
            raise anyio.BrokenResourceError from self._failure
        count = min(len(rest), self._outgoing.room)
        if count:
            self._outgoing.add(bytes(rest[:count]))
            self._notify()
            await anyio.lowlevel.checkpoint()
        else:
            await self._wait_for_change()
        return rest[count:]

    async def send_eof(self) -> None:
        """Nothing more will be sent; what was sent still arrives."""
        self._outgoing.ended = True
        self._notify()
        await anyio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        """Forget the stream here and at the exit; bytes that weren't confirmed are given up."""
        self.abandon()
        await anyio.lowlevel.checkpoint()

    def abandon(self) -> None:
        """``aclose`` for those who cannot wait."""
        if not self._closed:
            self._closed = True
            self._notify()
            self._scope.cancel()

    async def say_goodbye(self) -> None:
        """Tell the exit to forget the stream; best effort, the client runs this after ``run``."""
        if self._ready is None:
            return
        request = StreamRequest(token=self._token, flags=RequestFlags.CLOSE)
        try:
            await self._call(request, SizeClass.SMALL, SizeClass.SMALL, timeout_s=5.0)
        except OnionPathError:
            return  # the exit forgets it by itself after a minute

    async def _wait_for_change(self) -> None:
        if self._failure is not None:
            raise anyio.BrokenResourceError from self._failure
        await self._changed.wait()


_TRY_AGAIN = frozenset({Reason.SERVICE_BUSY.name.lower(), Reason.HOP_BUSY.name.lower()})
