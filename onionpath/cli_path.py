"""``onionpath path``: the path as it would be drawn now, why it is that one, and what an adversary gains over time."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from onionpath.cli_client import client_of, network_file, run_loop
from onionpath.cli_given import Given, json_option, settings_options
from onionpath.cli_output import say
from onionpath.cli_progress import waiting

if TYPE_CHECKING:
    from onionpath.cli_path_sections import Section
    from onionpath.client.path_report import PathReport
    from onionpath.directory.directory import Directory

Shown = dict[str, Any]
Describe = Callable[["PathReport", "Directory"], Shown]
Sections = Callable[[Shown], "list[Section]"]


class Share(click.ParamType[float]):
    """A part of the network: ``10%`` or ``0.1``."""

    name = "share"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Above 0, below 1."""
        text = str(value)
        try:
            share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            share = 0.0
        # A plain 10 could mean either, and the mistake would not show.
        if not 0 < share < 1:
            self.fail(f"{text!r} is no part of the network; write 10% or 0.1", param, ctx)
        return share


host_option = click.option(
    "--host", default=None, metavar="NAME", help="The destination; by default none in particular."
)
port_option = click.option(
    "--port", type=click.IntRange(1, 65_535), default=443, show_default=True, help="Of the destination."
)


@click.group()
def path() -> None:
    """Look at the paths that programs with this state take."""


@path.command("show")
@host_option
@port_option
@click.option(
    "--bad", "bad_share", type=Share(), default="10%", show_default=True, metavar="SHARE",
    help="What part of the network's weight you assume to be one adversary's.",
)  # fmt: skip
@settings_options
@json_option
def path_show(
    host: str | None,
    port: int,
    bad_share: float,
    given: Given,
    as_json: bool,
) -> None:
    """Show a path as it would be drawn now, the guards and middles, and the privacy budget.

    Nothing is sent over the path. Running programs have others: each destination has its own, for ten minutes.
    """
    from onionpath.cli_path_sections import show_sections
    from onionpath.cli_path_values import described, destination

    where = destination(host, port)

    def describe(report: PathReport, directory: Directory) -> Shown:
        return described(report, directory, where, bad_share=bad_share)

    _report(given, port, describe, show_sections, as_json)


@path.command("explain")
@host_option
@port_option
@settings_options
@json_option
def path_explain(host: str | None, port: int, given: Given, as_json: bool) -> None:
    """Say why a path has these relays: for each place, how many others were refused there, and for what."""
    from onionpath.cli_path_sections import explain_sections
    from onionpath.cli_path_values import destination, explained

    where = destination(host, port)

    def describe(report: PathReport, directory: Directory) -> Shown:
        return explained(report, directory, where)

    _report(given, port, describe, explain_sections, as_json)


def _report(given: Given, port: int, describe: Describe, sections: Sections, as_json: bool) -> None:
    """Show a report; if there is no path, end with the error that says why, after what there is to show."""
    settings = given.settings()

    async def work() -> None:
        """Fetch the directory, show the report, and raise what it failed of."""
        with waiting("fetching the directory"):
            async with client_of(settings) as client:
                report, directory = client.path_report(port=port), client.directory
                problem = client.status().state_problem
        shown = describe(report, directory) | {"state_problem": problem}
        _tell(shown, sections, as_json)
        if report.failure is not None:
            raise report.failure

    run_loop(network_file(settings), work)


def _tell(shown: Shown, sections: Sections, as_json: bool) -> None:
    from onionpath.cli_path_sections import as_lines, draw

    if as_json:
        say(json.dumps(shown))
    elif sys.stdout.isatty():
        draw(sections(shown))
    else:
        say("\n".join(as_lines(sections(shown))))
    if shown["state_problem"] is not None:
        click.echo(f"warning: {shown['state_problem']}", err=True)
