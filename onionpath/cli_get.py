"""``onionpath get``: one request through the network's relays, and its answer."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from onionpath.cli_client import Given, client_of, json_option, network_file, run_loop, settings_options
from onionpath.cli_output import Write, into_file, into_stdout, say
from onionpath.cli_progress import receiving, waiting
from onionpath.errors import NoPathError, UsageError, WebsiteError

if TYPE_CHECKING:
    import ssl

    import httpx

    from onionpath.cli_request import WebRequest
    from onionpath.cli_settings import Settings
    from onionpath.cli_trace import Trace
    from onionpath.client.client import Client

# A body that a person wants to see in JSON; longer ones belong into a file.
MAX_JSON_BODY = 1024 * 1024
# Why relays were refused, when none of them is the last hop for a port.
NO_EXIT = {"port-not-allowed", "service-not-offered"}

deadline_option = click.option(
    "--deadline",
    "deadline_s",
    metavar="SECONDS",
    help="For everything together.  [env: ONIONPATH_DEADLINE_S; default: 40]",
)


@dataclass(frozen=True, slots=True)
class Display:
    """How an answer is shown.

    Args:
        output: where the body goes; None for standard output.
        has_head: the head goes before it.
    """

    output: Path | None
    has_head: bool
    has_trace: bool
    as_json: bool


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
                await _show(response, trace, display)
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


async def _show(response: httpx.Response, trace: Trace, display: Display) -> None:
    if display.has_trace:
        for line in trace.lines():
            click.echo(line, err=True)
    if display.as_json:
        await _show_json(response, trace, display.output)
    elif display.output is None or not response.is_error:
        await _show_body(response, display)
    if response.is_error:
        reason = f"the website answered {response.status_code} {response.reason_phrase}".rstrip()
        unwritten = "" if display.output is None else f"; {display.output} was not written"
        raise WebsiteError(reason + unwritten)


async def _show_body(response: httpx.Response, display: Display) -> None:
    file = display.output
    with (
        into_stdout() if file is None else into_file(file) as write,
        # On one terminal the bar and the body would be in each other's way.
        nullcontext(_uncounted)
        if _is_read(file)
        else receiving(_name(response), total=_length(response)) as advance,
    ):
        if display.has_head:
            write(_head(response))
        async for part in response.aiter_raw():
            write(part)
            advance(len(part))


def _is_read(file: Path | None) -> bool:
    """Whether a person reads the body while it comes."""
    import sys

    return file is None and sys.stdout is not None and sys.stdout.isatty()


def _uncounted(count: int) -> None:
    pass


def _name(response: httpx.Response) -> str:
    return response.url.path.rpartition("/")[2] or response.url.host


def _length(response: httpx.Response) -> int | None:
    text = response.headers.get("Content-Length", "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else None


def _head(response: httpx.Response) -> bytes:
    """As it came, but for its line of status, which HTTP/2 has not."""
    status = f"{response.http_version} {response.status_code} {response.reason_phrase}".rstrip()
    fields = b"".join(name + b": " + value + b"\r\n" for name, value in response.headers.raw)
    return status.encode() + b"\r\n" + fields + b"\r\n"


async def _show_json(response: httpx.Response, trace: Trace, output: Path | None) -> None:
    import hashlib

    file = None if response.is_error else output
    hasher, size, kept = hashlib.sha256(), 0, bytearray()
    sink: AbstractContextManager[Write] = nullcontext(kept.extend) if file is None else into_file(file)
    with sink as write, receiving(_name(response), total=_length(response)) as advance:
        async for part in response.aiter_raw():
            hasher.update(part)
            size += len(part)
            if size > MAX_JSON_BODY and file is None:
                raise UsageError(
                    f"the body is longer than {MAX_JSON_BODY} bytes; write it with --output FILE"
                )
            write(part)
            advance(len(part))
    shown: dict[str, Any] = {
        "url": str(response.url),
        "status": response.status_code,
        "http_version": response.http_version,
        "headers": response.headers.multi_items(),
        "path": [hop.relay for hop in trace.hops],
        **trace.as_json(),
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
