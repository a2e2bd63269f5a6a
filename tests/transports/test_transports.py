"""Every promise of the transports, for {httpx, httpx2} × {asyncio, trio, sync}, over real relays."""

from __future__ import annotations

import hashlib
import socket
import ssl
import time
from collections.abc import Callable, Iterator

import pytest

from onionpath.errors import OnionPathError, RefusedError, UsageError
from tests.transports.browsers import Kind
from tests.transports.conftest import Browse
from tests.transports.website import Website

pytestmark = pytest.mark.processes


def wait_until(is_so: Callable[[], object]) -> None:
    """Look again and again, for five seconds at most."""
    ends_at = time.monotonic() + 5
    while not is_so():
        assert time.monotonic() < ends_at
        time.sleep(0.001)


PARTS = [bytes([number]) * 50_000 for number in range(8)]


def test_a_page_comes_through_three_relays_and_tells_its_way(browse: Browse, site: Website) -> None:
    response = browse().request("GET", f"{site.url}/")

    assert (200, "hello", "HTTP/1.1") == (response.status_code, response.text, response.http_version)
    journey = response.extensions["onionpath"]
    assert 3 == len(set(journey["path"]))
    assert {64} == {len(relay) for relay in journey["path"]}
    assert 1 == journey["attempts"]
    assert 3 == len(journey["hold_ms"])
    assert sorted(journey["hold_ms"], reverse=True) == journey["hold_ms"]


def test_a_response_is_of_the_library_that_asked(kind: Kind, browse: Browse, site: Website) -> None:
    assert kind.http.Response is type(browse().request("GET", f"{site.plain_url}/"))


def test_requests_to_one_website_share_a_connection(browse: Browse, site: Website) -> None:
    browser = browse()
    for _ in range(3):
        assert 200 == browser.request("GET", f"{site.url}/").status_code

    assert 1 == len(site.connections_to("/"))


def test_http2_is_spoken_where_both_offer_it(browse: Browse, site: Website) -> None:
    browser = browse(transport={"http2": True})
    answers = [browser.request("GET", f"{site.url}/") for _ in range(3)]

    assert ["HTTP/2"] * 3 == [answer.http_version for answer in answers]
    assert 1 == len(site.connections_to("/"))
    assert 3 == len(answers[-1].extensions["onionpath"]["path"])


def test_an_upload_is_streamed(browse: Browse, site: Website) -> None:
    taken: list[int] = []

    def parts() -> Iterator[bytes]:
        for number, part in enumerate(PARTS):
            taken.append(number)
            yield part

    response = browse().upload(f"{site.url}/upload", parts())

    assert hashlib.sha256(b"".join(PARTS)).hexdigest() == response.text
    assert list(range(len(PARTS))) == taken


def test_a_download_is_handed_on_as_it_comes(browse: Browse, site: Website) -> None:
    browser = browse()
    with browser.stream("GET", f"{site.url}/gated") as response:
        parts = browser.read(response)
        assert b"first" == next(parts)
        site.gate.set()
        assert b"later" == b"".join(parts)


def test_server_sent_events_arrive(kind: Kind, browse: Browse, site: Website) -> None:
    if hasattr(kind.http, "EventSource"):
        events = browse().events(f"{site.url}/events")
        assert [("greeting", "hello"), ("message", "two\nlines")] == [(e.event, e.data) for e in events]
    else:
        response = browse().request("GET", f"{site.url}/events")
        assert "data: two" in list(response.iter_lines())


def test_a_websocket_goes_both_ways(kind: Kind, browse: Browse, site: Website) -> None:
    browser = browse()
    if hasattr(kind.http, "websocket"):
        with browser.websocket(site.url.replace("https", "wss") + "/socket") as session:
            browser.use(session.send_text, "hello")
            assert "HELLO" == browser.use(session.receive_text)
    else:
        upgrade = {
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        }
        with browser.stream("GET", f"{site.url}/socket", headers=upgrade) as response:
            assert 101 == response.status_code
            stream = response.extensions["network_stream"]
            # A text message of two letters, masked with zeros; its answer isn't masked.
            browser.use(stream.write, b"\x81\x82\0\0\0\0hi", 10.0)
            assert b"\x81\x02HI" == browser.use(stream.read, 100, 10.0)


# Who answers.


def test_a_certificate_of_a_stranger_is_refused(kind: Kind, browse: Browse, site: Website) -> None:
    with pytest.raises(kind.http.ConnectError, match="certificate verify failed") as caught:
        browse().request("GET", f"https://website.localhost:{site.stranger_port}/")

    assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)
    assert [] == site.visits


def test_a_certificate_for_another_name_is_refused(kind: Kind, browse: Browse, site: Website) -> None:
    with pytest.raises(kind.http.ConnectError, match=r"not valid for 'other\.localhost'"):
        browse().request("GET", f"https://other.localhost:{site.port}/")


