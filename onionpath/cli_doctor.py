"""``onionpath doctor``: what is wrong, and what to do."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from onionpath.cli_client import run_loop
from onionpath.cli_given import Given, json_option, settings_options
from onionpath.cli_output import say
from onionpath.cli_progress import waiting

if TYPE_CHECKING:
    from onionpath.cli_findings import Finding


@click.command()
@settings_options
@json_option
def doctor(given: Given, as_json: bool) -> None:
    """Check everything that a request needs, and say what is wrong and what to do.

    Asks those whom every command asks, and nobody else: a relay or an authority for the directory, the first guards,
    and a path of relays for an answer of its last one. No website is asked.
    """
    from onionpath.cli_doctor_here import examine_here

    findings: list[Finding] = []

    async def examine() -> None:
        from onionpath.cli_doctor_network import examine_network

        with waiting("examining"):
            patient = examine_here(given, findings)
            if patient is not None:
                await examine_network(patient, findings)

    # Whatever is wrong with the network's file is a finding, so nobody is told of it here.
    run_loop(Path(), examine)
    _tell(findings, as_json)
    wrong = next((each.error for each in findings if each.error is not None), None)
    if wrong is not None:
        raise wrong


def _tell(findings: list[Finding], as_json: bool) -> None:
    from onionpath.cli_findings import remedies
    from onionpath.cli_path_sections import Section, as_lines, draw

    if as_json:
        is_well = all(each.error is None for each in findings)
        shown: dict[str, Any] = {"is_well": is_well, "findings": [each.as_json() for each in findings]}
        say(json.dumps(shown))
        return
    rows = tuple((each.name, each.verdict, each.detail) for each in findings)
    sections = [Section("examined", ("what", "is", "because"), rows)]
    notes = remedies(findings)
    if notes:
        sections.append(Section("what to do", (), (), notes))
    if sys.stdout.isatty():
        draw(sections)
    else:
        say("\n".join(as_lines(sections)))
