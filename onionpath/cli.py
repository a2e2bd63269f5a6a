"""``onionpath``: requests through the onion from a shell.

Whatever goes wrong is one line on standard error that says what to do, and an exit code of
docs/guides/exit-codes.md. Commands import what they need themselves, so that ``--help`` answers at once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from onionpath.cli_client import client_of, network_file, run_loop
from onionpath.cli_completion import completion
from onionpath.cli_doctor import doctor
from onionpath.cli_get import get
from onionpath.cli_given import Given, json_option, settings_options
from onionpath.cli_output import say
from onionpath.cli_path import path
from onionpath.cli_proxy import proxy, run
from onionpath.cli_settings_show import settings
from onionpath.cli_status import status
from onionpath.errors import OnionPathError, UsageError, WebsiteError
from onionpath.exit_codes import run_program

if TYPE_CHECKING:
    from onionpath.cli_settings import Settings
    from onionpath.directory.directory import Directory
    from onionpath.directory.trust import TrustRoot

PROGRAM = "onionpath"


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
    """Send requests so that nobody learns both who asks and what is asked."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help(), err=True)
        context.exit(2)


@cli.group()
def network() -> None:
    """Look at the network."""


file_type = click.Path(path_type=Path)


@network.command("show")
@click.argument("file", type=file_type, required=False)
@settings_options
@json_option
def network_show(file: Path | None, given: Given, as_json: bool) -> None:
    """List the network's authorities, swarms and relays, as its directory has them now.

    With FILE, a directory that a program has kept or a document, nothing is fetched, and the time is not judged.
    """
    from onionpath.cli_network import described, lines
    from onionpath.cli_network_files import read_directory, read_file

    settings = given.settings()
    if file is None:
        run_loop(network_file(settings), lambda: _network_show(settings, as_json))
        return
    root = _trust_root(given)
    _tell(described(read_directory(read_file(file), root), root), lines, as_json)


async def _network_show(settings: Settings, as_json: bool) -> None:
    from onionpath.cli_network import described, lines

    async with client_of(settings) as client:
        directory, root = client.directory, client.trust_root
    _tell(described(directory, root), lines, as_json)


@network.command("session-nodes")
@click.argument("file", type=file_type, required=False)
@settings_options
@json_option
def network_session_nodes(file: Path | None, given: Given, as_json: bool) -> None:
    """List the relays that serve clients of Session; as JSON, the list that such clients take.

    With FILE, a directory that a program has kept, nothing is fetched, and the time is not judged.
    """
    from onionpath.cli_network_files import read_directory, read_file

    settings = given.settings()
    if file is None:
        run_loop(network_file(settings), lambda: _network_session_nodes(settings, as_json))
        return
    _tell_nodes(read_directory(read_file(file), _trust_root(given)), as_json)


async def _network_session_nodes(settings: Settings, as_json: bool) -> None:
    async with client_of(settings) as client:
        directory = client.directory
    _tell_nodes(directory, as_json)


def _tell_nodes(directory: Directory, as_json: bool) -> None:
    from onionpath.cli_session_nodes import lines
    from onionpath.swarm.node_list import encode_nodes
    from onionpath.swarm.nodes import session_nodes

    nodes = session_nodes(directory)
    say(encode_nodes(nodes).decode() if as_json else "\n".join(lines(nodes)))


@network.command("verify")
@click.argument("file", type=file_type)
@settings_options
@json_option
def network_verify(file: Path, given: Given, as_json: bool) -> None:
    """Say what FILE proves to whoever has the trust root, or why it proves nothing (exit code 1 or 7).

    FILE is a directory that a program has kept, a document, a pair of documents that proves equivocation, or a
    succession.
    """
    import time

    from onionpath.cli_network_files import read_file, sentences, verified
    from onionpath.injected import UnixTime

    root = _trust_root(given)
    _tell(verified(read_file(file), root, now=UnixTime(time.time())), sentences, as_json)


@network.command("diff")
@click.argument("old", type=file_type)
@click.argument("new", type=file_type)
@settings_options
@json_option
def network_diff(old: Path, new: Path, given: Given, as_json: bool) -> None:
    """Say what changed from one directory or document to another: relays, descriptors, weights, swarms."""
    from onionpath.cli_network_diff import compared, lines
    from onionpath.cli_network_files import read_directory, read_file

    root = _trust_root(given)
    before, after = (read_directory(read_file(file), root).document for file in (old, new))
    _tell(compared(before, after), lines, as_json)


def _trust_root(given: Given) -> TrustRoot:
    from onionpath.disk.trust_file import read_trust_root

    return read_trust_root(network_file(given.settings()))


def _tell(shown: dict[str, Any], lines: Callable[[dict[str, Any]], Iterable[str]], as_json: bool) -> None:
    say(json.dumps(shown) if as_json else "\n".join(lines(shown)))


for command in (get, proxy, run, status, doctor, path, settings, completion):
    cli.add_command(command)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The program: runs the command and exits by the table in ``onionpath.exit_codes``."""
    run_program(cli, arguments, name=PROGRAM, explain=_explain)


def _explain(error: BaseException) -> OnionPathError | None:
    """httpx's errors: ours are the cause of some, the website's fault the others."""
    import ssl

    import httpx

    if isinstance(error, httpx.InvalidURL):
        return UsageError(f"not the address of a website: {error}")
    if not isinstance(error, httpx.TransportError):
        return None
    cause = error.__cause__
    while cause is not None and not isinstance(cause, OnionPathError | ssl.SSLCertVerificationError):
        cause = cause.__cause__
    if isinstance(cause, OnionPathError):
        return cause
    if isinstance(cause, ssl.SSLCertVerificationError):
        return WebsiteError(
            f"the website shows a wrong certificate: {cause.verify_message}; if its CA is your own, give that with --ca"
        )
    return WebsiteError(f"the website broke off: {error}")
