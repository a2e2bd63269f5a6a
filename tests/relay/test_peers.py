"""Relays ask each other over real links: whole requests and replies, and nothing left behind."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import trio
import trio.testing

from onionpath.crypto.identity import RelayId
from onionpath.onion.statuses import Reason
from onionpath.service.calls import Limits
from onionpath.service.transfers import Transfers
from relay.limits import SwitchLimits
from relay.peers import PeerCalls, Peers
from tests.relay.nodes import PARAMETERS, Node, until

REPLICA = 8
LARGEST = 11 * 1024 * 1024
Told = Callable[[RelayId, bytes], Awaitable[bytes | Reason]]


class Answering:
    """A peer service that does what it is told."""

    def __init__(self, told: Told) -> None:
        self._told = told

    async def answer(self, peer: RelayId, body: bytes) -> bytes | Reason:
        return await self._told(peer, body)


async def backwards(peer: RelayId, body: bytes) -> bytes | Reason:
    return body[::-1]


@dataclass
class Pair:
    """Two relays with a document of both; ``here`` asks, ``there`` answers."""

    here: Node
    there: Node
    peers: Peers
    calls: PeerCalls
    transfers: Transfers
    nursery: trio.Nursery

    async def ask(self, body: bytes, *, timeout_s: float = 10.0) -> bytes | Reason:
        return await self.peers.ask(self.there.relay_id, REPLICA, body, timeout_s=timeout_s)

    def is_forgotten(self) -> bool:
        """Whether neither side holds anything of what was asked."""
        asks = self.here.switch.statistics().asks
        lives = len(self.nursery.child_tasks) - 2  # but for the nodes themselves
        return not (asks or len(self.transfers) or lives or self.there.switch.statistics().in_flight)


@asynccontextmanager
async def pair(
    folder: Path,
    told: Told = backwards,
    *,
    limits: SwitchLimits | None = None,
    transfers: Transfers | None = None,
    service_limits: Limits | None = None,
    life_s: float = 60.0,
) -> AsyncIterator[Pair]:
    here, there = Node(folder / "here"), Node(folder / "there", limits=limits)
    transfers = Transfers() if transfers is None else transfers
    async with trio.open_nursery() as nursery:
        calls = PeerCalls(
            Answering(told),
            nursery,
            limits=service_limits or Limits(has_effects=False, relays_only=True),
            transfers=transfers,
            life_s=life_s,
        )
        there.services[REPLICA] = calls
        for node in (here, there):
            await nursery.start(node.serve)
        for node in (here, there):
            assert node.links is not None
            node.links.use_network({each.relay_id: each.neighbour for each in (here, there)})
        assert here.links is not None
        peers = Peers(here.links, PARAMETERS.geometry, entropy=os.urandom)
        yield Pair(here, there, peers, calls, transfers, nursery)
        nursery.cancel_scope.cancel()


def calls_between(both: Pair) -> int:
    return both.here.counts.get("asked", 0)


async def test_a_short_call_costs_one_round_trip(tmp_path: Path) -> None:
    async with pair(tmp_path) as both:
        assert b"olleh" == await both.ask(b"hello")
        assert b"" == await both.ask(b"")
        assert bytes(8_140) == await both.ask(bytes(8_140))

        assert 3 == calls_between(both)
        await until(both.is_forgotten)


@pytest.mark.parametrize("size", [8_141, 8_157, 131_020, 131_021, 500_000])
async def test_a_body_of_any_size_arrives_whole_and_its_reply_too(tmp_path: Path, size: int) -> None:
    body = os.urandom(size)
    async with pair(tmp_path) as both:
        assert body[::-1] == await both.ask(body)
        await until(both.is_forgotten)


@pytest.mark.slow
async def test_several_of_the_longest_at_once_arrive_whole(tmp_path: Path) -> None:
    bodies = [os.urandom(16) * (LARGEST // 16) for _ in range(4)]

    async def ask(both: Pair, body: bytes) -> None:
        assert body[::-1] == await both.ask(body, timeout_s=60)

    async with pair(tmp_path) as both, trio.open_nursery() as nursery:
        for body in bodies:
            nursery.start_soon(ask, both, body)
    assert {"peer_queue_full"}.isdisjoint(both.here.counts)


async def test_the_service_learns_who_asks_and_its_refusal_comes_back(tmp_path: Path) -> None:
    async def refuse(peer: RelayId, body: bytes) -> bytes | Reason:
        return Reason.SERVICE_BUSY if peer == both.here.relay_id else b"somebody else"

    async with pair(tmp_path, refuse) as both:
        assert Reason.SERVICE_BUSY == await both.ask(b"hello")
        await until(both.is_forgotten)


async def test_work_that_takes_longer_than_a_call_is_asked_for_again(tmp_path: Path) -> None:
    async def take_time(peer: RelayId, body: bytes) -> bytes | Reason:
        await until(lambda: calls_between(both) >= 3)
        return body

    limits = Limits(timeout_s=0.04, has_effects=False, relays_only=True)
    async with pair(tmp_path, take_time, service_limits=limits) as both:
        assert b"hello" == await both.ask(b"hello")
        await until(both.is_forgotten)


@pytest.mark.parametrize("size", [5, 200_000])
async def test_who_gives_up_has_the_work_cancelled_and_everything_forgotten(
    tmp_path: Path, size: int
) -> None:
    began, ended = trio.Event(), trio.Event()

    async def work(peer: RelayId, body: bytes) -> bytes | Reason:
        began.set()
        try:
            await trio.sleep_forever()
        finally:
            ended.set()
        raise AssertionError

    async with pair(tmp_path, work) as both:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(both.ask, bytes(size))
            await began.wait()
            nursery.cancel_scope.cancel()
        with trio.fail_after(5):
            await ended.wait()
        await until(both.is_forgotten)


async def test_a_call_ends_at_its_deadline(tmp_path: Path) -> None:
    async def never(peer: RelayId, body: bytes) -> bytes | Reason:
        await trio.sleep_forever()
        raise AssertionError

    async with pair(tmp_path, never) as both:
        assert Reason.NEXT_TIMED_OUT == await both.ask(b"hello", timeout_s=0.05)
        await until(both.is_forgotten)


async def test_a_transfer_ends_when_its_life_does(tmp_path: Path) -> None:
    async def never(peer: RelayId, body: bytes) -> bytes | Reason:
        await trio.sleep_forever()
        raise AssertionError

    async with pair(tmp_path, never, life_s=0.05) as both:
        assert Reason.SERVICE_TIMED_OUT == await both.ask(b"hello")
        await until(both.is_forgotten)


async def test_a_relay_that_is_full_says_so_before_it_takes_bytes(tmp_path: Path) -> None:
    async with pair(tmp_path, transfers=Transfers(most_bytes=1_000_000)) as both:
        assert Reason.SERVICE_BUSY == await both.ask(bytes(600_000))

        assert 1 == calls_between(both)


async def test_a_bug_costs_its_asker_an_answer(tmp_path: Path) -> None:
    async def broken(peer: RelayId, body: bytes) -> bytes | Reason:
        raise KeyError(body)

    async with pair(tmp_path, broken) as both:
        assert Reason.SERVICE_FAILED == await both.ask(b"hello")
        assert {"KeyError": 1} == both.calls.failed


async def test_a_relay_that_is_gone_or_unknown_is_a_reason(tmp_path: Path) -> None:
    async with pair(tmp_path) as both:
        stranger = RelayId(both.here.identity.relay_id)
        assert Reason.NEXT_UNKNOWN == await both.peers.ask(stranger, REPLICA, b"", timeout_s=1)
        both.there.scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
        assert Reason.NEXT_UNREACHABLE == await both.ask(b"hello")
