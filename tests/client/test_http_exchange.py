"""The HTTP to a Session node, without a socket: however a response is cut, it is whole or refused."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onionpath.client.http_exchange import HttpExchange, HttpResponse
from onionpath.errors import MalformedError
from onionpath.onion.session_http import MAX_BODY_SIZE

WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"


def asked() -> HttpExchange:
    exchange = HttpExchange("192.0.2.1:22021")
    exchange.ask(b"an onion")
    return exchange


def read(response: bytes, *, cuts: list[int]) -> list[HttpResponse]:
    exchange, read = asked(), []
    edges = [0, *sorted(cut % len(response) for cut in cuts), len(response)]
    for begin, end in pairwise(edges):
        if begin < end and (whole := exchange.receive(response[begin:end])):
            read.append(whole)
    return read


@pytest.mark.parametrize("response", [WHOLE, CHUNKED, b"HTTP/1.1 100 Continue\r\n\r\n" + WHOLE])
@given(cuts=st.lists(st.integers(0, 200), max_size=6))
def test_a_response_is_read_however_it_is_cut(response: bytes, cuts: list[int]) -> None:
    assert [HttpResponse(200, b"hello")] == read(response, cuts=cuts)


def test_the_end_of_the_connection_ends_a_response_without_a_length() -> None:
    exchange = asked()

    assert exchange.receive(b"HTTP/1.1 200 OK\r\n\r\nhello") is None
    assert HttpResponse(200, b"hello") == exchange.receive(b"")


def test_a_node_announces_a_response_only_so_often() -> None:
    assert asked().receive(b"HTTP/1.1 100 Continue\r\n\r\n" * 256) is None

    with pytest.raises(MalformedError, match="does not come"):
        asked().receive(b"HTTP/1.1 100 Continue\r\n\r\n" * 257)


def test_a_connection_is_free_for_another_request_after_a_whole_response() -> None:
    exchange = asked()
    assert not exchange.is_idle

    exchange.receive(WHOLE)
    assert exchange.is_idle
    assert exchange.ask(b"another").endswith(b"another")
    assert HttpResponse(200, b"hello") == exchange.receive(WHOLE)


def test_a_node_that_wants_to_close_is_asked_no_more() -> None:
    exchange = asked()
    exchange.receive(WHOLE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))

    assert not exchange.is_idle


@pytest.mark.parametrize(
    "response",
    [
        b"SSH-2.0-nothing\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 20_000,
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    ],
)
def test_what_is_no_response_is_refused(response: bytes) -> None:
    with pytest.raises(MalformedError):
        asked().receive(response)


def test_an_end_before_the_end_is_refused() -> None:
    exchange = asked()
    exchange.receive(WHOLE[:-1])
    with pytest.raises(MalformedError):
        exchange.receive(b"")


@pytest.mark.parametrize(("size", "is_read"), [(MAX_BODY_SIZE, True), (MAX_BODY_SIZE + 1, False)])
def test_a_response_has_ten_mebibytes_and_no_byte_more(size: int, is_read: bool) -> None:
    exchange = asked()
    exchange.receive(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
    if is_read:
        response = exchange.receive(bytes(size))
        assert response is not None
        assert size == len(response.body)
    else:
        with pytest.raises(MalformedError):
            exchange.receive(bytes(size))


def test_a_response_in_crumbs_is_refused_before_it_costs_much() -> None:
    exchange = asked()
    exchange.receive(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    with pytest.raises(MalformedError, match="too small parts"):
        exchange.receive(b"1\r\nx\r\n" * 1_000)


def test_a_response_that_nobody_asked_for_is_refused() -> None:
    with pytest.raises(MalformedError, match="nobody has asked"):
        HttpExchange("192.0.2.1:22021").receive(WHOLE)


def test_nothing_is_asked_over_a_connection_on_which_another_response_waits() -> None:
    exchange = asked()

    assert HttpResponse(200, b"hello") == exchange.receive(WHOLE + WHOLE)
    assert not exchange.is_idle
