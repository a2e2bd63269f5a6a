"""A network that is used for long: whether it holds more at the end than in the middle, and what it answered."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CoroutineType

from onionpath.injected import UnixTime
from simulations.virtual.scenario import Running, Scenario

# What may be more at the end than in the middle: memory is handed out in pages, and links come and go.
FLAT_RESIDENT_MB = 5.0
FLAT_PART = 0.02
FLAT_FEW = 16


@dataclass(frozen=True, slots=True)
class Sample:
    """What the process and its network hold at one time.

    Args:
        at_h: virtual hours since the start.
        requests: that have ended.
        resident_mb: of the whole process.
        objects: that the collector of garbage knows.
        tasks: coroutines that live.
        links: open wires.
        files: open descriptors of the process.
        scheduled: events in the heap, cancelled ones too.
    """

    at_h: float
    requests: int
    resident_mb: float
    objects: int
    tasks: int
    links: int
    files: int
    scheduled: int


@dataclass(frozen=True, slots=True)
class Soak:
    """A soak's end. ``growth`` names what was not flat, from the middle to the end."""

    relays: int
    hours: float
    seed: int
    requests: int
    endings: dict[str, int]
    is_balanced: bool
    growth: tuple[str, ...]
    run_s: float
    event_hash: str
    samples: tuple[Sample, ...]


def soak(
    scenario: Scenario, *, samples: int = 24, progress: Callable[[Sample], None] = lambda sample: None
) -> Soak:
    """Run a scenario to its end and look at the process ``samples`` times on the way."""
    start = time.perf_counter()
    running = Running(scenario)
    begin, taken = running.network.now, list[Sample]()
    for number in range(1, samples + 1):
        at_h = scenario.hours * number / samples
        running.advance_to(UnixTime(begin + 3_600 * at_h))
        taken.append(look(running, at_h))
        progress(taken[-1])
    # Longer than any deadline of a request, and than what a relay remembers of one.
    running.network.advance(minutes=2)
    return Soak(
        relays=scenario.network.relays,
        hours=scenario.hours,
        seed=scenario.network.seed,
        requests=sum(running.tally.endings.values()),
        endings=dict(running.tally.endings),
        is_balanced=running.network.is_balanced(),
        growth=growth(taken),
        run_s=round(time.perf_counter() - start, 1),
        event_hash=running.network.record.hash,
        samples=tuple(taken),
    )


def look(running: Running, at_h: float) -> Sample:
    """What is held now, after the garbage is gone."""
    gc.collect()
    objects = gc.get_objects()
    return Sample(
        at_h=round(at_h, 3),
        requests=sum(running.tally.endings.values()),
        resident_mb=round(resident_mb(), 1),
        objects=len(objects),
        tasks=sum(type(each) is CoroutineType for each in objects),
        links=running.network.fabric.links,
        files=len(list(Path("/proc/self/fd").iterdir())),
        scheduled=len(running.network.heap),
    )


def growth(samples: Sequence[Sample]) -> tuple[str, ...]:
    """What was not flat in the second half: the names of the figures, with the most of either quarter of it.

    Extremes of two quarters are compared, since single samples catch a request under way or none.
    """
    later = samples[len(samples) // 2 :]
    early, late = later[: len(later) // 2], later[len(later) // 2 :]
    grown = []
    for name in ("objects", "tasks", "links", "files", "scheduled", "resident_mb"):
        before, after = (max(getattr(each, name) for each in part) for part in (early, late))
        room = FLAT_RESIDENT_MB if name == "resident_mb" else max(FLAT_FEW, FLAT_PART * before)
        if after > before + room:
            grown.append(f"{name}: {before} to {after}")
    return tuple(grown)


def resident_mb() -> float:
    """Memory of this process, as the kernel counts it."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
