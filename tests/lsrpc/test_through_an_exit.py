"""The whole way of one request: sealed by a client, peeled by three relays, posted by an exit, answered, and read."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_network
from pathlib import Path

import msgspec
import pytest

from onionpath.crypto.session_channels import SessionPublicKey
from onionpath.lsrpc.gateway import SessionGateway
from onionpath.onion.session_lsrpc import LsrpcServer
from onionpath.onion.session_packets import ForwardToServer, ServerCall
from onionpath.onion.session_v4 import V4Request, V4Response
from onionpath.service.exit_policy import ExitPolicy, IPAddress
from onionpath.service.hosts import DnsName
from relay.exit.dial import Dialer, connect
from relay.session.server_exit import ServerExit
from simulations.local.file_server import FileServer
from simulations.local.file_shelf import Shelf
from tests.lsrpc.worlds import KEY, listening
from tests.onion.session_paths import ONION, hops_of, walk

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "trio"


class Onions:
    """A client, three relays of which the last is an exit, and a server on this machine."""

    def __init__(self, port: int) -> None:
        self.server = LsrpcServer("127.0.0.1", port, protocol="http")
        self._exit = ServerExit(
            Dialer(
                ExitPolicy.parse(["accept *:*"]),
                own=lambda: [],
                reachable_private=[ip_network("127.0.0.1")],
                resolver=nobody,
                connect=connect,
            ),
            tls=None,  # type: ignore[arg-type] - the server speaks plain HTTP
            at_once=8,
        )

    async def post(self, request: V4Request, key: SessionPublicKey = KEY.public) -> V4Response | bytes:
        """The response, or what the exit says instead."""
        wrapped = ONION.wrap(hops_of(range(3)), ServerCall(self.server, key, request), entropy=os.urandom)
        forward = walk(wrapped.packet).peeled[-1]
        assert isinstance(forward, ForwardToServer)
        answer = await self._exit.post(forward.server, forward.posted)
        if answer.status != 200:
            return answer.body
        response = ONION.open_reply(wrapped.opener, answer.body)
        assert isinstance(response, V4Response)
        return response


async def nobody(name: DnsName, *, caller: int) -> Sequence[IPAddress]:
    raise AssertionError("an address is asked of nobody")


@asynccontextmanager
async def onions(folder: Path) -> AsyncIterator[Onions]:
    app = FileServer(Shelf(folder, life_s=100), now=lambda: 0.0)
    async with listening(SessionGateway(app, KEY, serves_plain=False)) as port:
        yield Onions(port)


async def test_a_file_is_put_and_got_through_an_exit(tmp_path: Path) -> None:
    body = os.urandom(100_000)
    async with onions(tmp_path) as through:
        put = await through.post(V4Request("POST", "/file", {}, body))
        assert isinstance(put, V4Response)
        got = await through.post(V4Request("GET", f"/file/{msgspec.json.decode(put.body)['id']}"))

    assert V4Response(200, {"content-type": "application/octet-stream"}, body) == got


async def test_what_is_sealed_to_another_key_gets_the_one_answer_to_damage(tmp_path: Path) -> None:
    other = SessionPublicKey(bytes([9]) + bytes(31))
    async with onions(tmp_path) as through:
        assert b"Invalid ciphertext" == await through.post(V4Request("GET", "/"), other)
