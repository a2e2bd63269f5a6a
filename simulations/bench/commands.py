"""``python -m simulations bench …``: one JSON object on standard output, progress on standard error."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

quick_option = click.option("--quick", is_flag=True, help="a small part of the work: does it run at all?")


@click.group()
def bench() -> None:
    """Measure the code that really runs, beside a floor from the same run; prints one JSON object."""


@bench.command()
@quick_option
def relay(quick: bool) -> None:
    """CPU of one relay process for a packet and its reply, over the bare cryptography; and its memory."""
    from simulations.bench.relay import Plan, bench_relay

    plan = Plan(small=300, large=128, rounds=1) if quick else Plan()
    _print(bench_relay(plan, progress=_tell))


@bench.command()
@quick_option
def path(quick: bool) -> None:
    """Requests through three relay processes: rate, p50, p99, and CPU over all processes."""
    from simulations.bench.path import PathPlan, bench_path

    _print(bench_path(PathPlan(requests=200) if quick else PathPlan(), progress=_tell))


@bench.command()
@quick_option
def flood(quick: bool) -> None:
    """What honest clients get from a relay while others flood it."""
    from simulations.bench.flood import FloodPlan, bench_flood

    plan = FloodPlan(packets=1_000, floods=(("garbage", 5),), rounds=1) if quick else FloodPlan()
    _print(bench_flood(plan, progress=_tell))


@bench.command()
@quick_option
@click.option(
    "--relays",
    type=click.IntRange(100, 19_990),
    default=2_000,
    show_default=True,
    help="in the directory that arrives; a document lists 20,000 at most",
)
def steps(quick: bool, relays: int) -> None:
    """How long single turns of a relay's event loop last under load, a flood, and a large directory."""
    from simulations.bench.steps import StepsPlan, bench_steps

    plan = StepsPlan(small=500, large=128, links=5, relays=100) if quick else StepsPlan(relays=relays)
    _print(bench_steps(plan, progress=_tell))


@bench.command()
@quick_option
def session(quick: bool) -> None:
    """Requests in Session's format beside native ones, over the same relays: rate, times and CPU, as ratios."""
    from simulations.bench.session import SessionPlan, bench_session

    plan = SessionPlan(small=64, large=16, rounds=1) if quick else SessionPlan()
    _print(bench_session(plan, progress=_tell))


@bench.command()
@quick_option
@click.option(
    "--folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="on the disk that is measured; default: where temporary files go",
)
def store(quick: bool, folder: Path | None) -> None:
    """Messages stored and retrieved per second, p50, p99 and CPU, beside bare SQLite commits on the same disk."""
    from simulations.bench.store import StorePlan, bench_store

    plan = StorePlan(messages=400, retrieves=200, folder=folder) if quick else StorePlan(folder=folder)
    _print(bench_store(plan, progress=_tell))


@bench.command()
@quick_option
def surfaces(quick: bool) -> None:
    """What programs get by each way into the onion (calls, transports, proxies), beside the same without it."""
    from simulations.bench.surface_programs import SurfacesPlan
    from simulations.bench.surfaces import bench_surfaces

    plan = SurfacesPlan(requests=40, megabytes=2) if quick else SurfacesPlan()
    _print(bench_surfaces(plan, progress=_tell))


def _tell(line: str) -> None:
    click.echo(line, err=True)


def _print(result: dict[str, Any]) -> None:
    from simulations.bench.machine import machine

    click.echo(json.dumps({**result, "machine": machine()}, indent=2))
