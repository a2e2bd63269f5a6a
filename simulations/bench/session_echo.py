"""A server for ``bench session``: an app that gives back what it was sent, behind the gateway, in its own process."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import NamedTuple

import trio

from onionpath.crypto.session_channels import SessionPrivateKey, SessionPublicKey
from onionpath.errors import UnreachableError
from onionpath.lsrpc.gateway import SessionGateway, SessionLimits
from onionpath.ohttp.asgi import Receive, Scope, Send, read_body, send_whole
from onionpath.onion.session_lsrpc import LsrpcServer
from simulations.local.http_server import HttpServer

HOST = "127.0.0.1"
READY_S = 30.0
MAX_BYTES = 1_000_000
# The bench has up to 64 requests under way, and the gateway's own bound must not be what it measures.
LIMITS = SessionLimits(in_flight=256)


class EchoServer(NamedTuple):
    """Where it is, and its process."""

    server: LsrpcServer
    key: SessionPublicKey
    pid: int


@contextmanager
def echo_server() -> Iterator[EchoServer]:
    """Start it, and end it afterwards.

    Raises:
        UnreachableError: it did not come up.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs,), daemon=True)
    process.start()
    try:
        if not ours.poll(READY_S):
            raise UnreachableError("the echo server did not come up")
        port, key = ours.recv()
        assert process.pid is not None
        server = LsrpcServer(HOST, port, protocol="http")
        yield EchoServer(server, SessionPublicKey(key), process.pid)
    finally:
        process.terminate()
        process.join()


def _serve(told: Connection) -> None:
    # A Ctrl-C reaches all processes of a terminal; whoever started this one ends it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    key = SessionPrivateKey.generate(os.urandom)
    server = HttpServer(SessionGateway(_echo, key, limits=LIMITS))
    trio.run(server.listen, HOST, 0, lambda port: told.send((port, key.public.encoded)))


async def _echo(scope: Scope, receive: Receive, send: Send) -> None:
    body = await read_body(receive, max_bytes=MAX_BYTES)
    await send_whole(send, 200, media_type="application/octet-stream", body=body)
