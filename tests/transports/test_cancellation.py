"""Whoever is cancelled leaves nothing: no stream, no connection, and a client that still works."""

from __future__ import annotations

import socket
from types import ModuleType

import anyio
import httpx
import httpx2
import pytest

from onionpath.client.client import Client
from onionpath.transports.for_httpx import OnionTransport
from simulations.local.network import LocalNetwork
from tests.transports.website import Website

pytestmark = pytest.mark.processes


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=[httpx, httpx2], ids=["httpx", "httpx2"])
def http(request: pytest.FixtureRequest) -> ModuleType:
    return request.param


async def wait_for_no_stream(client: Client) -> None:
    """Goodbyes take a moment."""
    with anyio.fail_after(5):
        async for status in client.statuses():
            if status.streams == 0:
                return


@pytest.mark.parametrize("target", ["/hang", "/gated"], ids=["before the headers", "within the body"])
async def test_a_cancelled_request_frees_its_stream(
    network: LocalNetwork, site: Website, http: ModuleType, target: str
) -> None:
    async with Client(network.trust_root_file) as client:
        async with http.AsyncClient(transport=OnionTransport(client), timeout=30) as browser:
            async with anyio.create_task_group() as group:
                group.start_soon(browser.get, f"{site.plain_url}{target}")
                with anyio.fail_after(5):
                    while not site.connections_to(target):
                        await anyio.lowlevel.checkpoint()
                group.cancel_scope.cancel()
            await wait_for_no_stream(client)

            assert "hello" == (await browser.get(f"{site.plain_url}/")).text


@pytest.mark.slow
async def test_a_cancelled_opening_frees_its_stream(
    network: LocalNetwork, site: Website, http: ModuleType
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}/"
        async with Client(network.trust_root_file) as client:
            async with http.AsyncClient(transport=OnionTransport(client), timeout=30) as browser:
                async with anyio.create_task_group() as group:
                    group.start_soon(browser.get, url)
                    (await anyio.to_thread.run_sync(silent.accept))[0].close()
                    group.cancel_scope.cancel()
                await wait_for_no_stream(client)


async def test_a_cancelled_wait_for_a_connection_takes_none(
    network: LocalNetwork, site: Website, http: ModuleType
) -> None:
    async with Client(network.trust_root_file) as client:
        transport = OnionTransport(client, limits=http.Limits(max_connections=1))
        async with http.AsyncClient(transport=transport, timeout=30) as browser:
            async with browser.stream("GET", f"{site.plain_url}/gated") as held:
                with anyio.move_on_after(0.05):
                    await browser.get(f"{site.plain_url}/")
                site.gate.set()
                assert b"firstlater" == await held.aread()

            assert "hello" == (await browser.get(f"{site.plain_url}/")).text


async def test_closing_the_http_client_frees_all_streams(
    network: LocalNetwork, site: Website, http: ModuleType
) -> None:
    async with Client(network.trust_root_file) as client:
        async with http.AsyncClient(transport=OnionTransport(client)) as browser:
            await browser.get(f"{site.plain_url}/")
            assert 1 == client.status().streams
        await wait_for_no_stream(client)
