"""A member on trio: one relay that is its whole swarm answers from its disk, and goes on after the disk was damaged."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import trio

from onionpath.crypto.identity import RelayId
from onionpath.injected import UnixTime
from onionpath.onion.statuses import Reason
from onionpath.swarm.nodes import Roster
from onionpath.swarm.operations import NewestVersion, Operation, Put
from onionpath.swarm.reconciliation import Note, Upkeep
from relay.store.batches import Answer
from relay.store.disk import DiskStore, open_store
from relay.store.replica.layout import Layout
from relay.store.replica.messages import Refused, decode_replied
from relay.store.room import Limits
from relay.store.running import RunningMember
from simulations.virtual.swarm.accounts import Account
from tests.directory.networks import identity
from tests.swarm.rosters import directory_of

NOW = UnixTime(1_800_000_000.0)
NOW_MS = int(NOW * 1000)
ACCOUNT = Account(os.urandom)


@pytest.fixture
def anyio_backend() -> str:
    return "trio"


class Nobody:
    """No other relay can be asked."""

    async def ask(self, relay: RelayId, service: int, body: bytes, *, timeout_s: float) -> bytes | Reason:
        return Reason.NEXT_UNREACHABLE


@asynccontextmanager
async def running(store: DiskStore) -> AsyncIterator[RunningMember]:
    async with trio.open_nursery() as nursery:
        directory = directory_of({1: 0})
        member = RunningMember(
            identity(1),
            store,
            Nobody(),
            nursery,
            newest=lambda: directory,
            fetch_soon=lambda: None,
            clock=lambda: NOW,
        )
        nursery.start_soon(member.run)
        yield member
        nursery.cancel_scope.cancel()


async def hashes(member: RunningMember) -> list[str]:
    reply = await member.answer(ACCOUNT.retrieve(now_ms=NOW_MS), max_reply=1_000_000)
    assert reply.status == 200, reply
    return [message["hash"] for message in json.loads(reply.body)["messages"]]


async def store_hello(member: RunningMember) -> str:
    text = ACCOUNT.store(b"hello", now_ms=NOW_MS, ttl_ms=60_000)
    reply = await member.answer(text, max_reply=1_000_000)
    assert reply.status == 200, reply
    stored: str = json.loads(reply.body)["hash"]
    return stored


async def wait_until_ready(member: RunningMember) -> None:
    with trio.fail_after(10):
        while not member.is_caught_up:  # noqa: ASYNC110 - nobody tells; it takes milliseconds
            await trio.sleep(0.01)


async def test_what_is_acknowledged_is_read_in_the_next_life(tmp_path: Path) -> None:
    async with open_store(tmp_path / "store") as store, running(store) as member:
        await wait_until_ready(member)
        stored = await store_hello(member)

    async with open_store(tmp_path / "store") as store, running(store) as member:
        await wait_until_ready(member)
        assert [stored] == await hashes(member)


async def test_bytes_that_no_member_sends_are_refused(tmp_path: Path) -> None:
    async with open_store(tmp_path / "store") as store, running(store) as member:
        await wait_until_ready(member)

        answered = await member.for_members.answer(RelayId(bytes(32)), b"nonsense")
        counts = member.counts()

    assert isinstance(answered, bytes)
    assert Refused("malformed") == decode_replied(answered).answer
    assert 1 == counts["malformed"]


class Observed(DiskStore):
    """A store that holds answers about versions back until ``gate``, and counts changes that come during a note."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, Limits())
        self.gate = trio.Event()
        self.gate.set()
        self.held = 0
        self.noting = 0
        self.puts = 0
        self.late_puts = 0

    async def apply(self, operations: Sequence[Operation | Upkeep], *, now_ms: int) -> list[Answer]:
        is_note = any(isinstance(each, Note) for each in operations)
        is_put = any(isinstance(each, Put) for each in operations)
        self.noting += is_note
        self.puts += is_put
        self.late_puts += is_put and self.noting > 0
        answers = await super().apply(operations, now_ms=now_ms)
        if any(isinstance(each, NewestVersion) for each in operations):
            self.held += 1
            await self.gate.wait()
            self.held -= 1
        self.noting -= is_note
        return answers


async def test_no_change_comes_to_the_store_after_the_note_of_a_later_document(tmp_path: Path) -> None:
    """Otherwise it would be acknowledged for members who have been compared with already."""
    store = Observed(tmp_path / "store")
    await store.open()
    directory = directory_of({1: 0})
    layout = Layout.of_document(directory.document)
    async with running(store) as member:
        driver = member._driver
        await wait_until_ready(member)
        for turn in range(1, 21):
            store.gate = trio.Event()
            async with trio.open_nursery() as clients:
                for number in range(4):
                    text = ACCOUNT.store(b"%d %d" % (turn, number), now_ms=NOW_MS, ttl_ms=60_000)
                    clients.start_soon(partial(member.answer, text, max_reply=1_000_000))
                while store.held < 4:  # noqa: ASYNC110 - nobody tells; it takes milliseconds
                    await trio.sleep(0.001)
                store.gate.set()
                for _ in range(turn % 3):
                    await trio.lowlevel.checkpoint()
                newer = replace(layout, number=layout.number + turn)
                driver._carry_out(driver.member.use(newer, Roster.of(directory), now_ms=NOW_MS))
            await wait_until_ready(member)
    await store.close()

    assert store.puts > 0
    assert 0 == store.late_puts
