"""Writers and readers, as the client library does it: any member takes a change, enough members give what there is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from random import Random
from typing import Any

from onionpath.crypto.identity import RelayId
from onionpath.onion.session_packets import SessionReply
from onionpath.swarm.hashes import message_hash
from onionpath.swarm.majorities import enough_to_read
from relay.store.replica.layout import position_of
from simulations.virtual.heap import Promise
from simulations.virtual.swarm.accounts import Account
from simulations.virtual.swarm.history import History, Kind, Outcome, Record
from simulations.virtual.swarm.world import World

TIMEOUT_S = 15.0
TTL_MS = 24 * 3600 * 1000
MAX_THINK_S = 4.0
# Refused before anything happened; everything else but 200 may have happened.
_REFUSALS = {400, 401, 403, 406, 421}


class Clients:
    """All clients of a trial.

    Args:
        most: operations; the clients end when so many have begun.
    """

    def __init__(self, world: World, history: History, choice: Random, *, most: int, accounts: int) -> None:
        self._world = world
        self._history = history
        self._choice = choice
        self._most = most
        self._accounts = [Account(choice.randbytes) for _ in range(accounts)]
        self._stored: list[list[str]] = [[] for _ in range(accounts)]
        self.running = 0

    def start(self, *, writers: int, readers: int) -> None:
        """Let them begin."""
        self.running = writers + readers
        for _ in range(writers):
            self._world.heap.spawn(self._work(is_writer=True))
        for _ in range(readers):
            self._world.heap.spawn(self._work(is_writer=False))

    async def _work(self, *, is_writer: bool) -> None:
        while len(self._history.records) < self._most:
            await self._world.heap.sleep(self._choice.uniform(0, MAX_THINK_S))
            account = self._choice.randrange(len(self._accounts))
            if is_writer:
                await self._write(account)
            else:
                await self.read(account)
        self.running -= 1

    # Changes.

    async def _write(self, account: int) -> None:
        known, draw = self._stored[account], self._choice.random()
        if draw < 0.75 or not known:
            await self._store(account)
        elif draw < 0.85:
            await self._remove(account, self._choice.sample(known, min(len(known), 2)))
        elif draw < 0.88:
            await self._remove(account, None)
        else:
            await self._extend(account, self._choice.choice(known))

    async def _store(self, account: int) -> None:
        data = self._choice.randbytes(self._choice.randrange(8, 200))
        name = message_hash(self._accounts[account].id, 0, data)
        self._stored[account].append(name)
        for _ in range(3):
            text = self._accounts[account].store(data, now_ms=self._now_ms, ttl_ms=TTL_MS)
            record = Record(Kind.STORE, account, frozenset((name,)), self._world.heap.now)
            if await self._change(record, text):
                return

    async def _remove(self, account: int, names: Sequence[str] | None) -> None:
        owner = self._accounts[account]
        text = owner.delete_all(now_ms=self._now_ms) if names is None else owner.delete(*names)
        hashes = None if names is None else frozenset(names)
        await self._change(Record(Kind.REMOVE, account, hashes, self._world.heap.now), text)

    async def _extend(self, account: int, name: str) -> None:
        expiry_ms = self._now_ms + 2 * TTL_MS
        text = self._accounts[account].extend(expiry_ms, name)
        hashes = frozenset((name,))
        await self._change(
            Record(Kind.EXTEND, account, hashes, self._world.heap.now, expiry_ms=expiry_ms), text
        )

    async def _change(self, record: Record, text: bytes) -> bool:
        """Whether it is certain."""
        relay = self._choice.choice(self._members(record.account))
        record.asked = relay.hex()[:4]
        self._history.begin(record)
        reply = await self._ask(relay, text)
        if reply is not None and reply.status in (200, *_REFUSALS):
            outcome = Outcome.OK if reply.status == 200 else Outcome.FAILED
            record.end(outcome, self._world.heap.now)
        return record.outcome is Outcome.OK

    # Reading.

    async def read(self, account: int) -> Record:
        """Ask enough members to know all, and merge what they say."""
        members = self._members(account)
        asked = self._choice.sample(members, enough_to_read(len(members)))
        record = Record(
            Kind.READ, account, None, self._world.heap.now, asked=" ".join(each.hex()[:4] for each in asked)
        )
        self._history.begin(record)
        number = self._number
        replies = [
            await self._ask(relay, self._accounts[account].retrieve(now_ms=self._now_ms, document=number))
            for relay in asked
        ]
        found: dict[str, int] = {}
        for reply in replies:
            page = _page(reply)
            if page is None:
                return record
            for message in page:
                found[message["hash"]] = max(message["expiration"], found.get(message["hash"], 0))
        record.found = found
        record.end(Outcome.OK, self._world.heap.now)
        return record

    async def read_all(self) -> None:
        """Every account, after all members have agreed."""
        for account in range(len(self._accounts)):
            (await self.read(account)).is_settled = True

    # Asking.

    @property
    def _now_ms(self) -> int:
        return int(self._world.heap.now * 1000)

    @property
    def _number(self) -> int:
        """Of the document by which clients go now."""
        newest = self._world.newest
        assert newest is not None
        return newest.layout.number

    def _members(self, account: int) -> list[RelayId]:
        newest = self._world.newest
        assert newest is not None
        return sorted(newest.layout.share_at(position_of(self._accounts[account].id)).members)

    async def _ask(self, relay: RelayId, text: bytes) -> SessionReply | None:
        promise: Promise[SessionReply | None] = Promise(self._world.heap)
        timer = self._world.heap.after(TIMEOUT_S, promise.keep, None)
        self._world.request(relay, text, promise.keep)
        reply = await promise
        timer.cancel()
        return reply


def _page(reply: SessionReply | None) -> list[dict[str, Any]] | None:
    """The messages that a member gave; None from one that could not, or that goes by an older document."""
    if reply is None or reply.status != 200:
        return None
    result = json.loads(reply.body).get("result", {})
    return result["body"]["messages"] if result.get("code") == 200 else None