def test_the_library_s_own_verification_is_the_default(
    kind: Kind, browse: Browse, site: Website, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It trusts the authorities of the world, and the website's is none of them, whatever the environment says."""
    monkeypatch.setenv("SSL_CERT_FILE", str(site.ca_file))
    with pytest.raises(kind.http.ConnectError, match="certificate"):
        browse(transport={"verify": None}).request("GET", f"{site.url}/")


@pytest.mark.parametrize("verify", [False, True, "ca.pem"])
def test_verification_is_not_switched_off(browse: Browse, verify: object) -> None:
    with pytest.raises(UsageError, match="always verified"):
        browse(transport={"verify": verify})


# Deadlines.


def test_connecting_ends_at_its_deadline(kind: Kind, browse: Browse, site: Website) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        timeout = kind.http.Timeout(30, connect=0.15)
        started_at = time.monotonic()
        with pytest.raises(kind.http.ConnectTimeout):
            browse(timeout=timeout).request("GET", f"https://127.0.0.1:{silent.getsockname()[1]}/")

    assert time.monotonic() - started_at < 5


def test_reading_ends_at_its_deadline(kind: Kind, browse: Browse, site: Website) -> None:
    timeout = kind.http.Timeout(30, read=0.1)
    with pytest.raises(kind.http.ReadTimeout, match=r"nothing happened for 0\.1 s"):
        browse(timeout=timeout).request("GET", f"{site.plain_url}/hang")


def test_reading_a_body_ends_at_its_deadline(kind: Kind, browse: Browse, site: Website) -> None:
    browser = browse(timeout=kind.http.Timeout(30, read=0.1))
    with browser.stream("GET", f"{site.plain_url}/gated") as response:
        with pytest.raises(kind.http.ReadTimeout):
            list(browser.read(response))


def test_waiting_for_a_connection_ends_at_its_deadline(kind: Kind, browse: Browse, site: Website) -> None:
    limits = kind.http.Limits(max_connections=1)
    browser = browse(timeout=kind.http.Timeout(30, pool=0.1), transport={"limits": limits})
    with browser.stream("GET", f"{site.plain_url}/gated"):
        with pytest.raises(kind.http.PoolTimeout):
            browser.request("GET", f"{site.plain_url}/")


# httpx leaves its own generator over the program's body unfinished, which trio warns of; httpx2 does not.
@pytest.mark.filterwarnings("ignore:.*AsyncIteratorByteStream")
@pytest.mark.slow
def test_writing_ends_at_its_deadline(kind: Kind, browse: Browse, site: Website) -> None:
    """Slow, because everything on the way is filled first."""
    browser = browse(timeout=kind.http.Timeout(30, write=0.5))
    with pytest.raises(kind.http.WriteTimeout):
        browser.upload(f"{site.plain_url}/deaf", (bytes(1 << 20) for _ in range(200)))


# What goes wrong.


def test_a_closed_port_is_a_connection_error_with_ours_as_cause(kind: Kind, browse: Browse) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(kind.http.ConnectError) as caught:
            browse().request("GET", f"https://website.localhost:{port}/")

    assert f"hop 3: website.localhost refuses connections on port {port}" == str(caught.value)
    assert isinstance(caught.value.__cause__, RefusedError)
    assert kind.http.Request is type(caught.value.request)


def test_an_unknown_name_is_a_connection_error(kind: Kind, browse: Browse) -> None:
    with pytest.raises(kind.http.ConnectError) as caught:
        browse().request("GET", "https://nobody.invalid/")

    assert isinstance(caught.value.__cause__, OnionPathError)


def test_a_body_that_ends_too_early_is_a_protocol_error(kind: Kind, browse: Browse, site: Website) -> None:
    with pytest.raises(kind.http.RemoteProtocolError):
        browse().request("GET", f"{site.url}/cut")


def test_another_protocol_is_unsupported(kind: Kind, browse: Browse) -> None:
    with pytest.raises(kind.http.UnsupportedProtocol):
        browse().request("GET", "ftp://website.localhost/")


def test_a_connection_that_the_website_has_left_is_not_used_again(browse: Browse, site: Website) -> None:
    """Otherwise the first request after a pause would fail, and a POST could not be repeated."""
    browser = browse()
    for _ in range(2):
        response = browser.request("GET", f"{site.plain_url}/leave")
        assert "bye" == response.text
        wait_until(lambda: response.extensions["network_stream"].get_extra_info("is_readable"))  # noqa: B023

    assert 2 == len(site.connections_to("/leave"))


def test_an_error_of_the_program_s_own_body_comes_out_as_it_is(browse: Browse, site: Website) -> None:
    def parts() -> Iterator[bytes]:
        yield b"first"
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        browse().upload(f"{site.url}/upload", parts())


# Isolation.


def test_each_website_has_a_connection_and_a_stream_of_its_own(browse: Browse, site: Website) -> None:
    browser = browse()
    for url in (f"{site.url}/", f"{site.url.replace('website', 'elsewhere')}/"):
        assert 200 == browser.request("GET", url).status_code

    assert 2 == len(site.connections_to("/"))
