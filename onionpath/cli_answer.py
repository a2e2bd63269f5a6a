"""How the answer of a website is shown: its head, its body, and the way that it came."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from onionpath.cli_output import Write, into_file, into_stdout, say
from onionpath.cli_progress import receiving
from onionpath.errors import UsageError, WebsiteError

if TYPE_CHECKING:
    import httpx

    from onionpath.cli_trace import Trace

# A body that a person wants to see in JSON; longer ones belong into a file.
MAX_JSON_BODY = 1024 * 1024


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


async def show(response: httpx.Response, trace: Trace, display: Display) -> None:
    """Show it as it comes.

    Raises:
        WebsiteError: it is an error of the website. OutputError: it cannot be written.
    """
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
