"""Carries out on trio what a ``Member`` wants, and brings it what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import trio

from onionpath.crypto.identity import RelayId
from onionpath.directory.directory import Directory
from onionpath.injected import UnixTime
from onionpath.onion.session_packets import SessionReply
from onionpath.onion.statuses import Reason
from onionpath.service.calls import ServiceId
from onionpath.swarm.nodes import Roster
from onionpath.swarm.operations import Operation
from onionpath.swarm.reconciliation import Note, Upkeep
from onionpath.swarm.replies import NOT_READY
from relay.peers import AsksPeers
from relay.store.disk import DiskStore
from relay.store.replica.layout import Layout
from relay.store.replica.member import Member
from relay.store.replica.steps import AnswerClient, AnswerMember, Apply, Ask, Do, FetchDocument, Pause, Step


class _Waiting:
    """Somebody who waits for a member's answer."""

    def __init__(self) -> None:
        self.event = trio.Event()
        self.answer: SessionReply | bytes = b""

    def settle(self, answer: SessionReply | bytes) -> None:
        """Here is the answer."""
        self.answer = answer
        self.event.set()


class Driver:
    """One member from its start until its store breaks.

    Args:
        nursery: where everything that is waited for runs.
        fetch: look for a newer document.
    """

    def __init__(
        self,
        member: Member,
        store: DiskStore,
        peers: AsksPeers,
        nursery: trio.Nursery,
        clock: Callable[[], UnixTime],
        fetch: Callable[[], None],
    ) -> None:
        self.member = member
        self._store = store
        self._peers = peers
        self._nursery = nursery
        self._clock = clock
        self._fetch = fetch
        self._waiting: dict[int, _Waiting] = {}
        self._last = 0
        self._has_ended = False

    def end(self) -> None:
        """Nothing more is carried out."""
        self._has_ended = True
        for waiting in self._waiting.values():
            waiting.settle(NOT_READY)

    def follow(self, directory: Directory | None) -> None:
        """Time has passed, and there may be a new document."""
        if directory is None:
            return
        if directory.document.number > self.member.number:
            layout, roster = Layout.of_document(directory.document), Roster.of(directory)
            self._carry_out(self.member.use(layout, roster, now_ms=self._now_ms))
        else:
            self._carry_out(self.member.tick(now_ms=self._now_ms))

    async def answer_client(self, request: bytes, *, max_reply: int) -> SessionReply:
        """What a client asks."""
        number, waiting = self._expect()
        try:
            self._carry_out(self.member.request(number, request, max_reply=max_reply, now_ms=self._now_ms))
            await waiting.event.wait()
        finally:
            self._waiting.pop(number, None)
        return waiting.answer if isinstance(waiting.answer, SessionReply) else NOT_READY

    async def answer_member(self, peer: RelayId, body: bytes) -> bytes | Reason:
        """What another member asks."""
        number, waiting = self._expect()
        try:
            self._carry_out(self.member.question(number, peer, body, now_ms=self._now_ms))
            await waiting.event.wait()
        finally:
            self._waiting.pop(number, None)
        return waiting.answer if isinstance(waiting.answer, bytes) else Reason.SERVICE_FAILED

    def _expect(self) -> tuple[int, _Waiting]:
        self._last += 1
        waiting = self._waiting[self._last] = _Waiting()
        return self._last, waiting

    def _carry_out(self, steps: Sequence[Step]) -> None:
        for step in steps:
            match step:
                case Do(ticket, Apply(operations)):
                    self._nursery.start_soon(self._apply, ticket, operations)
                case Do(ticket, Ask() as ask):
                    self._nursery.start_soon(self._ask, ticket, ask)
                case Do(ticket, Pause(seconds)):
                    self._nursery.start_soon(self._pause, ticket, seconds)
                case AnswerClient(number, reply):
                    self._settle(number, reply)
                case AnswerMember(number, body):
                    self._settle(number, body)
                case FetchDocument():
                    self._fetch()

    def _settle(self, number: int, answer: SessionReply | bytes) -> None:
        # Whoever gave up isn't there any more.
        if number in self._waiting:
            self._waiting[number].settle(answer)

    async def _apply(self, ticket: int, operations: Sequence[Operation | Upkeep]) -> None:
        """Hand a batch to the store, which has it in its queue before this waits for the first time.

        A change must come before the note of a later document (docs/specs/replication.md §4.3): a turn later all
        tasks that were started before have begun, in whatever order.
        """
        if any(isinstance(each, Note) for each in operations):
            await trio.lowlevel.checkpoint()
        if not self._has_ended:
            self._done(ticket, await self._store.apply(operations, now_ms=self._now_ms))

    async def _ask(self, ticket: int, ask: Ask) -> None:
        result = await self._peers.ask(ask.relay, ServiceId.REPLICA, ask.body, timeout_s=ask.timeout_s)
        self._done(ticket, result)

    async def _pause(self, ticket: int, seconds: float) -> None:
        await trio.sleep(seconds)
        self._done(ticket, None)

    def _done(self, ticket: int, result: object) -> None:
        if not self._has_ended:
            self._carry_out(self.member.done(ticket, result, now_ms=self._now_ms))

    @property
    def _now_ms(self) -> int:
        return int(self._clock() * 1000)
