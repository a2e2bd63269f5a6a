"""The sync twin: its thread, who owns it, and what is left when it is closed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import anyio
import httpx
import httpx2
import pytest
from anyio.from_thread import start_blocking_portal

import onionpath
from onionpath.client.client import Client
from onionpath.client.status import State
from onionpath.errors import DirectoryError, OnionPathError, UnreachableError, UsageError
from onionpath.transports.for_httpx import SyncOnionTransport
from simulations.local.network import LocalNetwork
from tests.transports.test_transports import wait_until
from tests.transports.website import Website

pytestmark = pytest.mark.processes


@pytest.fixture(params=[httpx, httpx2], ids=["httpx", "httpx2"])
def http(request: pytest.FixtureRequest) -> ModuleType:
    return request.param


@pytest.fixture(autouse=True)
def no_thread_is_left(site: Website) -> Iterator[None]:
    """But for the website's own, and those that trio keeps for ten seconds."""
    before = set(threading.enumerate())
    yield
    site.gate.set()
    for thread in set(threading.enumerate()) - before:
        if not thread.name.startswith("Trio thread"):
            thread.join(5)
            assert not thread.is_alive(), thread


@pytest.fixture
def client(network: LocalNetwork) -> Client:
    return Client(network.trust_root_file)


def test_many_threads_use_one_transport(client: Client, http: ModuleType, site: Website) -> None:
    transport = SyncOnionTransport(client, verify=site.trust())
    with http.Client(transport=transport) as browser, ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(browser.get, [f"{site.url}/"] * 16))

    assert ["hello"] * 16 == [answer.text for answer in answers]


def test_the_thread_starts_with_the_first_request_and_ends_with_close(
    client: Client, http: ModuleType, site: Website
) -> None:
    browser = http.Client(transport=SyncOnionTransport(client))
    assert "onionpath" not in {thread.name for thread in threading.enumerate()}
    browser.get(f"{site.plain_url}/")
    assert "onionpath" in {thread.name for thread in threading.enumerate()}
    assert State.READY is client.status().state
    browser.close()

    assert "onionpath" not in {thread.name for thread in threading.enumerate()}
    assert State.CLOSED is client.status().state


def test_a_transport_that_was_not_used_has_nothing_to_close(client: Client) -> None:
    transport = SyncOnionTransport(client)
    transport.close()
    transport.close()


def test_closing_it_ends_what_other_threads_wait_for(client: Client, http: ModuleType, site: Website) -> None:
    transport = SyncOnionTransport(client)
    with ThreadPoolExecutor(1) as threads:
        hanging = threads.submit(http.Client(transport=transport, timeout=30).get, f"{site.plain_url}/hang")
        wait_until(lambda: site.connections_to("/hang"))
        transport.close()

        with pytest.raises(http.NetworkError, match="closed"):
            hanging.result(5)


def test_a_closed_transport_says_so(client: Client, http: ModuleType, site: Website) -> None:
    transport = SyncOnionTransport(client)
    browser = http.Client(transport=transport)
    browser.get(f"{site.plain_url}/")
    transport.close()

    with pytest.raises(http.ConnectError, match="closed") as caught:
        browser.get(f"{site.plain_url}/")
    assert isinstance(caught.value.__cause__, UsageError)


def test_the_exits_forget_the_connections_of_a_transport_that_closes(
    client: Client, http: ModuleType, site: Website
) -> None:
    with http.Client(transport=SyncOnionTransport(client)) as browser:
        response = browser.get(f"{site.plain_url}/")
        stream = response.extensions["network_stream"]
        wait_until(lambda: site.ended.isdisjoint(site.connections_to("/")))
        assert not stream.get_extra_info("is_readable")

    wait_until(lambda: site.connections_to("/") <= site.ended)


def test_a_client_that_lives_elsewhere_is_left_there(client: Client, http: ModuleType, site: Website) -> None:
    with start_blocking_portal("trio") as portal, portal.wrap_async_context_manager(client):
        for _ in range(2):
            with http.Client(transport=SyncOnionTransport(client, portal=portal)) as browser:
                assert "hello" == browser.get(f"{site.plain_url}/").text
        assert State.READY is client.status().state


@pytest.mark.slow
def test_a_network_that_is_not_there_is_an_error_of_entering(
    network: LocalNetwork, tmp_path: Path, http: ModuleType
) -> None:
    """Ours where nobody has asked for anything yet, and the library's for a request."""
    with LocalNetwork(relays=3, website=False) as other:
        file = tmp_path / "network.json"
        file.write_bytes(other.trust_root_file.read_bytes())

    with pytest.raises((UnreachableError, DirectoryError)):
        SyncOnionTransport(Client(file)).__enter__()
    with pytest.raises(http.ConnectError) as caught:
        http.Client(transport=SyncOnionTransport(Client(file))).get("http://website.localhost/")
    assert isinstance(caught.value.__cause__, OnionPathError)


def test_an_async_client_is_told_to_take_the_other_one(client: Client, http: ModuleType) -> None:
    request = http.Request("GET", "http://website.localhost/", content=iter([b""]))

    with pytest.raises(UsageError, match="SyncOnionTransport"):
        anyio.run(onionpath.OnionTransport(client).handle_async_request, request)
