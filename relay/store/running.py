"""A member of a swarm on trio: carries out what ``replica/member.py`` wants, and brings it what comes.

    storage = RunningMember(identity, store, peers, nursery, newest=..., fetch_soon=..., clock=...)
    nursery.start_soon(storage.run)
    storage.answer(request, max_reply=...)           # a Destination
    PeerCalls(storage.for_members, nursery)          # a PeerService, under ServiceId.REPLICA

A store that is damaged is reopened, and its member begins anew with what is left.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from math import inf

import structlog
import trio

from onionpath.crypto.identity import IdentityKey, RelayId
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

log = structlog.get_logger(__name__)

TICK_EVERY_S = 1.0
PURGE_EVERY_S = 60.0
# A client or a member that has no reply by then has given up.
ANSWER_TIMEOUT_S = 25.0
# Any relay can say that it has a newer document; we look no more often than this.
FETCH_AT_MOST_EVERY_S = 10.0


class RunningMember:
    """See above.

    Args:
        store: open, and ours alone.
        nursery: where everything that is waited for runs; cancelling it ends it.
        newest: the newest directory that is valid.
        fetch_soon: look for a newer one.
    """

    def __init__(
        self,
        identity: IdentityKey,
        store: DiskStore,
        peers: AsksPeers,
        nursery: trio.Nursery,
        *,
        newest: Callable[[], Directory | None],
        fetch_soon: Callable[[], None],
        clock: Callable[[], UnixTime],
    ) -> None:
        self._identity = identity
        self._store = store
        self._peers = peers
        self._nursery = nursery
        self._newest = newest
        self._fetch_soon = fetch_soon
        self._clock = clock
        self._fetched_at = -inf
        self._was_caught_up = False
        self.for_members = _ForMembers(self)
        self._life = self._new_life()

    async def run(self) -> None:
        """Tell the member of time and documents, and keep its store, until cancelled."""
        purged_at = -inf
        while True:
            if self._store.is_broken:
                await self._begin_anew()
            self._life.follow(self._newest())
            self._tell_changes()
            if trio.current_time() >= purged_at + PURGE_EVERY_S:
                purged_at = trio.current_time()
                await self._store.purge(now_ms=self._now_ms)
            await trio.sleep(TICK_EVERY_S)

    async def answer(self, request: bytes, *, max_reply: int) -> SessionReply:
        """What a client asks; see ``Destination``."""
        with trio.move_on_after(ANSWER_TIMEOUT_S):
            return await self._life.answer_client(request, max_reply=max_reply)
        return NOT_READY

    async def answer_member(self, peer: RelayId, body: bytes) -> bytes | Reason:
        """What another member asks."""
        with trio.move_on_after(ANSWER_TIMEOUT_S):
            return await self._life.answer_member(peer, body)
        return Reason.SERVICE_TIMED_OUT

    @property
    def is_caught_up(self) -> bool:
        """Whether it answers for all accounts that are its own."""
        around = self._life.member.around
        return around.is_ready and not any(each.debts for each in around.duties.holdings)

    def counts(self) -> Mapping[str, int]:
        """What went wrong between members since the store was opened, and how things stand with them now.

        ``behind`` is how many holdings are still to be compared, ``down`` how many members gave no answer.
        """
        around = self._life.member.around
        behind = sum(bool(each.debts) for each in around.duties.holdings)
        return {**around.counts._asdict(), "behind": behind, "down": len(around.down)}

    def _tell_changes(self) -> None:
        if self.is_caught_up != self._was_caught_up:
            self._was_caught_up = not self._was_caught_up
            log.info("storage_ready" if self._was_caught_up else "storage_behind")

    @property
    def _now_ms(self) -> int:
        return int(self._clock() * 1000)

    def _new_life(self) -> _Life:
        member = Member(self._identity, random.SystemRandom())
        return _Life(member, self._store, self._peers, self._nursery, self._clock, self._fetch)

    async def _begin_anew(self) -> None:
        log.error("store_damaged", remedy="the other members of the swarm have what was acknowledged")
        self._life.end()
        await self._store.reopen()
        self._life = self._new_life()

    def _fetch(self) -> None:
        if trio.current_time() >= self._fetched_at + FETCH_AT_MOST_EVERY_S:
            self._fetched_at = trio.current_time()
            self._fetch_soon()


class _ForMembers:
    """The side of a ``RunningMember`` that faces the other members; a ``PeerService``."""

    def __init__(self, running: RunningMember) -> None:
        self._running = running

    async def answer(self, peer: RelayId, body: bytes) -> bytes | Reason:
        """See ``PeerService``."""
        return await self._running.answer_member(peer, body)


class _Waiting:
    """Somebody who waits for a member's answer."""

    def __init__(self) -> None:
        self.event = trio.Event()
        self.answer: SessionReply | bytes = b""

    def settle(self, answer: SessionReply | bytes) -> None:
        self.answer = answer
        self.event.set()


class _Life:
    """One member from its start until its store breaks."""

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
