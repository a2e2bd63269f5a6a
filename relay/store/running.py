"""A member of a swarm as a relay runs it: told of time and documents, asked by clients and members.

    storage = RunningMember(identity, store, peers, nursery, newest=..., fetch_soon=..., clock=...)
    nursery.start_soon(storage.run)
    storage.answer(request, max_reply=...)           # a Destination
    PeerCalls(storage.for_members, nursery)          # a PeerService, under ServiceId.REPLICA

A store that is damaged is reopened, and its member begins anew with what is left, under another ``Driver``.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from math import inf

import structlog
import trio

from onionpath.crypto.identity import IdentityKey, RelayId
from onionpath.directory.directory import Directory
from onionpath.injected import UnixTime
from onionpath.onion.session_packets import SessionReply
from onionpath.onion.statuses import Reason
from onionpath.swarm.replies import NOT_READY
from relay.peers import AsksPeers
from relay.store.disk import DiskStore
from relay.store.driver import Driver
from relay.store.replica.member import Member

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
        self._driver = self._new_driver()

    async def run(self) -> None:
        """Tell the member of time and documents, and keep its store, until cancelled."""
        purged_at = -inf
        while True:
            if self._store.is_broken:
                await self._begin_anew()
            self._driver.follow(self._newest())
            self._tell_changes()
            if trio.current_time() >= purged_at + PURGE_EVERY_S:
                purged_at = trio.current_time()
                await self._store.purge(now_ms=self._now_ms)
            await trio.sleep(TICK_EVERY_S)

    async def answer(self, request: bytes, *, max_reply: int) -> SessionReply:
        """What a client asks; see ``Destination``."""
        with trio.move_on_after(ANSWER_TIMEOUT_S):
            return await self._driver.answer_client(request, max_reply=max_reply)
        return NOT_READY

    async def answer_member(self, peer: RelayId, body: bytes) -> bytes | Reason:
        """What another member asks."""
        with trio.move_on_after(ANSWER_TIMEOUT_S):
            return await self._driver.answer_member(peer, body)
        return Reason.SERVICE_TIMED_OUT

    @property
    def is_caught_up(self) -> bool:
        """Whether it answers for all accounts that are its own."""
        around = self._driver.member.around
        return around.is_ready and not any(each.debts for each in around.duties.holdings)

    def counts(self) -> Mapping[str, int]:
        """What went wrong between members since the store was opened, and how things stand with them now.

        ``behind`` is how many holdings are still to be compared, ``down`` how many members gave no answer.
        """
        around = self._driver.member.around
        behind = sum(bool(each.debts) for each in around.duties.holdings)
        return {**around.counts._asdict(), "behind": behind, "down": len(around.down)}

    def _tell_changes(self) -> None:
        if self.is_caught_up != self._was_caught_up:
            self._was_caught_up = not self._was_caught_up
            log.info("storage_ready" if self._was_caught_up else "storage_behind")

    @property
    def _now_ms(self) -> int:
        return int(self._clock() * 1000)

    def _new_driver(self) -> Driver:
        member = Member(self._identity, random.SystemRandom())
        return Driver(member, self._store, self._peers, self._nursery, self._clock, self._fetch)

    async def _begin_anew(self) -> None:
        log.error("store_damaged", remedy="the other members of the swarm have what was acknowledged")
        self._driver.end()
        await self._store.reopen()
        self._driver = self._new_driver()

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
