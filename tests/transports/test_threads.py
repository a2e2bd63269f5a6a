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
from onionpath.errors import DeadlineError, DirectoryError, OnionPathError, UnreachableError, UsageError
from onionpath.transports import client_thread
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
    with http.Client(transport=transport) as browser, ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(browser.get, [f"{site.url}/"] * 8))

    assert ["hello"] * 8 == [answer.text for answer in answers]


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


def test_closing_has_a_deadline(
    client: Client, http: ModuleType, site: Website, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever hangs in the loop: the program goes on, and is told that a thread is left."""
    monkeypatch.setattr(client_thread, "CLOSE_S", 0.05)
    transport, over = SyncOnionTransport(client), threading.Event()
    http.Client(transport=transport).get(f"{site.plain_url}/")
    transport._portal(1).start_task_soon(over.wait)

    with pytest.raises(DeadlineError, match="did not end"):
        transport.close()
    over.set()


def test_a_closed_transport_says_so(client: Client, http: ModuleType, site: Website) -> None:
    transport = SyncOnionTransport(client)
    browser = http.Client(transport=transport)
    browser.get(f"{site.plain_url}/")
    transport.close()

    with pytest.raises(http.ConnectError, match="closed") as caught:
        browser.get(f"{site.plain_url}/")
    assert isinstance(caught.value.__cause__, UsageError)


@pytest.mark.slow
def test_the_exits_forget_the_connections_of_a_transport_that_closes(
    client: Client, http: ModuleType, site: Website
) -> None:
    """Idle ones too: an exit would hold each of them for a minute."""
    with http.Client(transport=SyncOnionTransport(client)) as browser, ThreadPoolExecutor(8) as threads:
        held = [browser.stream("GET", f"{site.plain_url}/gated") for _ in range(8)]
        responses = list(threads.map(lambda each: each.__enter__(), held))
        site.gate.set()
        assert [b"firstlater"] * 8 == [response.read() for response in responses]
        assert site.ended.isdisjoint(site.connections_to("/gated"))

    assert 8 == len(site.connections_to("/gated"))
    wait_until(lambda: site.connections_to("/gated") <= site.ended)


def test_a_client_that_lives_elsewhere_is_left_there(client: Client, http: ModuleType, site: Website) -> None:
    with start_blocking_portal("trio") as portal, portal.wrap_async_context_manager(client):
        for _ in range(2):
            with http.Client(transport=SyncOnionTransport(client, portal=portal)) as browser:
                assert "hello" == browser.get(f"{site.plain_url}/").text
        assert State.READY is client.status().state


def test_a_loop_that_ends_elsewhere_ends_what_waits_for_it(
    client: Client, http: ModuleType, site: Website
) -> None:
    with start_blocking_portal() as portal, ThreadPoolExecutor(1) as threads:
        portal.wrap_async_context_manager(client).__enter__()
        transport = SyncOnionTransport(client, portal=portal)
        hanging = threads.submit(http.Client(transport=transport, timeout=30).get, f"{site.plain_url}/hang")
        wait_until(lambda: site.connections_to("/hang"))
        portal.call(portal.stop, True)

        with pytest.raises(http.NetworkError, match="closed"):
            hanging.result(5)


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
