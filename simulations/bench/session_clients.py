"""The programs of ``bench session``: one client of each format over the same relays, and what each asks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from onionpath.client.client import Client
from onionpath.onion.session_v4 import V4Request
from onionpath.service.calls import ServiceId
from onionpath.swarm.nodes import session_nodes
from simulations.bench.session_echo import EchoServer
from simulations.local.network import LocalNetwork

NATIVE, INFO, SERVER = "native echo", "session info", "session server"
# The most that a native request of the small class carries over three hops is 4,528 bytes.
SMALL_BYTES = 64
DEADLINE_S = 60.0
INFO_REQUEST = b'{"method":"info","params":{}}'

Ask = Callable[[], Awaitable[Any]]
Asks = Callable[[bytes], dict[str, Ask]]
"""For a body, what is asked by each way; ``info`` takes none, and stands beside small ones."""


@asynccontextmanager
async def both_clients(network: LocalNetwork, server: EchoServer) -> AsyncIterator[Asks]:
    """Enter a client of each format; the list of nodes is that of the signed directory."""
    async with Client(network.trust_root_file) as native:
        nodes = session_nodes(native.directory)
        async with Client(nodes, format="session") as session:

            def asks(body: bytes) -> dict[str, Ask]:
                """One call by each way, with this body where the way takes one; none by ``info`` for large ones."""
                is_large = len(body) > SMALL_BYTES
                echo = partial(native.call, ServiceId.ECHO, body, large_reply=is_large, deadline_s=DEADLINE_S)
                info = partial(
                    session.call, ServiceId.STORAGE, INFO_REQUEST, to=nodes[-1], deadline_s=DEADLINE_S
                )
                request = V4Request("POST", "/", {}, body)
                post = partial(
                    session.request_server, server.server, server.key, request, deadline_s=DEADLINE_S
                )
                return {NATIVE: echo, **({} if is_large else {INFO: info}), SERVER: post}

            yield asks
