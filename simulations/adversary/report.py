"""Findings for people, as a table on a terminal or as lines in a file, and for programs, as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

from simulations.adversary.findings import Finding
from simulations.adversary.plan import Plan

COLUMNS = ("experiment", "what", "theory", "published", "ours", "allowed", "within")


def as_json(plan: Plan, findings: Sequence[Finding]) -> str:
    """One object: the plan, the findings in order, and whether all of them are within."""
    found = [{**asdict(finding), "is_within": finding.is_within} for finding in findings]
    within = all(finding.is_within for finding in findings)
    return json.dumps({"plan": asdict(plan), "findings": found, "is_within": within})


def print_table(findings: Sequence[Finding]) -> None:
    """On standard output, drawn with lines where that is a terminal."""
    rows = [_cells(finding) for finding in findings]
    if sys.stdout.isatty():
        _print_drawn(rows)
    else:
        print(_lines(rows))


def _cells(finding: Finding) -> tuple[str, ...]:
    published = "" if finding.published is None else _number(finding.published)
    allowed = f"{_number(finding.low)} to {_number(finding.high)}"
    within = "yes" if finding.is_within else "NO"
    numbers = (_number(finding.theory), published, _number(finding.ours))
    return (finding.experiment, finding.what, *numbers, allowed, within)


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
