"""``onionpath``: requests through the onion from a shell.

Whatever goes wrong is one line on standard error that says what to do, and an exit code of
docs/guides/exit-codes.md. Commands import what they need themselves, so that ``--help`` answers at once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from onionpath.cli_client import client_of, existing, json_option, network_option, run_loop, state_option
from onionpath.cli_output import Write, into_file, into_stdout, say
from onionpath.cli_path import path
from onionpath.cli_proxy import proxy, run
from onionpath.errors import (
    NoPathError,
    OnionPathError,
    UsageError,
    WebsiteError,
)
from onionpath.exit_codes import run_program

if TYPE_CHECKING:
    import ssl

    import httpx

    from onionpath.directory.trust import TrustRoot

PROGRAM = "onionpath"
# What shells say of a program that SIGTERM ended.
# A body that a person wants to see in JSON; longer ones belong into a file.
MAX_JSON_BODY = 1024 * 1024
# Why relays were refused, when none of them is the last hop for a port.
NO_EXIT = {"port-not-allowed", "service-not-offered"}

deadline_option = click.option(
    "--deadline",
    "deadline_s",
    type=click.FloatRange(min=0.1),
    default=40.0,
    show_default=True,
    metavar="SECONDS",
    help="For everything together.",
)


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


@cli.command()
@click.argument("url")
@network_option
@state_option
@click.option(
    "--ca", type=click.Path(path_type=Path), metavar="FILE", help="Trust this website CA (PEM) and no other."
)
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write the body here, not to stdout.",
)
@deadline_option
@json_option
def get(
    url: str,
    network: Path | None,
    state: Path | None,
    ca: Path | None,
    output: Path | None,
    deadline_s: float,
    as_json: bool,
) -> None:
    """Fetch URL through the network's relays and print its body.

    TLS runs from here to the website; the name is resolved by the last relay. Redirects are not followed.
    """
    from onionpath.cli_url import parse_url

    address = parse_url(url)
    file = existing(network)
    run_loop(file, lambda: _get(address, file, state, ca, output, deadline_s, as_json))


async def _get(
    url: httpx.URL,
    network: Path,
    state: Path | None,
    ca: Path | None,
    output: Path | None,
    deadline_s: float,
    as_json: bool,
) -> None:
    import anyio
    import httpx

    from onionpath.errors import DeadlineError
    from onionpath.transports.for_httpx import OnionTransport

    verify = None if ca is None else _trusting(ca)
    # The body is shown as it comes, so it shall not come compressed.
    headers = {"Accept-Encoding": "identity"}
    with anyio.move_on_after(deadline_s) as scope:
        async with client_of(network, state) as client:
            transport = OnionTransport(client, verify=verify)
            # httpx's own deadlines are per read; ours is one for all.
            http = httpx.AsyncClient(transport=transport, headers=headers, timeout=None)  # noqa: S113
            with _said_of_port(url):
                async with http, http.stream("GET", url) as response:
                    await _show(response, output, as_json)
    if scope.cancelled_caught:
        raise DeadlineError(f"{url} was not fetched within {deadline_s:g} s; give it more with --deadline")


@contextmanager
def _said_of_port(url: httpx.URL) -> Iterator[None]:
    """A port that no exit allows is not a matter of trying again, as other lacks of a path are."""
    import httpx

    try:
        yield
    except httpx.TransportError as error:
        cause = error.__cause__
        if isinstance(cause, NoPathError) and cause.reasons.keys() <= NO_EXIT:
            port = url.port or (443 if url.scheme == "https" else 80)
            message = f"no exit of this network allows port {port}"
            raise NoPathError(message, reasons=cause.reasons) from error
        raise


async def _show(response: httpx.Response, output: Path | None, as_json: bool) -> None:
    if as_json:
        await _show_json(response, output)
    elif output is None or not response.is_error:
        with into_stdout() if output is None else into_file(output) as write:
            async for part in response.aiter_raw():
                write(part)
    if response.is_error:
        reason = f"the website answered {response.status_code} {response.reason_phrase}".rstrip()
        raise WebsiteError(reason if output is None else f"{reason}; {output} was not written")


async def _show_json(response: httpx.Response, output: Path | None) -> None:
    import hashlib

    file = None if response.is_error else output
    hasher, size, kept = hashlib.sha256(), 0, bytearray()
    sink: AbstractContextManager[Write] = nullcontext(kept.extend) if file is None else into_file(file)
    with sink as write:
        async for part in response.aiter_raw():
            hasher.update(part)
            size += len(part)
            if size > MAX_JSON_BODY and file is None:
                raise UsageError(
                    f"the body is longer than {MAX_JSON_BODY} bytes; write it with --output FILE"
                )
            write(part)
    shown: dict[str, Any] = {
        "url": str(response.url),
        "status": response.status_code,
        "http_version": response.http_version,
        "headers": response.headers.multi_items(),
        "path": response.extensions["onionpath"]["path"],
        "bytes": size,
        "sha256": hasher.hexdigest(),
    }
    say(json.dumps(shown | (_body(bytes(kept)) if file is None else {})))


def _body(body: bytes) -> dict[str, str]:
    """As text if it is UTF-8, otherwise in base64: JSON has no bytes."""
    from base64 import b64encode

    try:
        return {"body": body.decode()}
    except UnicodeDecodeError:
        return {"body_base64": b64encode(body).decode()}


def _trusting(ca: Path) -> ssl.SSLContext:
    import ssl

    try:
        return ssl.create_default_context(cafile=ca)
    except OSError as error:
        raise UsageError(f"{ca} holds no certificates: {error.strerror or 'not PEM'}") from error


@cli.group()
def network() -> None:
    """Look at the network."""


file_type = click.Path(path_type=Path)


@network.command("show")
@click.argument("file", type=file_type, required=False)
@network_option
@state_option
@json_option
def network_show(file: Path | None, network: Path | None, state: Path | None, as_json: bool) -> None:
    """List the network's authorities, swarms and relays, as its directory has them now.

    With FILE, a directory that a program has kept or a document, nothing is fetched, and the time is not judged.
    """
    from onionpath.cli_network import described, lines
    from onionpath.cli_network_files import read_directory, read_file

    trust_root = existing(network)
    if file is None:
        run_loop(trust_root, lambda: _network_show(trust_root, state, as_json))
        return
    root = _trust_root(trust_root)
    _tell(described(read_directory(read_file(file), root), root), lines, as_json)


async def _network_show(network: Path, state: Path | None, as_json: bool) -> None:
    from onionpath.cli_network import described, lines

    async with client_of(network, state) as client:
        directory, root = client.directory, client.trust_root
    _tell(described(directory, root), lines, as_json)


@network.command("verify")
@click.argument("file", type=file_type)
@network_option
@json_option
def network_verify(file: Path, network: Path | None, as_json: bool) -> None:
    """Say what FILE proves to whoever has the trust root, or why it proves nothing (exit code 1 or 7).

    FILE is a directory that a program has kept, a document, a pair of documents that proves equivocation, or a
    succession.
    """
    import time

    from onionpath.cli_network_files import read_file, sentences, verified
    from onionpath.injected import UnixTime

    root = _trust_root(existing(network))
    _tell(verified(read_file(file), root, now=UnixTime(time.time())), sentences, as_json)


@network.command("diff")
@click.argument("old", type=file_type)
@click.argument("new", type=file_type)
@network_option
@json_option
def network_diff(old: Path, new: Path, network: Path | None, as_json: bool) -> None:
    """Say what changed from one directory or document to another: relays, descriptors, weights, swarms."""
    from onionpath.cli_network_diff import compared, lines
    from onionpath.cli_network_files import read_directory, read_file

    root = _trust_root(existing(network))
    before, after = (read_directory(read_file(file), root).document for file in (old, new))
    _tell(compared(before, after), lines, as_json)


def _trust_root(file: Path) -> TrustRoot:
    from onionpath.client.client import read_trust_root

    return read_trust_root(file)


def _tell(shown: dict[str, Any], lines: Callable[[dict[str, Any]], Iterable[str]], as_json: bool) -> None:
    say(json.dumps(shown) if as_json else "\n".join(lines(shown)))


cli.add_command(path)
cli.add_command(proxy)
cli.add_command(run)


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
        return WebsiteError(f"the website shows a wrong certificate: {cause.verify_message}")
    return WebsiteError(f"the website broke off: {error}")
