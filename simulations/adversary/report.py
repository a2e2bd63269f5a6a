"""Comparisons for people, as a table on a terminal or as lines in a file, and for programs, as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

from simulations.adversary.comparisons import Comparison
from simulations.adversary.plan import Plan

COLUMNS = ("experiment", "what", "theory", "published", "ours", "allowed", "within")


def as_json(plan: Plan, comparisons: Sequence[Comparison]) -> str:
    """One object: the plan, the comparisons in order, and whether all of them are within."""
    found = [{**asdict(comparison), "is_within": comparison.is_within} for comparison in comparisons]
    within = all(comparison.is_within for comparison in comparisons)
    return json.dumps({"plan": asdict(plan), "comparisons": found, "is_within": within})


def print_table(comparisons: Sequence[Comparison]) -> None:
    """On standard output, drawn with lines where that is a terminal."""
    rows = [_cells(comparison) for comparison in comparisons]
    if sys.stdout.isatty():
        _print_drawn(rows)
    else:
        print(_lines(rows))


def _cells(comparison: Comparison) -> tuple[str, ...]:
    published = "" if comparison.published is None else _number(comparison.published)
    allowed = f"{_number(comparison.low)} to {_number(comparison.high)}"
    within = "yes" if comparison.is_within else "NO"
    numbers = (_number(comparison.theory), published, _number(comparison.ours))
    return (comparison.experiment, comparison.what, *numbers, allowed, within)


def _number(value: float) -> str:
    return f"{value:.0f}" if value == int(value) else f"{value:.3g}"


def _lines(rows: Sequence[tuple[str, ...]]) -> str:
    table = [COLUMNS, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(COLUMNS))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in table)
    return "\n".join(line.rstrip() for line in lines)


def _print_drawn(rows: Sequence[tuple[str, ...]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(*COLUMNS)
    for row in rows:
        table.add_row(*row, style=None if row[-1] == "yes" else "bold red")
    Console().print(table)
