"""HTTP's handshakes with a proxy, and one request carried on to a website."""

from __future__ import annotations

from base64 import b64encode

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onionpath.errors import WebsiteError
from onionpath.proxy.errand import Errand
from onionpath.proxy.failures import Failure
from onionpath.proxy.handshake import DEFAULT_USER, Access, Wanted
from onionpath.proxy.http import HttpHandshake

OPEN, GUARDED = Access(), Access("secret")
CONNECT = b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n"
END = b"\r\n"


def authorization(user: str, password: str) -> bytes:
    return b"Proxy-Authorization: Basic " + b64encode(f"{user}:{password}".encode()) + b"\r\n"


def outcome_of(data: bytes, access: Access = OPEN) -> Wanted | Failure | None:
    return HttpHandshake(access).hear(data).outcome


def status_of(data: bytes, access: Access = OPEN) -> int:
    outcome = outcome_of(data, access)
    assert isinstance(outcome, Failure)
    return outcome.status


def test_connect_names_host_and_port() -> None:
    assert Wanted("example.org", 443, None) == outcome_of(CONNECT + END)
    assert Wanted("2001:db8::1", 443, None) == outcome_of(
        b"CONNECT [2001:db8::1]:443 HTTP/1.1\r\nHost: x\r\n\r\n"
    )


def test_a_url_names_host_and_perhaps_a_port() -> None:
    for url, wanted in {
        b"http://example.org/": ("example.org", 80),
        b"HTTP://example.org:8080?a=b": ("example.org", 8080),
        b"http://[2001:db8::1]/": ("2001:db8::1", 80),
    }.items():
        assert Wanted(*wanted, None) == outcome_of(b"GET " + url + b" HTTP/1.1\r\nHost: x\r\n\r\n")


