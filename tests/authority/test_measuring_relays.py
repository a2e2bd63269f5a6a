"""An authority's measurements of real relays: processes of their own, on loopback."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from random import Random

import anyio
import pytest
import trio

from onionpath.client.client import Client
from onionpath.crypto.identity import RelayId
from onionpath.directory.directory import Directory
from onionpath.injected import UnixTime
from onionpath.link.tls import client_context
from relay.authority.echoing import Echoer, measure_forever
from relay.authority.findings import Broken, Echoed
from relay.authority.measuring import Measuring
from relay.authority.probe_paths import Probe
from simulations.local.network import LocalNetwork
from tests.relay.nodes import clock

pytestmark = [pytest.mark.processes, pytest.mark.slow]

RELAYS = 5
# Four turns a relay in two seconds: what takes an authority hours takes the test some seconds.
PERIOD_S = 2.0
MOST_TURNS = 6


@pytest.fixture
def network() -> Iterator[LocalNetwork]:
    with LocalNetwork(relays=RELAYS, website=False) as network:
        yield network


@pytest.fixture
def directory(network: LocalNetwork) -> Directory:
    async def fetch() -> Directory:
        async with Client(network.trust_root_file) as client:
            return client.directory

    return anyio.run(fetch, backend="trio")


class Watched(Measuring):
    """Wakes the test after each probe, which is when something may have become known."""

    def __init__(self, directory: Directory) -> None:
        super().__init__(directory.document.parameters, period_s=PERIOD_S, choice=Random(1))
        self.probes = 0
        self._news = trio.Event()

    def ended(self, probe: Probe, outcome: Echoed | Broken | None, now: UnixTime) -> None:
        super().ended(probe, outcome, now)
        self.probes += 1
        self._news.set()
        self._news = trio.Event()

    async def wait_for(self, condition: Callable[[], bool], *, probes: int) -> None:
        """Until it holds, for at most so many probes."""
        end = self.probes + probes
        with trio.fail_after(50):
            while not condition():
                assert self.probes < end, f"not after {probes} probes: {self.counts()}"
                await self._news.wait()


@asynccontextmanager
async def measured(directory: Directory) -> AsyncIterator[Watched]:
    """The relays of this document, measured for as long as the block lasts."""
    document = directory.document
    echoer = Echoer(document.parameters, document.network_id, client_context(), clock, os.urandom)
    measuring = Watched(directory)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(measure_forever, measuring, echoer, lambda: directory)
        yield measuring
        nursery.cancel_scope.cancel()


def capacities(measuring: Measuring, directory: Directory) -> list[int]:
    measures = [measuring.measure(relay, clock()) for relay in directory.relays]
    return [measure.capacity_kib_s or 0 for measure in measures]


def unreachable(measuring: Measuring, directory: Directory) -> set[RelayId]:
    return {relay for relay in directory.relays if not measuring.measure(relay, clock()).reachable}


def test_each_relay_gets_a_capacity_and_a_killed_one_is_noticed_within_six_turns(
    network: LocalNetwork, directory: Directory
) -> None:
    killed = network.relays[0]

    async def measure() -> tuple[list[int], set[RelayId]]:
        async with measured(directory) as measuring:
            await measuring.wait_for(
                lambda: all(capacities(measuring, directory)), probes=RELAYS * MOST_TURNS
            )
            before = capacities(measuring, directory)
            killed.kill()
            await measuring.wait_for(
                lambda: bool(unreachable(measuring, directory)), probes=RELAYS * MOST_TURNS
            )
            return before, unreachable(measuring, directory)

    found, lost = trio.run(measure)

    # Loopback carries hundreds of times as much; this is only above what an echo or two could give by chance.
    assert all(kib_s > 100 for kib_s in found)
    assert {killed.relay_id} == lost


def test_a_relay_with_another_link_key_is_not_echoed_through(directory: Directory) -> None:
    """The authority checks keys as any client does, so nobody can stand in for a relay at its address."""
    first, second, third, *_ = directory.relays.values()
    swapped = replace(first, descriptor=replace(first.descriptor, link_key_hash=bytes(32)))

    async def outcome_of_swapped() -> Echoed | Broken | None:
        document = directory.document
        echoer = Echoer(document.parameters, document.network_id, client_context(), clock, os.urandom)
        return await echoer.carry_out(Probe((swapped, second, third), 1, 0))

    outcome = trio.run(outcome_of_swapped)

    assert isinstance(outcome, Broken)
    assert -1 == outcome.edge.speaker
