"""One stream of an exit: what its calls are answered, and what is read from and written to its connection.

State      next                 when
CONNECTING OPEN, REFUSED        the dial ended
OPEN       ENDED, BROKEN        the server ended its side; an error on the connection
ENDED      BROKEN               an error on the connection: the server no longer takes what it is sent
any        FORGOTTEN            CLOSE came, no call for a while, its life or its bytes are used up, or the exit closes

Nothing here waits, and no socket or clock is known: ``relay.exit.carriage`` brings events and does what this file
says, and so does the virtual exit of the simulations. After each event, ``settle`` answers every call that can be.
Spec: docs/specs/stream.md §5, §6.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto

from onionpath.errors import MalformedError
from onionpath.onion.statuses import Reason
from onionpath.service.hosts import Host
from onionpath.service.stream import ReplyFlags, RequestFlags, StreamReply, StreamRequest
from onionpath.service.stream_buffers import Downstream, Upstream
from relay.exit.limits import StreamLimits
from relay.exit.memory import Account, Budget

CHUNK = 64 * 1024  # bytes read or written at once; half a large packet, so that one fills in two steps


class State(Enum):
    """Where a stream's life stands; see the table above."""

    CONNECTING = auto()
    OPEN = auto()
    REFUSED = auto()
    ENDED = auto()
    BROKEN = auto()
    FORGOTTEN = auto()


NEXT = {
    State.CONNECTING: {State.OPEN, State.REFUSED, State.FORGOTTEN},
    State.OPEN: {State.ENDED, State.BROKEN, State.FORGOTTEN},
    State.REFUSED: {State.FORGOTTEN},
    State.ENDED: {State.BROKEN, State.FORGOTTEN},
    State.BROKEN: {State.FORGOTTEN},
    State.FORGOTTEN: set[State](),
}


@dataclass(eq=False, slots=True)
class StreamCall:
    """One call that a stream was asked; ``answer`` is there once it can be given.

    Args:
        capacity: downstream bytes that fit the reply.
        latest: it is answered by then, whatever it asked for.
        until: it is answered by then with what is there.
        kept: bytes of memory that are held for it; None if there was none for it, so that it cannot wait.
    """

    request: StreamRequest
    capacity: int
    latest: float
    until: float
    kept: int | None
    is_checked: bool = False
    answer: StreamReply | Reason | None = field(default=None, repr=False)