@pytest.mark.parametrize(
    "target",
    [b"/", b"*", b"ftp://example.org/", b"https://example.org/", b"http:///", b"http://a:99999/", b"http://a:b/",
     b"http://user@example.org/", b"http://2001:db8::1/"],
)  # fmt: skip
def test_what_no_proxy_can_connect_to_is_a_bad_request(target: bytes) -> None:
    assert 400 == status_of(b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n")


@pytest.mark.parametrize("target", [b"example.org", b"example.org:", b"example.org:0", b":443", b"a:b:443"])
def test_connect_needs_host_and_port(target: bytes) -> None:
    assert 400 == status_of(b"CONNECT " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n")


@pytest.mark.parametrize("framing", [b"Transfer-Encoding: chunked", b"Content-Length: 5"])
def test_connect_has_no_body(framing: bytes) -> None:
    assert 400 == status_of(CONNECT + framing + b"\r\n\r\nhello")


def test_connect_may_say_that_it_has_no_body() -> None:
    handshake = HttpHandshake(OPEN)
    handshake.hear(CONNECT + b"Content-Length: 0\r\n\r\nearly")

    assert b"early" == handshake.connected()[1]


def test_a_request_with_two_lengths_is_a_bad_request() -> None:
    """A website that believes the other one would take the body's end for another request."""
    lengths = b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"

    assert 400 == status_of(GET.replace(b"GET", b"POST") + lengths + b"\r\n0\r\n\r\n")


def test_a_head_without_end_is_no_request() -> None:
    assert 431 == status_of(CONNECT + b"X-Long: " + 70_000 * b"x")


@given(st.binary(min_size=1, max_size=300))
def test_whatever_comes_there_is_no_error(data: bytes) -> None:
    handshake = HttpHandshake(OPEN)
    outcome = handshake.hear(data).outcome
    if isinstance(outcome, Failure):
        assert handshake.failed(outcome).startswith(b"HTTP/1.1 4")


def test_what_a_program_sends_before_it_is_connected_is_kept() -> None:
    handshake = HttpHandshake(OPEN)
    handshake.hear(CONNECT + END + b"early")
    reply, early = handshake.connected()

    assert (b"HTTP/1.1 200 Connected\r\n\r\n", b"early") == (reply, early)


def test_a_guarded_proxy_asks_for_its_password() -> None:
    handshake = HttpHandshake(GUARDED)
    outcome = handshake.hear(CONNECT + END).outcome
    assert isinstance(outcome, Failure)
    reply = handshake.failed(outcome)

    assert reply.startswith(b"HTTP/1.1 407 ")
    assert b'Proxy-Authenticate: Basic realm="onionpath"' in reply
    assert 407 == status_of(CONNECT + authorization("a", "Secret") + END, GUARDED)
    assert 407 == status_of(CONNECT + b"Proxy-Authorization: Basic !\r\n" + END, GUARDED)
    right = CONNECT + authorization(DEFAULT_USER, "secret") + END
    assert Wanted("example.org", 443, None) == outcome_of(right, GUARDED)


def test_a_user_name_makes_paths_of_its_own() -> None:
    outcomes = [outcome_of(CONNECT + authorization(user, "secret") + END, GUARDED) for user in ("a", "b")]

    assert 2 == len({each.isolation for each in outcomes if isinstance(each, Wanted)} - {None})


def test_a_refusal_says_what_to_do() -> None:
    handshake = HttpHandshake(OPEN)
    outcome = handshake.hear(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").outcome
    assert isinstance(outcome, Failure)

    assert b"http://HOST:PORT" in handshake.failed(outcome)


# One request and its response.

GET = b"GET http://example.org/a?b HTTP/1.1\r\nHost: other.org\r\nAccept: */*\r\n"


def errand(request: bytes) -> Errand:
    handshake = HttpHandshake(OPEN)
    handshake.hear(request)
    assert handshake.by_url is not None
    return Errand(handshake.connection, handshake.by_url)


def test_a_website_gets_what_it_would_get_without_a_proxy() -> None:
    hop = b"Proxy-Connection: keep-alive\r\nConnection: X-Ours\r\nX-Ours: 1\r\n" + authorization("a", "b")

    assert (
        b"GET /a?b HTTP/1.1\r\nHost: example.org\r\naccept: */*\r\nConnection: close\r\n\r\n".lower()
        == errand(GET + hop + END).begin().lower()
    )


@pytest.mark.parametrize(
    ("url", "target"),
    [
        (b"http://a", b"/"),
        (b"http://a?b/c", b"/?b/c"),
        (b"http://a/b#c", b"/b"),
        (b"http://a#c", b"/"),
        (b"http://a#c/d?e", b"/"),
        (b"http://a?b#c/d", b"/?b"),
    ],
)
def test_every_url_has_a_target(url: bytes, target: bytes) -> None:
    begun = errand(b"GET " + url + b" HTTP/1.1\r\nHost: a\r\n\r\n").begin()

    assert target == begun.split()[1]
    assert b"Host: a\r\n" in begun


def test_nothing_that_comes_after_the_request_reaches_its_website() -> None:
    """The next request may be for another website, or hold what is meant for it."""
    one = errand(GET + END + GET.replace(b"/a?b", b"/secret") + END)

    assert b"secret" not in one.begin() + one.from_program(b"secret")


def test_a_body_is_carried_as_it_comes() -> None:
    one = errand(GET.replace(b"GET", b"POST") + b"Content-Length: 6\r\n\r\nabc")

    assert one.begin().endswith(b"\r\n\r\nabc")
    assert (b"def", b"") == (one.from_program(b"def"), one.from_program(b"ghi"))


@pytest.mark.parametrize(
    ("framing", "body"),
    [(b"Content-Length: 5", b"hello"), (b"Transfer-Encoding: chunked", b"5\r\nhello\r\n0\r\n\r\n")],
)
def test_no_header_names_the_bodys_length_a_matter_of_one_connection(framing: bytes, body: bytes) -> None:
    named = b"Connection: content-length, transfer-encoding, host\r\n"
    begun = errand(GET.replace(b"GET", b"POST") + named + framing + END + END + body).begin()

    assert framing.lower() in begun.lower()
    assert b"Host: example.org\r\n" in begun
    assert begun.endswith(b"\r\n\r\n" + body)


def test_a_response_that_calls_its_length_a_matter_of_the_connection_keeps_it() -> None:
    one = errand(GET + END)
    one.begin()
    answer = one.from_website(b"HTTP/1.1 200 OK\r\nConnection: content-length\r\nContent-Length: 2\r\n\r\nhi")

    assert b"content-length: 2\r\n" in answer.lower()


def test_a_response_closes_the_connection_and_ends_once() -> None:
    one = errand(GET + END)
    one.begin()
    answer = one.from_website(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nhi")

    assert answer.endswith(b"\r\nConnection: close\r\n\r\nhi")
    assert b"keep-alive" not in answer
    assert one.is_over


def test_a_response_without_a_length_ends_with_the_connection() -> None:
    one = errand(GET + END)
    one.begin()
    assert b"hi" in one.from_website(b"HTTP/1.1 200 OK\r\n\r\nhi")
    assert not one.is_over
    one.from_website(b"")

    assert one.is_over


@pytest.mark.parametrize(
    "broken",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhi",
    ],
)
def test_a_response_that_is_cut_off_never_looks_whole(broken: bytes) -> None:
    one = errand(GET + END)
    one.begin()
    one.from_website(broken)
    with pytest.raises(WebsiteError):
        one.from_website(b"")

    assert not one.is_over


def test_what_is_no_http_is_the_websites_fault() -> None:
    one = errand(GET + END)
    one.begin()
    with pytest.raises(WebsiteError):
        one.from_website(b"SSH-2.0\r\n\r\n")


def test_a_program_that_breaks_the_rules_is_told_apart_from_a_website() -> None:
    one = errand(GET.replace(b"GET", b"POST") + b"Transfer-Encoding: chunked\r\n\r\n")
    one.begin()
    with pytest.raises(h11.RemoteProtocolError):
        one.from_program(b"no length\r\n")
