"""``python -m simulations virtual``: a scenario from the command line."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from simulations.virtual.scenario import Summary

# A fifteenth of the packets that a table of the default size can take in a slot, at five packets a second.
LARGE_FROM, LARGE_REPLAY_ENTRIES = 100, 1_024


@click.command()
@click.option("--relays", type=click.IntRange(3, 5_000), default=9, show_default=True, help="how many")
@click.option("--clients", type=click.IntRange(1, 10_000), default=5, show_default=True, help="how many")
@click.option("--hours", type=click.FloatRange(0.01, 10_000), default=1.0, show_default=True, help="virtual")
@click.option("--seed", type=int, default=7, show_default=True, help="of everything; equal seeds, equal hash")
@click.option(
    "--rate", type=click.FloatRange(0.0001, 10_000), default=0.2, show_default=True,
    metavar="PER_SECOND", help="requests of all clients together",
)  # fmt: skip
@click.option(
    "--churn", type=click.FloatRange(0, 60), default=0.0, show_default=True,
    metavar="PART", help="of the relays that is killed and replaced in each hour",
)  # fmt: skip
@click.option(
    "--period", "period_s", type=click.IntRange(10, 86_400), default=3_600, show_default=True,
    metavar="SECONDS", help="between directory documents",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="one JSON object on standard output")
def virtual(
    relays: int,
    clients: int,
    hours: float,
    seed: int,
    rate: float,
    churn: float,
    period_s: int,
    as_json: bool,
) -> None:
    """Run a network for hours of virtual time, and say what its clients lived through."""
    from simulations.virtual.network import Plan
    from simulations.virtual.scenario import Scenario, run
    from simulations.virtual.wires import WireModel

    plan = Plan(
        relays=relays,
        seed=seed,
        period_s=period_s,
        wires=WireModel(latency_s=0.01, latency_up_to_s=0.12, jitter_s=0.01),
        replay_entries=LARGE_REPLAY_ENTRIES if relays >= LARGE_FROM else 4_096,
        record=False,
    )
    scenario = Scenario(plan, clients, hours, rate, churn)
    summary = run(scenario, progress=lambda line: click.echo(line, err=True))
    click.echo(json.dumps(asdict(summary)) if as_json else _table(summary))


def _table(summary: Summary) -> str:
    endings = ", ".join(f"{count} {name}" for name, count in sorted(summary.endings.items()))
    rows = [
        ("requests", f"{summary.requests}: {endings}"),
        ("success", f"{100 * summary.success_rate:.2f} %, {summary.attempts_per_request} attempts each"),
        ("took", f"{summary.mean_took_s} s in the mean, {summary.longest_took_s} s at most"),
        ("relays", f"{summary.relays}, of which {summary.relays_replaced} replaced"),
        ("documents", f"{summary.documents}"),
        ("frames", f"{summary.frames}"),
        ("time", f"{summary.hours} h in {summary.run_s} s: {summary.speed:.0f} × real time"),
        ("event hash", summary.event_hash),
    ]
    return "\n".join(f"{name:<12}{value}" for name, value in rows)