class ExitStream:
    """One stream. Times are seconds of a clock that never goes back.

    Args:
        name: the bytes of the host and the port that it was opened with.
        host: the same host, read.
        caller: the link that opened it, for accounting.
    """

    def __init__(
        self,
        name: tuple[bytes, int],
        host: Host,
        *,
        caller: int,
        budget: Budget,
        limits: StreamLimits,
        now: float,
    ) -> None:
        self.name = name
        self.host = host
        self.caller = caller
        self.refusal = Reason.STREAM_UNKNOWN  # What its token is answered once it is over.
        self.bytes_up = 0
        self.bytes_down = 0
        self.active_at = now  # When bytes last came in, from either side.
        self._expires_at = now + limits.life_s
        # Its connection, its task and its memory are given up then.
        self.ends_at = min(now + limits.idle_s, self._expires_at)
        # Called when something has changed that whoever carries the stream has no part in: memory has come free for
        # ``grant``, or the stream was closed or evicted.
        self.woken: Callable[[], None] = lambda: None
        self._limits = limits
        self._state = State.CONNECTING
        self._upstream = Upstream(limits.upstream)
        self._downstream = Downstream(limits.downstream)
        self._up_account = Account(budget, limits.floor, link=caller)
        self._down_account = Account(budget, limits.floor, link=caller, woken=lambda: self.woken())
        self._waiting_account = Account(budget, limits.waiting_floor, link=caller)
        self._calls: dict[StreamCall, None] = {}
        self._has_changed = False

    @property
    def state(self) -> State:
        """Where its life stands."""
        return self._state

    @property
    def held(self) -> int:
        """Bytes in both buffers and with the calls that wait."""
        return self._up_account.held + self._down_account.held + self._waiting_account.held

    # Calls.

    def ask(self, request: StreamRequest, *, capacity: int, now: float) -> StreamCall | Reason:
        """A call arrives. ``settle`` answers it now or later; ``leave`` must follow.

        Args:
            capacity: downstream bytes that fit the reply.
        """
        if self._state is not State.FORGOTTEN:
            self.ends_at = min(now + self._limits.idle_s, self._expires_at)
        if len(self._calls) >= self._limits.calls_per_stream:
            return Reason.SERVICE_BUSY
        latest = now + self._limits.longest_wait_s
        call = StreamCall(request, capacity, latest, latest, self._keep(2 * len(request.data)))
        self._calls[call] = None
        return call

    def _keep(self, size: int) -> int | None:
        """Hold memory for a call's bytes while it waits, those that were taken too; None if there is none for that."""
        fits = self._waiting_account.held + size <= self._limits.waiting
        return size if fits and self._waiting_account.hold_all(size) else None

    def leave(self, call: StreamCall) -> None:
        """Nobody waits for this call any more."""
        if call in self._calls:
            del self._calls[call]
            self._waiting_account.free(call.kept or 0)

    def settle(self, now: float) -> bool:
        """Answer what can be answered, and say whether anything has changed since it was last asked."""
        changed = self._has_changed
        again = True
        while again:
            # One call's bytes may be what another waits for.
            self._has_changed = False
            for call in self._calls:
                if call.answer is None:
                    call.answer = self._look(call, now)
                    changed |= call.answer is not None
            again = self._has_changed
            changed |= again
        return changed

    def _look(self, call: StreamCall, now: float) -> StreamReply | Reason | None:
        if self._is_over():
            return self.refusal
        if self._state is State.CONNECTING:
            if call.kept is None:
                return Reason.SERVICE_BUSY
            return StreamReply(downstream_offset=call.request.read_at) if now >= call.latest else None
        try:
            self._check(call, now)
        except MalformedError:
            return Reason.BAD_CALL
        is_satisfied = self._is_satisfied(call, now)
        if self._is_over():  # by the bytes that this call brought
            return self.refusal
        if is_satisfied or now >= call.until:
            return self._reply(call)
        return self._answer_at_once(call) if call.kept is None else None

    def _check(self, call: StreamCall, now: float) -> None:
        """Once, when the call meets the connection; its wait begins then."""
        if call.is_checked:
            return
        call.is_checked = True
        request = call.request
        ends = RequestFlags.END in request.flags
        self._upstream.check(request.upstream_offset, len(request.data), ends=ends)
        forgotten = self._downstream.acknowledge(request.acknowledged)
        if forgotten:
            self._down_account.free(forgotten)
            self._has_changed = True
        call.until = min(call.latest, now + request.wait_ms / 1000)

    def _answer_at_once(self, call: StreamCall) -> StreamReply | Reason:
        """Answer a call that there is no memory to keep; it is busy unless something came of the call."""
        reply = self._reply(call)
        moved = reply.upstream_received > call.request.upstream_offset or reply.data
        return reply if moved else Reason.SERVICE_BUSY

    def _is_over(self) -> bool:
        return self._state in (State.REFUSED, State.FORGOTTEN)

    def _is_satisfied(self, call: StreamCall, now: float) -> bool:
        """Take what can be taken of the call's bytes, and say whether it can be answered (§6.2)."""
        request, downstream = call.request, self._downstream
        at_least = min(request.at_least, call.capacity)
        taken = self._accept(request, now)
        if self._state is State.BROKEN:
            return True
        if not at_least:
            return taken
        if self._state is State.ENDED or request.read_at < downstream.acknowledged:
            return True
        # A call that stood behind others is the head once the client has all before it: it may wait no more.
        became_head = request.acknowledged < request.read_at == downstream.acknowledged
        return downstream.available(request.read_at) >= (1 if became_head else at_least)

    def _accept(self, request: StreamRequest, now: float) -> bool:
        """Take the call's upstream bytes as far as they fit; whether all of them, and its END, are in."""
        upstream, stop = self._upstream, request.upstream_offset + len(request.data)
        before = (upstream.received, upstream.ended)
        granted = self._up_account.hold(upstream.wanted(request.upstream_offset, len(request.data)))
        upstream.accept(request.upstream_offset, request.data, at_most=granted)
        ended = RequestFlags.END not in request.flags or upstream.end_at(stop)
        if before != (upstream.received, upstream.ended):
            self.active_at, self._has_changed = now, True
        if upstream.received > self._limits.bytes_each_way:
            self._exceed()
        return ended and upstream.received >= stop

    def _reply(self, call: StreamCall) -> StreamReply:
        request = call.request
        received, read_at, end = self._upstream.received, request.read_at, self._downstream.end
        if read_at < self._downstream.acknowledged:
            return StreamReply(received, read_at, b"", ReplyFlags.RESET)
        data = self._downstream.read(read_at, min(request.at_most, call.capacity))
        if self._state is State.OPEN or read_at + len(data) < end:
            return StreamReply(received, read_at, data)
        flags = ReplyFlags.END if self._state is State.ENDED else ReplyFlags.RESET
        return StreamReply(received, min(read_at, end), data, flags)

    # The connection: how its dial ended, what to read and to write.

    def connected(self) -> None:
        """The server has accepted."""
        self._become(State.OPEN)

    def refused(self, reason: Reason) -> None:
        """There is no connection, and every call is told why."""
        self.refusal = reason
        self._become(State.REFUSED)

    @property
    def may_read(self) -> bool:
        """Whether there is room for what the server sends."""
        return self._state is State.OPEN and self._downstream.room > 0

    def grant(self) -> int:
        """Hold memory for bytes that are there to be read, and say for how many; with 0, ``woken`` tells when to ask
        again. ``read`` must follow, also when nothing came of it; an idle stream holds nothing.
        """
        return self._down_account.hold_in_turn(min(CHUNK, self._downstream.room))

    def grant_no_more(self) -> None:
        """Whoever asked ``grant`` waits no longer."""
        self._down_account.leave()

    def read(self, granted: int, data: bytes, *, now: float) -> None:
        """So much of what was granted came from the server."""
        self._down_account.free(granted - len(data))
        if data:
            self._downstream.append(data)
            self.bytes_down += len(data)
            self.active_at = now
            self._has_changed = True
        if self.bytes_down > self._limits.bytes_each_way:
            self._exceed()

    def ended(self) -> None:
        """The server ended its side."""
        self._become(State.ENDED)

    def broke(self) -> None:
        """The connection broke, or its server takes nothing for too long."""
        self._become(State.BROKEN)

    def next_write(self) -> bytes:
        """The next bytes for the server; empty while there are none. ``written`` must follow."""
        return self._upstream.take(CHUNK)

    def written(self, size: int) -> None:
        """The kernel has taken so many bytes."""
        self._up_account.free(size)
        self.bytes_up += size
        self._has_changed = True
        if self._state is State.FORGOTTEN and not self._upstream.held:
            self.ends_at = -math.inf

    @property
    def must_end(self) -> bool:
        """Whether the client's side has ended and all is written: now the server is to hear of it."""
        return self._upstream.finished

    # Its end.

    def close(self, *, now: float) -> None:
        """Forget the stream once what has arrived is written, and read no more."""
        self._become(State.FORGOTTEN)
        self._down_account.free(self._downstream.forget())
        self.ends_at = now + self._limits.linger_s if self._up_account.held else -math.inf
        self.woken()

    def abort(self) -> None:
        """Forget the stream and close its connection now."""
        self.ends_at = -math.inf
        self.woken()

    def end(self, *, now: float) -> None:
        """Nobody carries it any more."""
        if now >= self._expires_at:
            self._exceed()
        if self._state is not State.REFUSED:
            self._become(State.FORGOTTEN)
        self._up_account.close()
        self._down_account.close()
        self.ends_at = -math.inf

    def _exceed(self) -> None:
        """End a stream that has used up its life or its bytes; its calls are told so."""
        if self._state not in (State.REFUSED, State.FORGOTTEN):
            self.refusal = Reason.STREAM_LIMIT
            self._become(State.FORGOTTEN)
            self.ends_at = -math.inf

    def _become(self, state: State) -> None:
        if state in NEXT[self._state]:
            self._state = state
            self._has_changed = True
