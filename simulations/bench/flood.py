"""``bench flood``: what honest clients get from a relay while others flood it.

Honest load is a neighbour relay that keeps 64 packets under way. Beside it, in a process of their own, links from other
addresses send as fast as the relay reads, clients under the limits that clients have:

    garbage  packets of the right form that don't open, each worth a key encapsulation
    useless  packets that open and ask for a relay that doesn't exist, each worth a reply besides
    valid    good packets to the next relay, which answers them: what honest clients would send, but at full rate
    idle     nothing at all, over as many links as one source may have, from many sources

The valid flood stands there once more as ``accounted``: in virtual time, where it depends on no machine.
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
from itertools import cycle
from multiprocessing.synchronize import Event
from operator import add, truediv
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from onionpath.crypto.hybrid import HybridPublicKey
from onionpath.crypto.identity import RelayId
from onionpath.directory.parameters import Parameters
from onionpath.errors import UnreachableError
from onionpath.injected import UnixTime
from onionpath.link.frames import Kind, encode_frame
from onionpath.link.tls import client_context
from onionpath.onion.geometry import Geometry, SizeClass
from onionpath.onion.native import NativeOnion
from onionpath.onion.packets import Hop, OnionCall
from onionpath.onion.replay import slot_at
from simulations.bench.accounted import account_flood
from simulations.bench.load import Load, Pipe
from simulations.bench.processes import resident_bytes
from simulations.bench.relay import RELAY_HOST, Stage

FLOOD_HOST = "127.210.{number}.1"
# Only for the honest relay, which speaks for many clients and is measured at its fastest.
LIFTED = {"limits.relay_packets_per_second": 1e6, "limits.relay_burst": 1e6}
WARM_UPS = 4  # eighths of a run
READY_S = 60.0
IN_FLIGHT = 64
# More than a relay takes of a flood while it is measured.
READY_PACKETS = 16_000


@dataclass(frozen=True, slots=True)
class FloodPlan:
    """Packets of each honest run, and how many links flood."""

    packets: int = 6_000
    floods: tuple[tuple[str, int], ...] = (
        ("garbage", 1),
        ("garbage", 50),
        ("useless", 1),
        ("useless", 50),
        ("valid", 50),
        ("idle", 2_000),
    )
    rounds: int = 3
    accounted: tuple[int, ...] = (1, 50)


@dataclass(frozen=True, slots=True)
class FloodRow:
    """Honest packets per second beside so many flooding links, and as a share of the run before without them.

    Args:
        share_with_flood: the same with the flood's own packets that were answered.
        recovered_after_s: until honest packets were at 95 % of that run again.
    """

    flood: str
    flooding_links: int
    honest_per_second: int
    share_of_peak: float
    share_with_flood: float
    recovered_after_s: float
    resident_mb: float


def bench_flood(plan: FloodPlan, *, progress: Callable[[str], None]) -> dict[str, Any]:
    """Measure; gives the JSON of ``bench flood``."""
    parameters = Parameters()
    with TemporaryDirectory(prefix="onionpath-bench-") as name:
        stage = Stage(Path(name), parameters, LIFTED)
        with stage.relay() as process:
            load = Load((RELAY_HOST, stage.relay_port), parameters.geometry, stage.next_relay)
            load.prove(stage.caller_identity, stage.answerer)
            _per_second(stage, load, 256)
            rows = []
            for flood, links in plan.floods:
                rows.append(_measure(stage, load, process.pid, flood, links, plan))
                progress(_line(rows[-1]))
            load.close()
    accounted = [asdict(account_flood(links)) for links in plan.accounted]
    return {"bench": "flood", "rows": [asdict(row) for row in rows], "accounted": accounted}


def _measure(stage: Stage, load: Load, pid: int, flood: str, links: int, plan: FloodPlan) -> FloodRow:
    peaks, flooded, others, recovered = [], [], [], []
    for _ in range(plan.rounds):
        peaks.append(_per_second(stage, load, plan.packets))
        packets = stage.relayed_packets(plan.packets)
        first = [stage.relayed_packets(plan.packets // 8) for _ in range(WARM_UPS)]
        with _flooding(stage, flood, links) as replies:
            # Under load from the beginning: the next relay answers only while there is some.
            for batch in first:
                load.run(batch, in_flight=IN_FLIGHT)
            before = replies.value
            took_s = load.run(packets, in_flight=IN_FLIGHT)
            flooded.append(plan.packets / took_s)
            others.append((replies.value - before) / took_s)
        recovered.append(_recovered_after_s(stage, load, peaks[-1], plan))
    median = statistics.median
    return FloodRow(
        flood,
        links,
        round(median(flooded)),
        round(median(map(truediv, flooded, peaks)), 2),
        round(median(map(truediv, map(add, flooded, others), peaks)), 2),
        round(max(recovered), 2),
        round(resident_bytes(pid) / 1e6, 1),
    )


def _recovered_after_s(stage: Stage, load: Load, peak: float, plan: FloodPlan) -> float:
    """Seconds of load until it is as fast as before, within those that it is watched."""
    batches = [stage.relayed_packets(plan.packets // 4) for _ in range(8)]
    passed_s = 0.0
    for packets in batches:
        took_s = load.run(packets, in_flight=IN_FLIGHT)
        if len(packets) / took_s >= 0.95 * peak:
            break
        passed_s += took_s
    return passed_s


def _per_second(stage: Stage, load: Load, count: int) -> float:
    packets = stage.relayed_packets(count)
    return count / load.run(packets, in_flight=IN_FLIGHT)


@contextmanager
def _flooding(stage: Stage, flood: str, links: int) -> Iterator[Any]:
    """A flood in a process of its own; gives the number of its packets that were answered, which goes on."""
    context = multiprocessing.get_context("spawn")
    ready, replies = context.Event(), context.Value("L", 0)
    target = Target.of(stage)
    flooder = context.Process(target=flood_forever, args=(target, flood, links, ready, replies), daemon=True)
    flooder.start()
    try:
        if not ready.wait(READY_S):
            raise UnreachableError(f"the flood of {links} links did not come up in {READY_S:.0f} s")
        yield replies
    finally:
        flooder.kill()
        flooder.join()


@dataclass(frozen=True, slots=True)
class Target:
    """What a flood must know of the relay."""

    port: int
    hop: tuple[bytes, bytes, int]  # relay id, packet key, generation
    next_relay: bytes
    network_id: bytes
    slot: int

    @classmethod
    def of(cls, stage: Stage) -> Target:
        """The relay of a stage, now."""
        slot = slot_at(UnixTime(time.time()), stage.slot_s)
        return cls(stage.relay_port, stage.hop, stage.next_relay_id, stage.network_id, slot)


def flood_forever(target: Target, flood: str, links: int, ready: Event, replies: Any | None = None) -> None:
    """Open the links and write to each as fast as it is taken; runs until it is killed."""
    geometry = Geometry()
    pipes = [_connect(target.port, number, geometry) for number in range(links)]
    frames = _frames(target, _layers(target, flood, geometry), geometry)
    ready.set()
    # It waits until a socket takes more: a flood that spins would take the processor from those it is measured on.
    with selectors.DefaultSelector() as selector:
        events = selectors.EVENT_READ | (0 if flood == "idle" else selectors.EVENT_WRITE)
        for pipe in pipes:
            selector.register(pipe.sock, events, pipe)
        while True:
            for key, happened in selector.select():
                came = _flood_on(key.data, frames, writable=bool(happened & selectors.EVENT_WRITE))
                if replies is not None:
                    replies.value += came


def _connect(port: int, number: int, geometry: Geometry) -> Pipe:
    # A hundred links are what one source may have, and twenty a second what it may make after the first hundred.
    source = (FLOOD_HOST.format(number=number // 50), 0)
    pipe = Pipe(
        socket.create_connection((RELAY_HOST, port), source_address=source),
        client_context(),
        geometry,
        server_side=False,
    )
    pipe.shake_hands()
    return pipe


def _layers(target: Target, flood: str, geometry: Geometry) -> list[bytes | memoryview]:
    """What to flood with, made before the measurement begins."""
    relay_id, key, generation = target.hop
    if flood in ("useless", "valid"):
        onion = NativeOnion(geometry, target.network_id)
        public = HybridPublicKey(key)
        after = RelayId(target.next_relay if flood == "valid" else bytes(32))
        hops = [Hop(RelayId(relay_id), public, generation), Hop(after, public, generation)]
        call = OnionCall(1, b"", bytes(16))
        wrapped = (onion.wrap(hops, call, slot=target.slot, entropy=os.urandom) for _ in range(READY_PACKETS))
        return [one.packet.layer for one in wrapped]
    return [os.urandom(geometry.request_layer_size(SizeClass.SMALL, 0))]


def _frames(target: Target, layers: list[bytes | memoryview], geometry: Geometry) -> Iterator[bytes]:
    """Frames for all links together."""
    generation = target.hop[2]
    # Once they are used up they come again, as replays, which cost the relay as much.
    for number, layer in enumerate(cycle(layers)):
        yield encode_frame(
            geometry, Kind.REQUEST, layer, generation=generation, slot=target.slot, exchange_id=number + 1
        )


def _flood_on(pipe: Pipe, frames: Iterator[bytes], *, writable: bool) -> int:
    """Gives how many were answered with a reply."""
    came = sum(frame.kind is Kind.REPLY for frame in pipe.receive())
    if writable and pipe.send():
        for _ in range(16):
            pipe.put(next(frames))
        pipe.send()
    return came


def _line(row: FloodRow) -> str:
    return (
        f"{row.flooding_links:>5} links, {row.flood:<7}: honest clients get {row.honest_per_second} packets/s,"
        f" {row.share_of_peak:.0%} of their peak, {row.share_with_flood:.0%} with the flood's own;"
        f" recovered after {row.recovered_after_s} s"
    )
