"""A scenario: clients that ask at random times, relays that are replaced, for hours; and what came of it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from onionpath.injected import UnixTime
from simulations.virtual.chance import stream
from simulations.virtual.clients import VirtualClient
from simulations.virtual.network import Plan, VirtualNetwork
from simulations.virtual.requests import Outcome, echo


@dataclass(frozen=True, slots=True)
class Scenario:
    """What happens.

    Args:
        network: relays, seed, wires, directory.
        clients: each asks one echo at a time or more, at random (Poisson) times.
        hours: of virtual time.
        requests_per_s: of all clients together.
        churn_per_hour: the part of all relays that is killed and replaced by new ones in an hour.
    """

    network: Plan
    clients: int = 5
    hours: float = 1.0
    requests_per_s: float = 0.2
    churn_per_hour: float = 0.0


@dataclass(slots=True)
class Tally:
    """What has ended so far."""

    endings: Counter[str] = field(default_factory=Counter)
    attempts: int = 0
    took_s: float = 0.0
    longest_s: float = 0.0
    replaced: int = 0

    def take(self, outcome: Outcome) -> None:
        """One more request has ended."""
        self.endings[outcome.ending.value] += 1
        self.attempts += outcome.attempts
        self.took_s += outcome.took_s
        self.longest_s = max(self.longest_s, outcome.took_s)


@dataclass(frozen=True, slots=True)
class Summary:
    """A scenario's end; times in seconds. ``speed`` is virtual time over real time, the start left out."""

    relays: int
    clients: int
    hours: float
    seed: int
    requests: int
    success_rate: float
    attempts_per_request: float
    mean_took_s: float
    longest_took_s: float
    endings: dict[str, int]
    relays_replaced: int
    documents: int
    frames: int
    events: int
    start_s: float
    run_s: float
    speed: float
    event_hash: str


class Running:
    """A scenario under way."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.network = VirtualNetwork(scenario.network)
        self.tally = Tally()
        self._heap = self.network.heap
        self._ends_at = self._heap.now + 3_600 * scenario.hours
        self._churn = stream(scenario.network.seed, "churn")
        for _ in range(scenario.clients):
            client = self.network.client()
            # Each with chance of its own, so that one client more changes nothing for the others.
            self._heap.spawn(self._ask_forever(client))
        if scenario.churn_per_hour:
            self._heap.spawn(self._replace_forever())

    async def _ask_forever(self, client: VirtualClient) -> None:
        scenario = self.scenario
        load = stream(scenario.network.seed, "load", client.name)
        rate = scenario.requests_per_s / scenario.clients
        while True:
            await self._heap.sleep(load.expovariate(rate))
            if self._heap.now >= self._ends_at:
                return
            client.start(echo(b"hello"), then=self.tally.take)

    async def _replace_forever(self) -> None:
        rate = self.scenario.churn_per_hour * self.scenario.network.relays / 3_600
        while True:
            await self._heap.sleep(1 / rate)
            if self._heap.now >= self._ends_at:
                return
            self.replace_one()

    def replace_one(self) -> None:
        """Kill a relay for good, and start one that nobody knows yet."""
        victim = self._churn.choice([relay for relay in self.network.relays if relay.is_running])
        victim.kill()
        self.network.add_relay()
        self.tally.replaced += 1

    @property
    def under_way(self) -> int:
        """Requests that haven't ended."""
        return sum(client.under_way for client in self.network.clients)

    def advance_to(self, time: UnixTime) -> None:
        """Let the scenario run so far."""
        self._heap.run_until(time)


def run(scenario: Scenario, *, progress: Callable[[str], None] = lambda line: None) -> Summary:
    """Run to the end, and until the last request has ended; ``progress`` gets a line for each tenth of it."""
    start = time.perf_counter()
    running = Running(scenario)
    network, tally = running.network, running.tally
    started = time.perf_counter()
    progress(f"{scenario.network.relays} relays up after {started - start:.1f} s")
    begin, tenth_s = network.now, 360 * scenario.hours
    for tenth in range(1, 11):
        running.advance_to(UnixTime(begin + tenth * tenth_s))
        ended = sum(tally.endings.values())
        progress(
            f"{tenth * tenth_s / 3_600:8.2f} h after {time.perf_counter() - started:6.1f} s: {ended} requests"
        )
    while running.under_way:
        network.advance(seconds=1.0)
    run_s = time.perf_counter() - started
    return _summary(running, start_s=started - start, run_s=run_s)


def _summary(running: Running, *, start_s: float, run_s: float) -> Summary:
    scenario, network, tally = running.scenario, running.network, running.tally
    requests = sum(tally.endings.values())
    each = max(1, requests)
    return Summary(
        relays=scenario.network.relays,
        clients=scenario.clients,
        hours=scenario.hours,
        seed=scenario.network.seed,
        requests=requests,
        success_rate=round(tally.endings["answered"] / each, 5),
        attempts_per_request=round(tally.attempts / each, 4),
        mean_took_s=round(tally.took_s / each, 4),
        longest_took_s=round(tally.longest_s, 3),
        endings=dict(tally.endings),
        relays_replaced=tally.replaced,
        documents=len(network.authority.signed),
        frames=network.record.frames,
        events=network.heap.events,
        start_s=round(start_s, 3),
        run_s=round(run_s, 3),
        speed=round(3_600 * scenario.hours / run_s, 1),
        event_hash=network.record.hash,
    )
