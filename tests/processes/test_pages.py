"""A browser's day over real relays, some of which are killed meanwhile."""

from __future__ import annotations

import hashlib
import socket
import time
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from simulations.local.network import LocalNetwork, LocalRelay
from simulations.local.website import PAGE, body_digest
from tests.processes.clients import browsing, path_of

pytestmark = pytest.mark.processes

DOWNLOAD = 20_000_000
UPLOAD_PARTS, PART = 80, bytes(range(256)) * 256
HOPS = {"first": 0, "middle": 1}


@pytest.fixture(scope="module")
def network() -> Iterator[LocalNetwork]:
    with LocalNetwork(relays=9) as network:
        yield network


@pytest.fixture
def killed() -> Iterator[list[LocalRelay]]:
    """Relays that the test has killed; they come back for the next one."""
    relays: list[LocalRelay] = []
    yield relays
    for relay in relays:
        relay.restart()


async def test_a_page_comes_through_three_processes(network: LocalNetwork) -> None:
    async with browsing(network) as (client, http):
        response = await http.get(network.website.url)

        assert (200, PAGE) == (response.status_code, response.text)
        path = path_of(network, response)
    assert 3 == len({relay.pid for relay in path})
    assert [0] == client.continuations


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("hop", HOPS)
async def test_a_download_survives_the_death_of_a_hop(
    network: LocalNetwork, killed: list[LocalRelay], hop: str
) -> None:
    """Not a byte is lost or comes twice: the digest is of all of them in their order."""
    digest, size = hashlib.sha256(), 0
    async with (
        browsing(network) as (client, http),
        http.stream("GET", f"{network.website.url}bytes/{DOWNLOAD}") as response,
    ):
        async for part in response.aiter_raw():
            digest.update(part)
            size += len(part)
            if not killed and size > DOWNLOAD // 10:
                killed.append(path_of(network, response)[HOPS[hop]])
                killed[0].kill()

        assert DOWNLOAD == size
        assert body_digest(DOWNLOAD) == digest.hexdigest() == response.headers["X-SHA-256"]
        assert 1 <= client.continuations[0] <= 3


@pytest.mark.parametrize("anyio_backend", ["trio"])
@pytest.mark.parametrize("hop", HOPS)
async def test_an_upload_survives_the_death_of_a_hop(
    network: LocalNetwork, killed: list[LocalRelay], hop: str
) -> None:
    async with browsing(network) as (client, http):
        path = path_of(network, await http.get(network.website.url))

        async def parts() -> AsyncIterator[bytes]:
            for number in range(UPLOAD_PARTS):
                if number == UPLOAD_PARTS // 2:
                    killed.append(path[HOPS[hop]])
                    killed[0].kill()
                yield PART

        response = await http.post(f"{network.website.url}upload", content=parts())

        assert hashlib.sha256(PART * UPLOAD_PARTS).hexdigest() == response.text
        assert 1 == len(client.opened)
        assert 1 <= client.continuations[0] <= 3


async def test_a_closed_port_is_a_connection_error_that_says_so(network: LocalNetwork) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    async with browsing(network) as (_, http):
        with pytest.raises(httpx.ConnectError) as caught:
            await http.get(f"https://{network.website.host}:{port}/")

    assert f"hop 3: website.localhost refuses connections on port {port}" == str(caught.value)


async def test_a_website_that_hangs_ends_at_the_deadline(network: LocalNetwork) -> None:
    async with browsing(network, timeout_s=1.0) as (_, http):
        started_at = time.monotonic()
        with pytest.raises(httpx.ReadTimeout) as caught:
            await http.get(f"{network.website.url}hang")
        lasted_s = time.monotonic() - started_at

    assert 1.0 <= lasted_s < 3.0
    assert "nothing happened for 1.0 s" == str(caught.value)


async def test_a_wrong_certificate_is_a_connection_error_in_one_line(network: LocalNetwork) -> None:
    async with browsing(network) as (_, http):
        with pytest.raises(httpx.ConnectError, match="certificate verify failed") as caught:
            await http.get(network.website.wrong_url)

    assert 1 == len(str(caught.value).splitlines())


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_slow_page_comes_line_by_line(network: LocalNetwork) -> None:
    """A stream must hand on what it has, not what fills a packet."""
    arrivals = []
    async with browsing(network) as (_, http), http.stream("GET", f"{network.website.url}slow") as response:
        async for line in response.aiter_lines():
            arrivals.append((line, time.monotonic()))

    assert [f"line {number}" for number in range(1, 11)] == [line for line, _ in arrivals]
    # The website takes 1.8 s from the first line to the last.
    assert 1.0 < arrivals[-1][1] - arrivals[0][1]
