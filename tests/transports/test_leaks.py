"""Nothing leaves the program but for the relays: every known way around the onion, and no connection or look-up on it.

Each was a real leak of a real program. Whoever watches the line would learn from one of them who asks for what.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import httpx
import httpx2
import pytest
from anyio.from_thread import start_blocking_portal

from onionpath.client.client import Client
from onionpath.directory.trust import TrustRoot
from onionpath.errors import UnreachableError
from onionpath.transports.for_httpx import SyncOnionTransport
from simulations.local.network import LocalNetwork
from tests.transports.browsers import Kind, browser
from tests.transports.conftest import Browse
from tests.transports.watching import Seen, watching
from tests.transports.website import Website

pytestmark = pytest.mark.processes

PROXIES = [name for each in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY") for name in (each, each.lower())]
DEAD_EDGE = r"between (hop 1 and hop 2|the client and hop 1)"
NOBODY = ("127.0.0.1", 9)


def entries(network: LocalNetwork) -> set[tuple[str, int]]:
    """Where a client may connect to: relays and authorities."""
    root = TrustRoot.decode(network.trust_root_file.read_bytes())
    relays = {(relay.endpoint.host, relay.endpoint.port) for relay in network.relays}
    return relays | {(each.address.host, each.address.port) for each in root.authorities}


@pytest.fixture
def seen(network: LocalNetwork) -> Iterator[Seen]:
    """Whatever the test does, only relays are connected to, and nothing is looked up."""
    with watching() as seen:
        yield seen
    assert seen.peers, "nobody was connected to, so nothing was tested"
    assert set() == seen.peers - entries(network)
    assert set() == seen.names


@pytest.fixture
def proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Proxies of the environment at which nobody listens."""
    for name in PROXIES:
        scheme = "socks5" if name.lower().startswith("all") else "http"
        monkeypatch.setenv(name, f"{scheme}://127.0.0.1:9")


@pytest.fixture(params=[httpx, httpx2], ids=["httpx", "httpx2"])
def http(request: pytest.FixtureRequest) -> ModuleType:
    return request.param


@pytest.mark.usefixtures("proxies", "seen")
def test_proxies_of_the_environment_are_not_used(browse: Browse, site: Website) -> None:
    browser = browse()

    assert 200 == browser.request("GET", f"{site.url}/").status_code
    assert 200 == browser.request("GET", f"{site.plain_url}/").status_code


