"""``python -m simulations virtual``: a scenario from the command line."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from simulations.virtual.cost import Cost
    from simulations.virtual.network import Plan
    from simulations.virtual.scenario import Summary
    from simulations.virtual.soak import Sample, Soak

# A fifteenth of the packets that a table of the default size can take in a slot, at five packets a second.
LARGE_FROM, LARGE_REPLAY_ENTRIES = 100, 1_024
# A first hop of all clients would see each packet of a slot, of which half a million a day make 1,736.
SOAK_REPLAY_ENTRIES = 8_192


@click.group(invoke_without_command=True)
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
@click.pass_context
def virtual(
    context: click.Context,
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
    if context.invoked_subcommand is not None:
        return
    from simulations.virtual.scenario import Scenario, run

    entries = LARGE_REPLAY_ENTRIES if relays >= LARGE_FROM else 4_096
    scenario = Scenario(_plan(relays, seed, period_s, entries), clients, hours, rate, churn)
    summary = run(scenario, progress=lambda line: click.echo(line, err=True))
    click.echo(json.dumps(asdict(summary)) if as_json else _table(summary))


@virtual.command()
@click.option("--requests", type=click.IntRange(1), default=500_000, show_default=True, help="in all, about")
@click.option("--relays", type=click.IntRange(3, 5_000), default=30, show_default=True, help="how many")
@click.option("--clients", type=click.IntRange(1, 10_000), default=10, show_default=True, help="how many")
@click.option("--hours", type=click.FloatRange(1, 10_000), default=24.0, show_default=True, help="virtual")
@click.option("--seed", type=int, default=7, show_default=True, help="of everything; equal seeds, equal hash")
@click.option("--json", "as_json", is_flag=True, help="one JSON object on standard output")
def soak(requests: int, relays: int, clients: int, hours: float, seed: int, as_json: bool) -> None:
    """Use a network for long, and say whether it holds more at the end than in the middle (then exit by 1)."""
    from simulations.virtual.scenario import Scenario
    from simulations.virtual.soak import soak as run_soak

    rate = requests / (3_600 * hours)
    scenario = Scenario(_plan(relays, seed, 3_600, SOAK_REPLAY_ENTRIES), clients, hours, rate)
    end = run_soak(scenario, progress=lambda sample: click.echo(_sample_line(sample), err=True))
    click.echo(json.dumps(asdict(end)) if as_json else _soak_table(end))
    if end.growth or not end.is_balanced:
        raise click.exceptions.Exit(1)


@virtual.command()
@click.option("--json", "as_json", is_flag=True, help="one JSON object on standard output")
def cost(as_json: bool) -> None:
    """What a virtual request costs in CPU, beside the cryptography that it cannot do without."""
    from simulations.virtual.cost import measure

    measured: Cost = measure()
    figures = {**asdict(measured), "over_bare": round(measured.over_bare, 3)}
    line = f"{measured.request_us:.0f} µs a request, {measured.over_bare:.2f} × its bare cryptography"
    click.echo(json.dumps(figures) if as_json else line)


def _plan(relays: int, seed: int, period_s: int, replay_entries: int) -> Plan:
    from simulations.virtual.network import Plan
    from simulations.virtual.wires import WireModel

    return Plan(
        relays=relays,
        seed=seed,
        period_s=period_s,
        wires=WireModel(latency_s=0.01, latency_up_to_s=0.12, jitter_s=0.01),
        replay_entries=replay_entries,
        record=False,
    )


def _sample_line(sample: Sample) -> str:
    return (
        f"{sample.at_h:8.2f} h: {sample.requests} requests, {sample.resident_mb} MB, {sample.objects} objects, "
        f"{sample.tasks} tasks, {sample.links} links, {sample.files} files"
    )


def _soak_table(end: Soak) -> str:
    endings = ", ".join(f"{count} {name}" for name, count in sorted(end.endings.items()))
    rows = [
        ("requests", f"{end.requests}: {endings}"),
        ("balanced", "yes" if end.is_balanced else "no: something is left over"),
        ("growth", "; ".join(end.growth) or "none from the middle to the end"),
        ("time", f"{end.hours} h in {end.run_s} s"),
        ("event hash", end.event_hash),
    ]
    return "\n".join(f"{name:<12}{value}" for name, value in rows)


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
