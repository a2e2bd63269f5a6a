"""Our client of Session's format against relays that are processes: nodes, a server, a guard that is killed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import anyio
import pytest

from onionpath.client.client import Client
from onionpath.errors import UnreachableError
from onionpath.onion.session_lsrpc import LsrpcServer
from onionpath.onion.session_v4 import V4Request
from onionpath.path.constraints import Constraints
from onionpath.service.calls import ServiceId
from onionpath.swarm.nodes import SessionNode, session_nodes
from simulations.local.network import LocalNetwork

pytestmark = pytest.mark.processes

INFO = json.dumps({"method": "info", "params": {}}).encode()


@pytest.fixture(scope="module")
def network() -> Iterator[LocalNetwork]:
    with LocalNetwork(relays=6, website=False, session=True) as network:
        yield network


@pytest.fixture(scope="module")
def nodes(network: LocalNetwork) -> tuple[SessionNode, ...]:
    async def fetch() -> tuple[SessionNode, ...]:
        async with Client(network.trust_root_file) as client:
            return session_nodes(client.directory)

    return anyio.run(fetch, backend="trio")


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_every_node_is_asked_over_paths_of_others(nodes: tuple[SessionNode, ...]) -> None:
    async with Client(nodes, format="session") as client:
        for node in nodes:
            reply = await client.call(ServiceId.STORAGE, INFO, to=node)

            assert (200, [2, 8, 0]) == (reply.status, json.loads(reply.body)["version"])


async def test_a_file_is_put_on_a_server_and_comes_back(
    network: LocalNetwork, nodes: tuple[SessionNode, ...]
) -> None:
    found, content = network.file_server, bytes(range(256)) * 800
    server = LsrpcServer(found.host, found.port, protocol="http")
    async with Client(nodes, format="session") as client:
        put = await client.request_server(server, found.key, V4Request("POST", "/file", body=content))
        name = json.loads(put.body)["id"]
        got = await client.request_server(server, found.key, V4Request("GET", f"/file/{name}"))

    assert (200, content) == (got.status, got.body)


async def test_a_relay_that_shows_another_certificate_is_sent_nothing(nodes: tuple[SessionNode, ...]) -> None:
    moved = [replace(node, certificate_hash=bytes(32)) for node in nodes]
    guards = Constraints(guards=frozenset(node.relay_id for node in nodes[:3]))
    async with Client(moved, format="session", constraints=guards) as client:
        with pytest.raises(UnreachableError) as caught:
            await client.call(ServiceId.STORAGE, INFO, to=moved[5])
    assert not caught.value.sent


async def test_a_guard_that_is_killed_costs_an_attempt(
    network: LocalNetwork, nodes: tuple[SessionNode, ...]
) -> None:
    guards, middles = (frozenset(each.relay_id for each in some) for some in (nodes[:2], nodes[2:5]))
    wishes = Constraints(guards=guards, middles=middles)
    async with Client(nodes, format="session", constraints=wishes) as client:
        await client.call(ServiceId.STORAGE, INFO, to=nodes[5])
        relay = network.relay(client.path_report().path[0])
        relay.kill()
        try:
            assert 200 == (await client.call(ServiceId.STORAGE, INFO, to=nodes[5])).status
        finally:
            relay.restart()
