"""The client's end of a stream: which calls to make next, what their replies mean, and when it is over.

Nothing here waits: ``onionpath.client.stream`` makes the calls and tells how they ended, and so does the virtual client
of the simulations. When a path breaks, its calls are made again over another path to the same exit, at most
``MAX_CONTINUATIONS`` times for one stream: whoever kills paths to be chosen himself gets so many draws and no more.
Spec: docs/specs/stream.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from onionpath.errors import (
    DeadlineError,
    MalformedError,
    OnionPathError,
    RefusedError,
    StreamError,
    UnreachableError,
)
from onionpath.onion.geometry import Geometry, SizeClass
from onionpath.onion.packets import OnionCall
from onionpath.onion.statuses import Reason
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
GOODBYE_S = 5.0
MAX_PUSHES = 8
PUSH_WAIT_MS = 10_000
# A third of what the exit tolerates without any call.
KEEP_ALIVE_S = 20.0
BUSY_PAUSE_S = 0.25

_TRY_AGAIN = frozenset({Reason.SERVICE_BUSY.name.lower(), Reason.HOP_BUSY.name.lower()})


@dataclass(frozen=True, slots=True, eq=False)
class ClientCall:
    """One call of a stream that is to be made; ``answered`` or ``failed`` must follow.

    Args:
        timeout_s: for the call over one path.
        asked_at: when it was handed out.
        poll: what it asks for, if it is a poll.
        pushed: the offsets of the bytes that it carries, otherwise.
    """

    request: StreamRequest = field(repr=False)
    request_class: SizeClass
    reply_class: SizeClass
    timeout_s: float
    asked_at: float
    poll: Poll | None = None
    pushed: tuple[int, int] = (0, 0)

    def packet(self) -> OnionCall:
        """The call as a path carries it."""
        token = self.request.token
        return OnionCall(ServiceId.STREAM, self.request.encode(), token, self.request_class, self.reply_class)


class StreamClient:
    """One stream. Times are seconds of a clock that never goes back.

    Args:
        token: 16 random bytes.
        host: in ASCII, as docs/specs/stream.md §7 wants it.
    """

    def __init__(self, *, token: bytes, host: str, port: int, geometry: Geometry) -> None:
        self.host, self.port = host, port
        self.failure: OnionPathError | None = None  # Why the stream broke for good.
        self.continuations = 0  # How often the stream has moved to another path.
        self._token = token
        last = geometry.last_depth
        small, large = (geometry.request_capacity(each, last) for each in (SizeClass.SMALL, SizeClass.LARGE))
        self._small_push, self._large_push = small - REQUEST_OVERHEAD, large - REQUEST_OVERHEAD
        self._polls = Polls(
            small_reply=geometry.reply_capacity(SizeClass.SMALL, last),
            large_reply=geometry.reply_capacity(SizeClass.LARGE, last),
        )
        self._incoming = Reassembly()
        self._outgoing = Outgoing()
        self._answered_at = -math.inf
        self._called_at = -math.inf
        self._acknowledged = 0  # by the newest call
        self._pushes = 0
        self._push_pause = Pause()
        self._resting: list[tuple[float, ClientCall]] = []

    # For the program: bytes in, bytes out.

    def take(self, at_most: int) -> bytes:
        """The next bytes in order; empty if there are none now, or none any more (``is_finished``)."""
        return self._incoming.take(at_most)

    @property
    def is_finished(self) -> bool:
        """Whether every byte up to the end was taken."""
        return self._incoming.finished

    @property
    def is_readable(self) -> bool:
        """Whether ``take`` has bytes, or never will have: whoever reads need not wait."""
        return self._incoming.ready > 0 or self._incoming.finished or self.failure is not None

    def give(self, data: memoryview) -> int:
        """Accept bytes to be sent, as many as there is room for, and say how many."""
        count = min(len(data), self._outgoing.room)
        self._outgoing.add(bytes(data[:count]))
        return count

    def end(self) -> None:
        """Nothing more will be given; what was given still arrives."""
        self._outgoing.ended = True

    @property
    def has_ended(self) -> bool:
        """Whether ``end`` was called."""
        return self._outgoing.ended

    @property
    def has_arrived(self) -> bool:
        """Whether the exit has everything that was given, and the end."""
        return self._outgoing.is_confirmed

    # Calls to be made.

    def opening(self, *, now: float) -> ClientCall:
        """The first call; the exit connects. Its failure is the caller's, and ``due`` gives nothing before."""
        host = self.host.encode("ascii")
        request = StreamRequest(token=self._token, flags=RequestFlags.OPEN, host=host, port=self.port)
        return self._small(request, DIAL_S + TRAVEL_S, now)

    def goodbye(self, *, now: float) -> ClientCall:
        """The last call; the exit forgets the stream."""
        return self._small(StreamRequest(token=self._token, flags=RequestFlags.CLOSE), GOODBYE_S, now)

    def due(self, *, now: float) -> list[ClientCall]:
        """The calls to make now; ask again after each event, and after ``patience_s``."""
        self._end_rests(now)
        calls = [self._ask(poll, now) for poll in self._polls.due(self._incoming.missing(), now=now)]
        if self._push_pause.ends_at(now=now) is None:
            calls += self._due_pushes(now)
        if not calls and not self._pushes and self._owes_acknowledgement():
            calls.append(self._push(self._outgoing.end, self._outgoing.end, now))
        is_quiet = not calls and not self._polls.outstanding and not self._pushes
        if is_quiet and now - self._called_at >= KEEP_ALIVE_S:
            calls.append(self._push(self._outgoing.end, self._outgoing.end, now))
        if calls:
            self._called_at, self._acknowledged = now, self._incoming.received
        return calls

    def _owes_acknowledgement(self) -> bool:
        """Whether bytes came after which no call was made, while polls are outstanding.

        The first of them may have been sent as one behind another; only a call that acknowledges all before it makes it
        the head, which is answered with less than it wants.
        """
        behind = self._incoming.received > self._acknowledged
        return behind and self._polls.outstanding > 0 and bool(self._incoming.missing())

    def patience_s(self, *, now: float) -> float:
        """How long ``due`` gives nothing unless something happens, in seconds."""
        ends = [self._polls.next_due_at(now=now), self._push_pause.ends_at(now=now)]
        ends += [until for until, _ in self._resting]
        if not self._polls.outstanding and not self._pushes:
            ends.append(self._called_at + KEEP_ALIVE_S)
        return max(0.0, min([KEEP_ALIVE_S, *(end - now for end in ends if end is not None)]))

    def _end_rests(self, now: float) -> None:
        over = [call for until, call in self._resting if until <= now]
        self._resting = [(until, call) for until, call in self._resting if until > now]
        for call in over:
            self._lost(call)

    def _due_pushes(self, now: float) -> list[ClientCall]:
        outgoing, calls = self._outgoing, list[ClientCall]()
        while self._pushes < MAX_PUSHES:
            found = outgoing.next_range(self._large_push)
            if found is None:
                break
            calls.append(self._push(*found, now))
        if outgoing.ended and not self._pushes and not outgoing.is_confirmed:
            calls.append(self._push(outgoing.end, outgoing.end, now))
        return calls

    def _ask(self, poll: Poll, now: float) -> ClientCall:
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
        return ClientCall(request, SizeClass.SMALL, reply_class, timeout_s, now, poll)

    def _push(self, start: int, stop: int, now: float) -> ClientCall:
        self._pushes += 1
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
        request_class = SizeClass.SMALL if len(data) <= self._small_push else SizeClass.LARGE
        timeout_s = PUSH_WAIT_MS / 1000 + TRAVEL_S
        return ClientCall(request, request_class, SizeClass.SMALL, timeout_s, now, pushed=(start, stop))

    def _small(self, request: StreamRequest, timeout_s: float, now: float) -> ClientCall:
        self._called_at = now
        return ClientCall(request, SizeClass.SMALL, SizeClass.SMALL, timeout_s, now)

    # How calls ended.

    def answered(self, call: ClientCall, reply: StreamReply, *, now: float) -> None:
        """The exit's stream replied."""
        self._answered_at = now
        try:
            if call.poll is not None:
                self._polls.answered(call.poll, len(reply.data), now=now)
                self._receive(reply, call.poll)
            else:
                self._confirm(call, reply, now)
        except MalformedError as error:
            self._fail(error)

    def failed(self, call: ClientCall, error: OnionPathError, *, now: float) -> None:
        """No reply came, or a refusal; the call's bytes are asked for or sent again, or the stream is broken."""
        if isinstance(error, RefusedError):
            self._answered_at = now
            if error.reason in _TRY_AGAIN:
                self._resting.append((now + BUSY_PAUSE_S, call))
            else:
                self._fail(StreamError(str(error), reason=error.reason))
        elif isinstance(error, UnreachableError):
            self._lost(call)
        else:
            self._fail(error)

    def blames_path(self, call: ClientCall, error: OnionPathError) -> bool:
        """Whether the path is to be left: a slow one still brings replies, only a silent one is given up."""
        is_slow = isinstance(error, DeadlineError) and self._answered_at >= call.asked_at
        return isinstance(error, UnreachableError) and not is_slow

    def left_path(self, error: OnionPathError) -> None:
        """Another path is taken, once for all calls that were under way on the one that failed."""
        self.continuations += 1
        if self.continuations > MAX_CONTINUATIONS:
            message = f"{MAX_CONTINUATIONS + 1} paths broke under one stream: {error}"
            self._fail(StreamError(message, reason="paths_broken"))

    def no_path(self, error: OnionPathError) -> None:
        """There is no path to the exit any more."""
        self._fail(error)

    def _receive(self, reply: StreamReply, poll: Poll) -> None:
        if len(reply.data) > poll.at_most or (reply.data and reply.downstream_offset != poll.read_at):
            raise MalformedError("the exit sent bytes that were not asked for")
        self._incoming.add(reply.downstream_offset, reply.data)
        if reply.flags is ReplyFlags.END:
            self._incoming.end_at(reply.end)
        if reply.flags is ReplyFlags.RESET and self._incoming.received >= reply.end:
            self._fail(StreamError("the connection beyond the exit broke", reason="reset"))

    def _confirm(self, call: ClientCall, reply: StreamReply, now: float) -> None:
        self._pushes -= 1
        outgoing, (start, stop) = self._outgoing, call.pushed
        outgoing.confirm(reply.upstream_received, with_end=RequestFlags.END in call.request.flags)
        if reply.upstream_received > start or outgoing.is_confirmed:
            self._push_pause.something_came()
        else:
            wait_s = call.request.wait_ms / 1000
            self._push_pause.nothing_came(asked_at=call.asked_at, wait_s=wait_s, now=now)
        outgoing.send_again(start, stop)

    def _lost(self, call: ClientCall) -> None:
        if call.poll is not None:
            self._polls.lost(call.poll)
        else:
            self._pushes -= 1
            self._outgoing.send_again(*call.pushed)

    def _fail(self, error: OnionPathError) -> None:
        if self.failure is None:
            self.failure = error
