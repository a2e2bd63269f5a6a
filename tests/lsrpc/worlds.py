"""A small app behind a gateway, and clients that ask it by onions over real layers."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any, NamedTuple

import anyio
import httpx
from anyio.abc import SocketAttribute

from onionpath.crypto.session_channels import Cipher, LayerSecret, SessionPrivateKey
from onionpath.injected import SteadyClock
from onionpath.lsrpc.gateway import SessionGateway
from onionpath.ohttp.asgi import App
from onionpath.onion.session_framing import encode_framing
from onionpath.onion.session_instructions import ServerInstruction, fields_of_instruction
from onionpath.onion.session_lsrpc import LsrpcServer
from onionpath.onion.session_v4 import V4Request, V4Response, decode_v4_response, encode_v4_request
from simulations.local.http_server import HttpServer

TARGET = "/oxen/v4/lsrpc"
KEY = SessionPrivateKey(hashlib.sha256(b"a server's key").digest())
NOW = 1_750_000_200.0  # the start of a slot of 300 s
LOKI = "/loki/v4/lsrpc"


class Asked(NamedTuple):
    """What an exit posts for one request, and what opens the response."""

    posted: bytes
    secret: LayerSecret


def asked(
    request: V4Request | bytes = V4Request("GET", "/"),  # noqa: B008 - it is frozen
    *,
    seed: int = 0,
    key: SessionPrivateKey = KEY,
    cipher: Cipher = Cipher.XCHACHA20,
) -> Asked:
    """A request, or any plaintext in its place; each seed gives other layers."""
    entropy = Random(seed).randbytes
    ephemeral = SessionPrivateKey.generate(entropy)
    secret = ephemeral.secret_to(key.public, cipher)
    plaintext = request if isinstance(request, bytes) else encode_v4_request(request)
    instruction = ServerInstruction(LsrpcServer("example.org"), ephemeral.public, cipher)
    blob = secret.seal(plaintext, entropy=entropy)
    return Asked(encode_framing(blob, fields_of_instruction(instruction)), secret)


class EchoApp:
    """Tells what it was asked, and keeps the scopes that it has seen."""

    def __init__(self) -> None:
        self.scopes: list[Any] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        event = await receive()
        headers = [(b"Content-Type", b"text/plain"), (b"content-length", b"%d" % (5 + len(event["body"])))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"echo ", "more_body": True})
        await send({"type": "http.response.body", "body": event["body"]})


def clock(start: float = NOW) -> Callable[[], float]:
    return lambda: start


def gateway_for(app: App, **settings: Any) -> SessionGateway:
    settings = {"clock": SteadyClock(clock(), clock(0)), "entropy": Random(5).randbytes, **settings}
    return SessionGateway(app, KEY, **settings)


async def post(app: App, body: bytes, *, path: str = TARGET, **headers: str) -> httpx.Response:
    """Post a body, as an exit would."""
    transport = httpx.ASGITransport(app, client=("192.0.2.7", 1234))
    async with httpx.AsyncClient(transport=transport) as http:
        return await http.post(f"https://example.org{path}", content=body, headers=headers)


async def ask(app: App, each: Asked) -> V4Response:
    """The opened response to what a client has asked."""
    response = await post(app, each.posted)
    assert 200 == response.status_code
    return decode_v4_response(each.secret.open(response.content))


@asynccontextmanager
async def listening(app: App) -> AsyncIterator[int]:
    """The app over a real socket; gives its port on 127.0.0.1."""
    server = HttpServer(app, request_s=5)
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(SocketAttribute.local_port)  # noqa: S610 - anyio's, not Django's
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, server.serve)
        yield port
        tasks.cancel_scope.cancel()
