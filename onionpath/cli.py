"""``onionpath``: requests through the onion from a shell.

Whatever goes wrong is one line on standard error that says what to do, and an exit code of
docs/guides/exit-codes.md. Commands import what they need themselves, so that ``--help`` answers at once.
"""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from onionpath.errors import (
    OnionPathError,
    SignatureThresholdError,
    UsageError,
    WebsiteError,
    WrongNetworkError,
)
from onionpath.exit_codes import run_program

if TYPE_CHECKING:
    import ssl

    import httpx

    from onionpath.client.client import Client

PROGRAM = "onionpath"
# A body that a person wants to see in JSON; longer ones belong into a file.
MAX_JSON_BODY = 1024 * 1024

NO_NETWORK = (
    "there is no public onionpath network yet; start one on this machine with"
    " `python -m simulations local` and name its file with --network FILE or ONIONPATH_NETWORK"
)

network_option = click.option(
    "--network",
    type=click.Path(path_type=Path),
    envvar="ONIONPATH_NETWORK",
    metavar="FILE",
    help="The network's trust root.  [env: ONIONPATH_NETWORK]",
)
state_option = click.option(
    "--state",
    type=click.Path(path_type=Path),
    envvar="ONIONPATH_STATE",
    metavar="FOLDER",
    help="Where to keep the directory between runs; nothing is kept without it.  [env: ONIONPATH_STATE]",
)
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
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
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="and exit"
)
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
    """Fetch URL through three relays and print its body.

    TLS runs from here to the website; the name is resolved by the last relay. Redirects are not followed.
    """
    if not url.startswith(("https://", "http://")):
        raise UsageError(f"{url} is no address of a website: it starts with https:// or http://")
    file = _existing(network)
    _run(file, lambda: _get(url, file, state, ca, output, deadline_s, as_json))


async def _get(
    url: str,
    network: Path,
    state: Path | None,
    ca: Path | None,
    output: Path | None,
    deadline_s: float,
    as_json: bool,
) -> None:
    import anyio
    import httpx

    from onionpath.client.httpx_transport import OnionTransport
    from onionpath.errors import DeadlineError

    verify = None if ca is None else _trusting(ca)
    with anyio.move_on_after(deadline_s) as scope:
        async with _client(network, state) as client:
            # httpx's own deadlines are per read; ours is one for all.
            http = httpx.AsyncClient(transport=OnionTransport(client, verify=verify), timeout=None)  # noqa: S113
            async with http, http.stream("GET", url) as response:
                await _show(response, output, as_json)
    if scope.cancelled_caught:
        raise DeadlineError(f"{url} was not fetched within {deadline_s:g} s; give it more with --deadline")


async def _show(response: httpx.Response, output: Path | None, as_json: bool) -> None:
    if as_json:
        await _show_json(response, output)
        return
    with _sink(output) as write:
        async for part in response.aiter_raw():
            write(part)
    if response.is_error:
        raise WebsiteError(f"the website answered {response.status_code} {response.reason_phrase}")


async def _show_json(response: httpx.Response, output: Path | None) -> None:
    import hashlib

    hasher, size, kept = hashlib.sha256(), 0, bytearray()
    with _sink(output) if output else nullcontext(kept.extend) as write:
        async for part in response.aiter_raw():
            hasher.update(part)
            size += len(part)
            if size > MAX_JSON_BODY and output is None:
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
    if output is None:
        shown["body"] = bytes(kept).decode(errors="replace")
    click.echo(json.dumps(shown))


@contextmanager
def _sink(output: Path | None) -> Iterator[Callable[[bytes], object]]:
    """Where a body goes: a file, or standard output."""
    if output is None:
        yield sys.stdout.buffer.write
        sys.stdout.buffer.flush()
        return
    try:
        file = output.open("wb")
    except OSError as error:
        raise UsageError(f"cannot write {output}: {error.strerror}") from error
    with file:
        yield file.write


def _trusting(ca: Path) -> ssl.SSLContext:
    import ssl

    try:
        return ssl.create_default_context(cafile=ca)
    except OSError as error:
        raise UsageError(f"{ca} holds no certificates: {error.strerror or 'not PEM'}") from error


@cli.group()
def network() -> None:
    """Look at the network."""


@network.command("show")
@network_option
@state_option
@json_option
def network_show(network: Path | None, state: Path | None, as_json: bool) -> None:
    """Fetch the directory, verify it, and list its relays."""
    file = _existing(network)
    _run(file, lambda: _network_show(file, state, as_json))


async def _network_show(network: Path, state: Path | None, as_json: bool) -> None:
    async with _client(network, state) as client:
        shown = _described(client)
    if as_json:
        click.echo(json.dumps(shown))
        return
    click.echo(f"network   {shown['network']} ({shown['network_id'][:16]}…)")
    click.echo(f"document  {shown['number']}, valid until {_utc(shown['valid_until'])}")
    click.echo(f"paths     {shown['hops']} hops, frames of {shown['small']} and {shown['large']} bytes")
    click.echo(f"\n{'relay':<18}{'weight':>7}  {'address':<24}{'exit to ports'}")
    for relay in shown["relays"]:
        click.echo(
            f"{relay['id'][:16]:<18}{relay['weight']:>7}  {relay['addresses'][0]:<24}"
            f"{', '.join(relay['exit_policy']) or 'none'}"
        )


def _described(client: Client) -> dict[str, Any]:
    directory = client.directory
    document = directory.document
    return {
        "network": client.trust_root.name,
        "network_id": document.network_id.hex(),
        "number": document.number,
        "valid_from": document.valid_from,
        "fresh_until": document.fresh_until,
        "valid_until": document.valid_until,
        "hops": document.parameters.hops,
        "small": document.parameters.small,
        "large": document.parameters.large,
        "relays": [
            {
                "id": relay.relay_id.hex(),
                "weight": relay.weight,
                "addresses": [str(address) for address in relay.descriptor.addresses],
                "services": list(relay.descriptor.services),
                "exit_policy": list(relay.descriptor.exit_policy),
                "version": relay.descriptor.version,
            }
            for relay in directory.relays.values()
        ],
    }


def _utc(time: float) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _existing(network: Path | None) -> Path:
    if network is None:
        raise UsageError(NO_NETWORK)
    return network


@asynccontextmanager
async def _client(network: Path, state: Path | None) -> AsyncIterator[Client]:
    from onionpath.client.client import Client

    async with Client(network, state=state) as client:
        yield client


def _run(network: Path, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    import anyio

    try:
        anyio.run(work)
    except (SignatureThresholdError, WrongNetworkError) as error:
        raise type(error)(f"{network}: {error}; get this file anew from whoever runs the network") from error


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
