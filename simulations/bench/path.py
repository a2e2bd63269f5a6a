"""``bench path``: requests through three relay processes, as a program makes them: their rate, times and CPU."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import anyio

from onionpath.client.client import Client
from onionpath.onion.geometry import SizeClass
from onionpath.service.calls import ServiceId
from simulations.bench.asking import ask_many
from simulations.bench.bare import bare_crypto
from simulations.bench.processes import cpu_ns, own_cpu_ns
from simulations.local.network import LocalNetwork

# The bench asks for more than one person should get, so the relays' rates are lifted.
LIFTED = {
    "limits.client_packets_per_second": 1e6,
    "limits.client_burst": 1e6,
    "limits.client_in_flight": 1024,
}
WARM_UP = 50


@dataclass(frozen=True, slots=True)
class PathPlan:
    """How many requests, with how many under way."""

    requests: int = 1_500
    in_flight: tuple[int, ...] = (1, 8, 64)


@dataclass(frozen=True, slots=True)
class PathRow:
    """One measurement; times are milliseconds, ``cpu_ms`` is CPU of each request over all processes."""

    in_flight: int
    requests: int
    requests_per_second: float
    p50_ms: float
    p99_ms: float
    cpu_ms: float
    client_cpu_ms: float
    relays_cpu_ms: float
    bare_crypto_ms: float
    cpu_over_bare: float


def bench_path(plan: PathPlan, *, progress: Callable[[str], None]) -> dict[str, Any]:
    """Measure echoes of small packets through a network of three relays; gives the JSON of ``bench path``."""
    network = LocalNetwork(relays=3, website=False, relay_settings=LIFTED, authority_period_s=600)
    with network:
        rows = anyio.run(_measure_all, network, plan, progress, backend="trio")
    return {
        "bench": "path",
        "hops": 3,
        "request": "echo, small class both ways",
        "rows": [asdict(row) for row in rows],
    }


async def _measure_all(
    network: LocalNetwork, plan: PathPlan, progress: Callable[[str], None]
) -> list[PathRow]:
    rows = []
    async with Client(network.trust_root_file) as client:
        ask = partial(client.call, ServiceId.ECHO, b"measured", deadline_s=30)
        await ask_many(ask, WARM_UP, 8)
        for in_flight in plan.in_flight:
            count = plan.requests // (4 if in_flight == 1 else 1)
            rows.append(await _measure(client, ask, network, count, in_flight))
            progress(_line(rows[-1]))
    return rows


async def _measure(
    client: Client, ask: Callable[[], Awaitable[Any]], network: LocalNetwork, count: int, in_flight: int
) -> PathRow:
    geometry = client.directory.document.parameters.geometry
    # What no three-hop exchange can do without: three packets opened, three replies sealed; the client's share,
    # as much again and the encapsulations, is left out because it depends on the machine's library alone.
    bare = bare_crypto(geometry, SizeClass.SMALL, SizeClass.SMALL, rounds=3).total_us * geometry.hops / 1000
    pids = [relay.pid for relay in network.relays]
    gc.collect()
    relays_before, client_before, start = sum(map(cpu_ns, pids)), own_cpu_ns(), time.perf_counter()
    times = await ask_many(ask, count, in_flight)
    elapsed = time.perf_counter() - start
    relays_ms = (sum(map(cpu_ns, pids)) - relays_before) / count / 1e6
    client_ms = (own_cpu_ns() - client_before) / count / 1e6
    cuts = statistics.quantiles(times, n=100)
    return PathRow(
        in_flight=in_flight,
        requests=count,
        requests_per_second=round(count / elapsed),
        p50_ms=round(cuts[49] * 1000, 2),
        p99_ms=round(cuts[98] * 1000, 2),
        cpu_ms=round(relays_ms + client_ms, 3),
        client_cpu_ms=round(client_ms, 3),
        relays_cpu_ms=round(relays_ms, 3),
        bare_crypto_ms=round(bare, 3),
        cpu_over_bare=round((relays_ms + client_ms) / bare, 2),
    )


def _line(row: PathRow) -> str:
    return (
        f"{row.in_flight:>3} in flight: {row.requests_per_second:5.0f} requests/s, p50 {row.p50_ms:6.2f} ms,"
        f" p99 {row.p99_ms:6.2f} ms, CPU {row.cpu_ms:.2f} ms = {row.cpu_over_bare:.2f} × bare"
    )
