"""``onionpath get``: one request through the network's relays, and its answer."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from onionpath.cli_answer import Display, show
from onionpath.cli_client import client_of, network_file, run_loop
from onionpath.cli_given import Given, json_option, settings_options
from onionpath.cli_progress import waiting
from onionpath.errors import NoPathError, UsageError

if TYPE_CHECKING:
    import ssl

    import httpx

    from onionpath.cli_request import WebRequest
    from onionpath.cli_settings import Settings
    from onionpath.client.client import Client

# Why relays were refused, when none of them is the last hop for a port.
NO_EXIT = {"port-not-allowed", "service-not-offered"}

deadline_option = click.option(
    "--deadline",
    "deadline_s",
    metavar="SECONDS",
    help="For everything together.  [env: ONIONPATH_DEADLINE_S; default: 40]",
)


@click.command()
@click.argument("url")
@click.option(
    "--header", "-H", "headers", multiple=True, metavar="NAME:VALUE", help="Send this, too; repeatable."
)
@click.option("--method", "-X", metavar="NAME", help="Instead of GET, or of POST with --data.")
@click.option("--data", "-d", metavar="TEXT|@FILE", help="Send this body, or that of a file.")
@click.option(
    "--output", "-o", type=click.Path(path_type=Path), metavar="FILE",
    help="Write the body here, not to stdout.",
)  # fmt: skip
@click.option("--include", "-i", "has_head", is_flag=True, help="Show the answer's head before its body.")
@click.option(
    "--trace", "-t", "has_trace", is_flag=True,
    help="Say on stderr which relays carried it, how long each had it, and how many attempts it took.",
)  # fmt: skip
@click.option(
    "--ca", type=click.Path(path_type=Path), metavar="FILE", help="Trust this website CA (PEM) and no other."
)
@deadline_option
@settings_options
@json_option
def get(
    url: str,
    headers: Sequence[str],
    method: str | None,
    data: str | None,
    output: Path | None,
    has_head: bool,
    has_trace: bool,
    ca: Path | None,
    deadline_s: str | None,
    given: Given,
    as_json: bool,
) -> None:
    """Fetch URL through the network's relays and print its body.

    TLS runs from here to the website; the name is resolved by the last relay. Redirects are not followed, and nothing
    is sent twice.
    """
    from onionpath.cli_request import parse_request

    if as_json and has_head:
        raise UsageError("--json has the head already; leave --include out")
    request = parse_request(url, headers, method=method, data=data)
    settings = given.also("deadline_s", deadline_s, "--deadline").settings()
    display = Display(output, has_head, has_trace, as_json)
    run_loop(network_file(settings), lambda: _get(request, settings, ca, display))


async def _get(request: WebRequest, settings: Settings, ca: Path | None, display: Display) -> None:
    import anyio

    from onionpath.errors import DeadlineError

    verify = None if ca is None else _trusting(ca)
    with anyio.move_on_after(settings.deadline_s) as scope:
        async with AsyncExitStack() as stack:
            with waiting("fetching the directory"):
                client = await stack.enter_async_context(client_of(settings))
            await _ask(client, request, verify, display)
    if scope.cancelled_caught:
        raise DeadlineError(
            f"{request.url} was not fetched within {settings.deadline_s:g} s; give it more with --deadline"
        )


async def _ask(client: Client, request: WebRequest, verify: ssl.SSLContext | None, display: Display) -> None:
    import httpx

    from onionpath.cli_trace import trace_of
    from onionpath.transports.for_httpx import OnionTransport

    # httpx's own deadlines are per read; ours is one for all.
    http = httpx.AsyncClient(transport=OnionTransport(client, verify=verify), timeout=None)  # noqa: S113
    begun_at = time.monotonic()
    with _said_of_port(request.url):
        async with http:
            with waiting(f"asking {request.url.host}"):
                response = await http.send(request.build(http), stream=True)
            took_ms = round(1_000 * (time.monotonic() - begun_at))
            trace = trace_of(response.extensions["onionpath"], client.directory, took_ms=took_ms)
            try:
                await show(response, trace, display)
            finally:
                await response.aclose()


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


def _trusting(ca: Path) -> ssl.SSLContext:
    import ssl

    try:
        return ssl.create_default_context(cafile=ca)
    except OSError as error:
        raise UsageError(f"{ca} holds no certificates: {error.strerror or 'not PEM'}") from error
