"""``bench surfaces``: what programs get by each way into the onion, beside the same program without it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from simulations.bench.path import LIFTED
from simulations.bench.surface_programs import PROGRAMS, Figures, Stage, SurfacesPlan
from simulations.local.network import LocalNetwork


def bench_surfaces(plan: SurfacesPlan, *, progress: Callable[[str], None]) -> dict[str, Any]:
    """Measure every surface over a network of three relays; gives the JSON of ``bench surfaces``."""
    surfaces = {}
    with LocalNetwork(relays=3, relay_settings=LIFTED, authority_period_s=600) as network:
        stage = Stage(network, plan)
        for name, run in PROGRAMS.items():
            onion, direct = run(stage, True), run(stage, False)
            ratios = _ratios(onion, direct)
            surfaces[name] = {"onion": asdict(onion), "direct": asdict(direct), "onion_over_direct": ratios}
            progress(_line(name, onion, direct))
    return {"bench": "surfaces", "hops": 3, **asdict(plan), "surfaces": surfaces}


def _ratios(onion: Figures, direct: Figures) -> dict[str, float]:
    """Rates below 1 and times above 1 are what the onion costs."""
    ours, theirs = asdict(onion), asdict(direct)
    return {name: round(ours[name] / theirs[name], 4) for name in ours}


def _line(name: str, onion: Figures, direct: Figures) -> str:
    return (
        f"{name:<14}: {onion.requests_per_second:6.0f} requests/s of {direct.requests_per_second:5.0f} direct,"
        f" p50 {onion.p50_ms:6.2f} ms ({direct.p50_ms:.2f}), p99 {onion.p99_ms:6.2f} ms ({direct.p99_ms:.2f}),"
        f" {onion.megabytes_per_second:6.2f} MB/s of {direct.megabytes_per_second:.0f}"
    )
