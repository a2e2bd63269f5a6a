"""``onionpath-relay``: found, check and run a relay; ``cli_authority`` has the commands of authorities.

Whatever goes wrong is one line on standard error that says what to do, and an exit code of
docs/guides/exit-codes.md. Commands import what they need themselves, so that ``--help`` answers at once.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from onionpath.exit_codes import run_program
from relay.cli_authority import authority
from relay.cli_options import (
    PROGRAM,
    SETTINGS_FILE,
    announcer,
    hint,
    json_option,
    pairs,
    prepare_process,
    print_founded,
    ready_option,
    serve,
    set_option,
    typed,
)

if TYPE_CHECKING:
    from relay.checkup import Finding
    from relay.settings import RelaySettings


def _version(context: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        from onionpath.version import VERSION

        click.echo(f"{PROGRAM} {VERSION}")
        context.exit()


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version,
    help="Show the version and exit.",
)  # fmt: skip
@click.pass_context
def cli(context: click.Context) -> None:
    """Run a relay of an onionpath network, or found a network of your own."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help(), err=True)
        context.exit(2)


@cli.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--listen", "listens", multiple=True, metavar="IP:PORT", help="also published, unless set otherwise"
)
@click.option("--trust-root", type=SETTINGS_FILE, help="the network's trust root, copied into FOLDER")
@click.option("--exit", "is_exit", is_flag=True, help="reach websites for others; see the operator's guide")
@set_option
def init(
    folder: Path, listens: tuple[str, ...], trust_root: Path | None, is_exit: bool, sets: tuple[str, ...]
) -> None:
    """Write FOLDER/relay.toml with every default, and make the relay's keys."""
    from relay.founding import found_relay
    from relay.settings import RelaySettings

    values = typed(sets, RelaySettings)
    if listens:
        values["relay.listen"] = listens
    if is_exit:
        values["exit.enabled"] = True
    founded = found_relay(folder, values, trust_root=trust_root, entropy=os.urandom)
    print_founded(founded, "relay", f"{PROGRAM} check {founded.settings_file}")


@cli.command()
@click.argument("settings", type=SETTINGS_FILE)
@json_option
@set_option
def check(settings: Path, as_json: bool, sets: tuple[str, ...]) -> None:
    """Check everything that can be checked without serving, and print what would run."""
    from relay.checkup import check_relay

    findings = check_relay(_load_relay(settings, sets))
    if as_json:
        checks = [{"name": one.name, "ok": one.error is None, "detail": one.detail} for one in findings]
        click.echo(json.dumps({"ok": all(one.error is None for one in findings), "checks": checks}))
    else:
        for one in findings:
            click.echo(f"{'ok   ' if one.error is None else 'WRONG'} {one.name}: {one.detail}")
    _raise_first(findings)


def _raise_first(findings: Sequence[Finding]) -> None:
    for finding in findings:
        if finding.error is not None:
            raise finding.error


@cli.command()
@click.argument("settings", type=SETTINGS_FILE)
@ready_option
@json_option
@set_option
def run(settings: Path, ready_fd: int | None, as_json: bool, sets: tuple[str, ...]) -> None:
    """Run the relay in the foreground until SIGTERM."""
    loaded = _load_relay(settings, sets)
    prepare_process(loaded.log)
    from relay.daemon import run_relay

    serve(lambda: run_relay(loaded, ready=announcer(ready_fd, as_json)))


cli.add_command(authority)


def _load_relay(file: Path, sets: Sequence[str]) -> RelaySettings:
    from relay.settings import RelaySettings
    from relay.settings_files import load_settings

    with hint("authority", f"{PROGRAM} authority run {file}"):
        return load_settings(file, RelaySettings, environment=os.environ, flags=pairs(sets))


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The program: runs the command and exits by the table in ``onionpath.exit_codes``."""
    run_program(cli, arguments, name=PROGRAM, explain=_explain)


def _explain(error: BaseException) -> str | None:
    """A fault of ours with its place, which an operator can report without showing what it was about."""
    if isinstance(error, OSError):
        return None
    from relay.logs import describe_error

    return f"a fault of ours: {describe_error(error)}; please report this line"
