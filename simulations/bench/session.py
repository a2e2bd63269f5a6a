"""``bench session``: requests in Session's format beside those in the native one, over the same relays in one run.

    native echo     the third relay gives back what it was sent
    session info    three relays lead to a fourth, which is asked ``info``, in as many bytes as a small body
    session server  three relays lead to a server on this machine, which gives back what it was sent

A request of Session's passes one machine more than a native one, so that a ratio tells what a program gets and not what
a layer costs. The server's own share is stated apart.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import anyio

from simulations.bench.asking import ask_many
from simulations.bench.path import LIFTED
from simulations.bench.processes import cpu_ns, own_cpu_ns
from simulations.bench.session_clients import NATIVE, SMALL_BYTES, Ask, both_clients
from simulations.bench.session_echo import EchoServer, echo_server
from simulations.local.network import LocalNetwork

# A path's three, the one that is asked, and one to spare.
RELAYS = 5
WARM_UP = 16
LARGE_BYTES = 100_000


@dataclass(frozen=True, slots=True)
class SessionPlan:
    """How many small requests and large ones in each round, and with how many under way.

    Args:
        rounds: the ways take turns, so that a machine that slows down slows them all; each row is the middle one.
    """

    small: int = 400
    large: int = 160
    in_flight: tuple[int, ...] = (1, 8, 64)
    rounds: int = 3


@dataclass(frozen=True, slots=True)
class Load:
    """What is asked of each way in a round."""

    body_bytes: int
    in_flight: int
    requests: int


@dataclass(frozen=True, slots=True)
class SessionRow:
    """One measurement; ``…_cpu_ms`` are of each request.

    Args:
        relays_cpu_ms: of all relays together.
        relay_cpu_ms: of each relay, the busiest first.
    """

    way: str
    body_bytes: int
    in_flight: int
    requests: int
    requests_per_second: float
    p50_ms: float
    p99_ms: float
    client_cpu_ms: float
    server_cpu_ms: float
    relays_cpu_ms: float
    relay_cpu_ms: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Processes:
    """Whose CPU is counted."""

    relays: tuple[int, ...]
    server: int

    def read(self) -> tuple[int, ...]:
        """Nanoseconds until now: of this process, of the server, of each relay."""
        return own_cpu_ns(), cpu_ns(self.server), *map(cpu_ns, self.relays)


def bench_session(plan: SessionPlan, *, progress: Callable[[str], None]) -> dict[str, Any]:
    """Measure both formats over a network of five relays; gives the JSON of ``bench session``."""
    settings = {**LIFTED, "session.openings_per_second": 1e6}
    network = LocalNetwork(
        relays=RELAYS,
        website=False,
        session=True,
        relay_settings=settings,
        authority_period_s=600,
        tell=progress,
    )
    with network, echo_server() as server:
        rows = anyio.run(_measure_all, network, server, plan, progress, backend="trio")
    return {
        "bench": "session",
        "relays": RELAYS,
        "rounds": plan.rounds,
        "rows": [asdict(row) for row in rows],
        "session_over_native": _ratios(rows),
    }


async def _measure_all(
    network: LocalNetwork, server: EchoServer, plan: SessionPlan, progress: Callable[[str], None]
) -> list[SessionRow]:
    rows = []
    processes = Processes(tuple(relay.pid for relay in network.relays), server.pid)
    async with both_clients(network, server) as asks:
        for body_bytes, count in ((SMALL_BYTES, plan.small), (LARGE_BYTES, plan.large)):
            for in_flight in plan.in_flight:
                load = Load(body_bytes, in_flight, count // (4 if in_flight == 1 else 1))
                for row in await _measure_ways(asks(bytes(body_bytes)), load, processes, plan.rounds):
                    rows.append(row)
                    progress(_line(row))
    return rows


async def _measure_ways(
    asks: Mapping[str, Ask], load: Load, processes: Processes, rounds: int
) -> list[SessionRow]:
    measured: dict[str, list[SessionRow]] = {way: [] for way in asks}
    for _ in range(rounds):
        for way, ask in asks.items():
            await ask_many(ask, WARM_UP, min(load.in_flight, WARM_UP))
            measured[way].append(await _measure(way, ask, load, processes))
    return [
        sorted(rows, key=lambda row: row.requests_per_second)[len(rows) // 2] for rows in measured.values()
    ]


async def _measure(way: str, ask: Ask, load: Load, processes: Processes) -> SessionRow:
    gc.collect()
    before, start = processes.read(), time.perf_counter()
    times = await ask_many(ask, load.requests, load.in_flight)
    elapsed = time.perf_counter() - start
    spent = (after - earlier for after, earlier in zip(processes.read(), before, strict=True))
    client, served, *relays = (ns / load.requests / 1e6 for ns in spent)
    cuts = statistics.quantiles(times, n=100)
    return SessionRow(
        way=way,
        body_bytes=load.body_bytes,
        in_flight=load.in_flight,
        requests=load.requests,
        requests_per_second=round(load.requests / elapsed, 1),
        p50_ms=round(cuts[49] * 1000, 2),
        p99_ms=round(cuts[98] * 1000, 2),
        client_cpu_ms=round(client, 3),
        server_cpu_ms=round(served, 3),
        relays_cpu_ms=round(sum(relays), 3),
        relay_cpu_ms=tuple(round(each, 3) for each in sorted(relays, reverse=True)),
    )


def _ratios(rows: list[SessionRow]) -> list[dict[str, Any]]:
    """Each row of Session's over the native one of the same size and as many under way."""
    native = {(row.body_bytes, row.in_flight): row for row in rows if row.way == NATIVE}
    return [
        {
            "way": row.way,
            "body_bytes": row.body_bytes,
            "in_flight": row.in_flight,
            **_over(asdict(row), asdict(native[row.body_bytes, row.in_flight])),
        }
        for row in rows
        if row.way != NATIVE
    ]


def _over(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, float]:
    compared = ("requests_per_second", "p50_ms", "p99_ms", "client_cpu_ms", "relays_cpu_ms")
    return {name: round(ours[name] / theirs[name], 3) for name in compared}


def _line(row: SessionRow) -> str:
    return (
        f"{row.way:<14} {row.body_bytes:>6} bytes, {row.in_flight:>2} in flight: {row.requests_per_second:6.0f}/s,"
        f" p50 {row.p50_ms:7.2f} ms, p99 {row.p99_ms:7.2f} ms, CPU of client {row.client_cpu_ms:.2f},"
        f" relays {row.relays_cpu_ms:.2f}, server {row.server_cpu_ms:.2f} ms"
    )
