"""``bench flood``: what honest clients get from a relay while others flood it.

Honest load is one link that keeps 64 packets under way. Beside it, in a process of their own, links from other
addresses send as fast as the relay reads: garbage that costs it a key encapsulation each.
"""

from __future__ import annotations

import multiprocessing
import os
import selectors
import socket
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from onionpath.directory.parameters import Parameters
from onionpath.injected import UnixTime
from onionpath.link.frames import Kind, encode_frame
from onionpath.link.tls import client_context
from onionpath.onion.geometry import Geometry, SizeClass
from onionpath.onion.replay import slot_at
from simulations.bench.load import Load, Pipe
from simulations.bench.processes import resident_bytes
from simulations.bench.relay import RELAY_HOST, Stage

FLOOD_HOST = "127.210.{number}.1"
WARM_UP_S = 1.0


@dataclass(frozen=True, slots=True)
class FloodPlan:
    """Packets of each honest run, and how many links flood."""

    packets: int = 6_000
    links: tuple[int, ...] = (1, 50)
    rounds: int = 3


@dataclass(frozen=True, slots=True)
class FloodRow:
    """Honest packets per second beside so many flooding links, and as a share of the run before without them."""

    flooding_links: int
    honest_per_second: int
    share_of_peak: float
    recovered_share: float
    resident_mb: float


def bench_flood(plan: FloodPlan, *, progress: Callable[[str], None]) -> dict[str, Any]:
    """Measure; gives the JSON of ``bench flood``."""
    parameters = Parameters()
    with TemporaryDirectory(prefix="onionpath-bench-") as name:
        stage = Stage(Path(name), parameters)
        with stage.relay() as process:
            load = Load((RELAY_HOST, stage.relay_port), parameters.geometry, stage.next_relay)
            _per_second(stage, load, 256)
            rows = []
            for links in plan.links:
                rows.append(_measure(stage, load, process.pid, links, plan))
                progress(_line(rows[-1]))
            load.close()
    return {"bench": "flood", "flood": "packets that do not open", "rows": [asdict(row) for row in rows]}


def _measure(stage: Stage, load: Load, pid: int, links: int, plan: FloodPlan) -> FloodRow:
    peaks, flooded, recovered = [], [], []
    for _ in range(plan.rounds):
        peaks.append(_per_second(stage, load, plan.packets))
        packets = stage.packets(plan.packets, SizeClass.SMALL)
        with _flood(stage, links):
            time.sleep(WARM_UP_S)
            flooded.append(plan.packets / load.run(packets, in_flight=64))
        recovered.append(_per_second(stage, load, plan.packets))
    shares = [ours / peak for ours, peak in zip(flooded, peaks, strict=True)]
    back = [ours / peak for ours, peak in zip(recovered, peaks, strict=True)]
    return FloodRow(
        links,
        round(statistics.median(flooded)),
        round(statistics.median(shares), 2),
        round(statistics.median(back), 2),
        round(resident_bytes(pid) / 1e6, 1),
    )


def _per_second(stage: Stage, load: Load, count: int) -> float:
    packets = stage.packets(count, SizeClass.SMALL)
    return count / load.run(packets, in_flight=64)


@contextmanager
def _flood(stage: Stage, links: int) -> Iterator[None]:
    context = multiprocessing.get_context("spawn")
    slot = slot_at(UnixTime(time.time()), stage.slot_s)
    flooder = context.Process(
        target=flood_forever, args=(stage.relay_port, links, stage.generation, slot), daemon=True
    )
    flooder.start()
    try:
        yield
    finally:
        flooder.kill()
        flooder.join()


def flood_forever(port: int, links: int, generation: int, slot: int) -> None:
    """Open the links and write garbage to each as fast as it is taken; runs until it is killed."""
    geometry = Geometry()
    frame = encode_frame(
        geometry,
        Kind.REQUEST,
        os.urandom(geometry.request_layer_size(SizeClass.SMALL, 0)),
        generation=generation,
        slot=slot,
        exchange_id=1,
    )
    pipes = []
    for number in range(links):
        sock = socket.create_connection(
            (RELAY_HOST, port), source_address=(FLOOD_HOST.format(number=number), 0)
        )
        pipe = Pipe(sock, client_context(), geometry, server_side=False)
        pipe.shake_hands()
        pipes.append(pipe)
    # It waits until a socket takes more: a flood that spins would take the processor from those it is measured on.
    with selectors.DefaultSelector() as selector:
        for pipe in pipes:
            selector.register(pipe.sock, selectors.EVENT_READ | selectors.EVENT_WRITE, pipe)
        while True:
            for key, events in selector.select():
                _flood_on(key.data, frame, writable=bool(events & selectors.EVENT_WRITE))


def _flood_on(pipe: Pipe, frame: bytes, *, writable: bool) -> None:
    pipe.receive()
    if writable and pipe.send():
        for _ in range(16):
            pipe.put(frame)
        pipe.send()


def _line(row: FloodRow) -> str:
    return (
        f"{row.flooding_links:>3} links flood: honest clients get {row.honest_per_second} packets/s,"
        f" {row.share_of_peak:.0%} of their peak; afterwards {row.recovered_share:.0%}"
    )