@pytest.mark.usefixtures("proxies", "seen")
@pytest.mark.parametrize("exempt", ["*", "website.localhost"])
def test_hosts_that_are_exempt_from_proxies_are_not_asked_directly(
    browse: Browse, site: Website, exempt: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", exempt)
    monkeypatch.setenv("no_proxy", exempt)

    assert 200 == browse().request("GET", f"{site.plain_url}/").status_code


@pytest.mark.usefixtures("proxies", "seen")
def test_mounts_hold_with_an_environment_that_is_not_trusted(
    network: LocalNetwork, site: Website, http: ModuleType
) -> None:
    transport = SyncOnionTransport(Client(network.trust_root_file))
    with http.Client(mounts={"all://": transport}, trust_env=False) as browser:
        assert 200 == browser.get(f"{site.plain_url}/").status_code


def test_what_the_guide_says_of_mounts_is_still_true(
    network: LocalNetwork, site: Website, http: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy of the environment wins over a mount; and the watch over this process sees it."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    transport = SyncOnionTransport(Client(network.trust_root_file))
    with watching() as seen, http.Client(mounts={"all://": transport}) as browser:
        with pytest.raises(http.ConnectError):
            browser.get(f"{site.plain_url}/")

    assert NOBODY in seen.peers


@pytest.mark.usefixtures("seen")
def test_a_redirect_goes_through_the_onion_as_well(browse: Browse, site: Website) -> None:
    browser = browse(follow_redirects=True)
    target = f"{site.url.replace('website', 'elsewhere')}/headers"
    response = browser.request("GET", f"{site.plain_url}/redirect?{target}")

    assert (200, 1) == (response.status_code, len(response.history))
    assert "elsewhere.localhost" == response.url.host


@pytest.mark.usefixtures("seen")
def test_what_fails_is_not_tried_directly(kind: Kind, browse: Browse, site: Website) -> None:
    browser = browse()
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        closed = unused.getsockname()[1]
        for url in (
            f"http://website.localhost:{closed}/",
            "http://nobody.invalid/",
            f"https://website.localhost:{site.stranger_port}/",
            f"https://website.localhost:{site.plain_port}/",
        ):
            with pytest.raises(kind.http.ConnectError):
                browser.request("GET", url)


def test_no_credentials_come_from_a_netrc_file(
    browse: Browse, site: Website, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / ".netrc"
    file.write_text("machine website.localhost login somebody password secret\n")
    file.chmod(0o600)
    monkeypatch.setenv("NETRC", str(file))
    monkeypatch.setenv("HOME", str(tmp_path))

    assert "Authorization" not in browse().request("GET", f"{site.plain_url}/headers").json()


def test_a_redirect_brings_no_credentials(browse: Browse, site: Website) -> None:
    target = f"{site.plain_url.replace('//', '//somebody:secret@')}/headers"
    response = browse(follow_redirects=True).request("GET", f"{site.plain_url}/redirect?{target}")

    assert "Authorization" not in response.json()


def test_two_isolation_keys_share_no_cookie_connection_or_tls_session(
    network: LocalNetwork, site: Website, http: ModuleType
) -> None:
    client, trust = Client(network.trust_root_file), site.trust()
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(client):
        alice, bob = (
            http.Client(
                transport=SyncOnionTransport(client, portal=portal, verify=trust, isolation=name), timeout=30
            )
            for name in ("alice", "bob")
        )
        with alice, bob:
            alice.get(f"{site.url}/cookie?alice")
            answers = [each.get(f"{site.url}/headers") for each in (alice, bob)]

    assert ["who=alice", None] == [answer.json().get("Cookie") for answer in answers]
    assert 2 == len(site.connections_to("/headers"))
    streams = [answer.extensions["network_stream"] for answer in answers]
    assert [False, False] == [each.get_extra_info("ssl_object").session_reused for each in streams]


@pytest.mark.parametrize(("names", "shared"), [(("alice", "alice"), True), (("alice", "bob"), False)])
def test_only_one_and_the_same_isolation_key_shares_paths(
    network: LocalNetwork, site: Website, names: tuple[str, str], shared: bool
) -> None:
    client = Client(network.trust_root_file)
    ready = []
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(client):
        for name in names:
            with httpx.Client(transport=SyncOnionTransport(client, portal=portal, isolation=name)) as browser:
                browser.get(f"{site.plain_url}/")
            ready.append(client.status().paths)

    assert shared is (ready[0] == ready[1])


@pytest.mark.slow
def test_a_dead_network_is_an_error_and_no_reason_to_go_directly(kind: Kind, site: Website) -> None:
    """What died is named: the edge behind the last who still speaks, the one living relay or the client."""
    with LocalNetwork(relays=4, website=False) as dying:
        client = Client(dying.trust_root_file)
        with watching() as seen, browser(kind, client, {"verify": site.trust()}, timeout=30) as visitor:
            path = visitor.request("GET", f"{site.url}/").extensions["onionpath"]["path"]
            for relay in dying.relays:
                if relay.relay_id.hex() != path[0]:
                    relay.kill()
            with pytest.raises(kind.http.ConnectError, match=DEAD_EDGE) as caught:
                visitor.request("GET", f"{site.plain_url}/")

        assert isinstance(caught.value.__cause__, UnreachableError)
        assert set() == seen.peers - entries(dying)
        assert set() == seen.names
