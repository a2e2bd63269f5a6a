"""v4 messages as HTTP messages and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onionpath.errors import MalformedError
from onionpath.lsrpc.translation import from_http, to_http
from onionpath.ohttp.messages import Fields, HttpResponse
from onionpath.onion.session_v4 import V4Request, V4Response, decode_v4_response, encode_v4_response

NAMES = st.text("abcdefg-", min_size=1, max_size=9)
VALUES = st.text(st.characters(min_codepoint=0x21, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=9)


def fields_of(headers: dict[str, str], body: bytes | None = None) -> Fields:
    return to_http(V4Request("GET", "/", headers, body), scheme=b"http", host=b"h").fields


def test_one_host_is_left_and_it_is_that_of_the_exits_request() -> None:
    assert ((b"host", b"h"), (b"a", b"b")) == fields_of({"Host": "localhost", "A": "b"})


def test_without_a_host_there_is_none() -> None:
    assert () == to_http(V4Request("GET", "/"), scheme=b"http", host=b"").fields


def test_the_body_says_its_own_length_whatever_the_client_says() -> None:
    assert ((b"host", b"h"), (b"content-length", b"2")) == fields_of({"Content-Length": "1"}, b"ab")
    assert ((b"host", b"h"), (b"content-length", b"0")) == fields_of({}, b"")
    assert ((b"host", b"h"),) == fields_of({"Content-Length": "1"})


def test_fields_of_a_connection_do_not_go_along() -> None:
    hops = {
        "Connection": "close, X-Hop",
        "x-hop": "1",
        "transfer-encoding": "chunked",
        "expect": "100-continue",
    }

    assert ((b"host", b"h"), (b"kept", b"1")) == fields_of({**hops, "kept": "1"})


@given(headers=st.dictionaries(NAMES, VALUES, max_size=9))
def test_headers_come_back_as_the_client_wrote_them(headers: dict[str, str]) -> None:
    response = from_http(HttpResponse(200, fields_of(headers)[1:]))

    assert headers == decode_v4_response(encode_v4_response(response)).headers


def test_lines_of_one_name_become_one_but_for_cookies() -> None:
    lines = ((b"vary", b"a"), (b"set-cookie", b"a=1"), (b"vary", b"b"), (b"set-cookie", b"b=2, 3"))

    assert {"vary": "a, b", "set-cookie": "b=2, 3"} == from_http(HttpResponse(200, lines)).headers


def test_a_response_does_not_say_its_length() -> None:
    assert V4Response(200, {}, b"ab") == from_http(HttpResponse(200, ((b"content-length", b"2"),), b"ab"))


def test_the_longest_head_is_one_that_clients_read() -> None:
    longest = from_http(HttpResponse(200, ((b"a", b"b" * 16_312),)))
    assert decode_v4_response(encode_v4_response(longest))

    with pytest.raises(MalformedError):
        from_http(HttpResponse(200, ((b"a", b"b" * 16_313),)))
