"""``python -m simulations adversary``: the table of comparisons, and the picture of exposure over time."""

from __future__ import annotations

from pathlib import Path

import click

from onionpath.errors import UsageError

# The names of ``experiments.EXPERIMENTS``, here as well so that ``--help`` needs none of their libraries.
NAMES = ("correlation", "predecessor", "guards", "churn", "middles", "killers")


@click.command()
@click.argument("experiments", type=click.Choice(NAMES), nargs=-1, metavar="[EXPERIMENT]...")
@click.option("--clients", type=click.IntRange(20, 100_000), default=400, show_default=True, help="how many")
@click.option(
    "--days", type=click.IntRange(30, 1_000), default=180, show_default=True, help="of the longest watch"
)
@click.option(
    "--relays", type=click.IntRange(100, 2_000), default=200, show_default=True, help="of generated networks"
)
@click.option("--seed", type=int, default=7, show_default=True, help="equal seeds, equal comparisons")
@click.option("--json", "is_json", is_flag=True, help="one JSON object on standard output")
@click.option(
    "--plot", type=click.Path(dir_okay=False, writable=True, path_type=Path), metavar="FILE",
    help="draw exposure over time, as .png or .svg",
)  # fmt: skip
def adversary(
    experiments: tuple[str, ...],
    clients: int,
    days: int,
    relays: int,
    seed: int,
    is_json: bool,
    plot: Path | None,
) -> None:
    """What an adversary gains, beside theory; exit code 1 if that is not what theory says.

    Experiments: correlation, predecessor, guards, churn, middles, killers; all of them if none is named.
    """
    try:
        from simulations.adversary.experiments import EXPERIMENTS
        from simulations.adversary.figure import curves, save
    except ModuleNotFoundError as error:
        raise UsageError(f"{error.name} is missing: install onionpath[experiments]") from error
    from simulations.adversary.plan import Plan
    from simulations.adversary.report import as_json, print_table

    plan = Plan(clients, days, relays, seed)
    chosen = dict.fromkeys(experiments) or EXPERIMENTS
    comparisons = [comparison for name in chosen for comparison in EXPERIMENTS[name](plan, _tell)]
    if plot is not None:
        save(curves(plan, _tell), plot)
    if is_json:
        click.echo(as_json(plan, comparisons))
    else:
        print_table(comparisons)
    if not all(comparison.is_within for comparison in comparisons):
        raise click.exceptions.Exit(1)


def _tell(line: str) -> None:
    click.echo(line, err=True)
