"""The list of nodes as a local network's seeds give it: asked over HTTPS, and passed on over plain HTTP.

Session Desktop takes a list over HTTPS only from hosts whose certificates it has built in, and over plain HTTP from
any; relays speak HTTPS alone. So one process more answers ``POST /json_rpc`` with what a relay says.
"""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import anyio.to_thread
import msgspec
import trio

from onionpath.errors import UnreachableError
from onionpath.ohttp.asgi import (
    BodyTooLongError,
    DisconnectedError,
    Receive,
    Scope,
    Send,
    read_body,
    send_whole,
)
from relay.settings import Endpoint
from simulations.local.http_server import HttpServer
from simulations.local.process_settings import ProcessSettings

ASK_S = 5.0
MAX_QUESTION_BYTES = 64 * 1024
# Everything that is known of every node, with the hashes that clients of ours pin.
ALL_NODES = msgspec.json.encode(
    {
        "jsonrpc": "2.0",
        "id": "0",
        "method": "get_n_service_nodes",
        "params": {"fields": ["all", "certificate_hash"]},
    }
)


class Said(NamedTuple):
    """A seed's answer."""

    status: int
    media_type: str
    body: bytes


def ask_seed(relays: Sequence[Endpoint], question: bytes) -> Said:
    """The first answer of one of these relays, whose certificates are those of this machine and not looked at.

    Raises:
        UnreachableError: none of them answers.
    """
    for relay in relays:
        try:
            return _ask(relay, question)
        except (OSError, http.client.HTTPException):
            continue
    raise UnreachableError("no seed of the local network answers")


def _ask(relay: Endpoint, question: bytes) -> Said:
    tls = ssl.create_default_context()
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    connection = http.client.HTTPSConnection(relay.host, relay.port, context=tls, timeout=ASK_S)
    try:
        connection.request("POST", "/json_rpc", question)
        response = connection.getresponse()
        return Said(response.status, response.headers["Content-Type"], response.read())
    finally:
        connection.close()


class SeedSettings(ProcessSettings, frozen=True, forbid_unknown_fields=True):
    """The content of ``seed.json``.

    Args:
        host, port: where it listens, plain HTTP.
        relays: their Session doors, which it asks one after the other.
    """

    host: str
    port: int
    relays: list[tuple[str, int]]

    @property
    def url(self) -> str:
        """As Session Desktop is told, which appends ``json_rpc``."""
        return f"http://{self.host}:{self.port}/"


class PlainSeed:
    """The ASGI app."""

    def __init__(self, relays: Sequence[Endpoint]) -> None:
        self._relays = relays

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or (scope["method"], scope["path"]) != ("POST", "/json_rpc"):
            await send_whole(send, 404, media_type="text/plain", body=b"this is a seed: POST /json_rpc")
            return
        try:
            question = await read_body(receive, max_bytes=MAX_QUESTION_BYTES)
            said = await anyio.to_thread.run_sync(ask_seed, self._relays, question)
        except DisconnectedError:
            return
        except BodyTooLongError:
            said = Said(413, "text/plain", b"a question for nodes is short")
        except UnreachableError as error:
            said = Said(502, "text/plain", str(error).encode())
        await send_whole(send, said.status, media_type=said.media_type, body=said.body)


def run_seed(settings_file: Path, ready: Callable[[object], None]) -> None:
    """Serve until the process is ended.

    Raises:
        UsageError: the settings are damaged.
    """
    settings = SeedSettings.read(settings_file)
    app = PlainSeed([Endpoint(*relay) for relay in settings.relays])
    trio.run(HttpServer(app).listen, settings.host, settings.port, ready)
