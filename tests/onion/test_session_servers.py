"""Requests to servers with a key of their own: where they may go, what they say, and who reads the response."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onionpath.crypto.session_channels import Cipher, SessionPrivateKey
from onionpath.errors import BadLayerError, MalformedError, UsageError
from onionpath.onion.session_bencode import encode_list
from onionpath.onion.session_framing import encode_framing
from onionpath.onion.session_lsrpc import LsrpcServer
from onionpath.onion.session_packets import ForwardToServer, ServerCall, SessionReply, SessionWrapped
from onionpath.onion.session_server import open_posted
from onionpath.onion.session_v4 import (
    V4Request,
    V4Response,
    decode_v4_request,
    decode_v4_response,
    encode_v4_request,
    encode_v4_response,
)
from tests.onion.session_paths import ONION, entropy, hops_of, peel_fields, walk

SERVER = SessionPrivateKey.generate(entropy(50))
KEY = SERVER.public.encoded.hex()
ROOMS = LsrpcServer("open.example.org", 8080, "/oxen/v4/lsrpc", "http")
REQUEST = V4Request("POST", "/room/a?since=3", {"Content-Type": "application/json"}, b'{"text":"hello"}')
NAMES = st.text("abcXYZ-", min_size=1, max_size=9)
HEADERS = st.dictionaries(
    NAMES, st.text(st.characters(exclude_characters="\0\r\n", codec="utf-8"), max_size=9)
)


def wrap(request: V4Request = REQUEST, cipher: Cipher = Cipher.XCHACHA20) -> SessionWrapped:
    call = ServerCall(ROOMS, SERVER.public, request, cipher)
    return ONION.wrap(hops_of(range(3)), call, entropy=entropy(1))


def posted(wrapped: SessionWrapped) -> ForwardToServer:
    last = walk(wrapped.packet).peeled[-1]
    assert isinstance(last, ForwardToServer)
    return last


@pytest.mark.parametrize("cipher", Cipher)
def test_a_request_reaches_the_server_and_only_the_client_reads_the_response(cipher: Cipher) -> None:
    wrapped = wrap(cipher=cipher)
    forward = posted(wrapped)
    opened = open_posted(forward.posted, SERVER)
    response = V4Response(404, {"content-type": "text/plain"}, b"no such room")
    reply = ONION.seal_reply(opened.reply_key, response, entropy=entropy(2))

    assert (ROOMS, REQUEST) == (forward.server, decode_v4_request(opened.plaintext))
    assert response == ONION.open_reply(wrapped.opener, reply)
    assert b"no such room" not in reply
    assert b"hello" not in forward.posted


def test_another_servers_key_opens_nothing() -> None:
    with pytest.raises(BadLayerError):
        open_posted(posted(wrap()).posted, SessionPrivateKey.generate(entropy(51)))


def test_a_servers_layer_counts_as_one_of_five() -> None:
    call = ServerCall(ROOMS, SERVER.public, REQUEST)
    assert ONION.wrap(hops_of(range(4)), call, entropy=entropy(1))

    with pytest.raises(UsageError, match="6"):
        ONION.wrap(hops_of(range(5)), call, entropy=entropy(1))


def test_a_server_answers_with_a_response_and_nothing_else() -> None:
    opened = open_posted(posted(wrap()).posted, SERVER)

    with pytest.raises(UsageError):
        ONION.seal_reply(opened.reply_key, SessionReply(200, b""), entropy=entropy(2))


def test_what_is_posted_has_a_longest_length() -> None:
    layer = posted(wrap()).posted
    assert open_posted(layer, SERVER, max_size=len(layer))

    with pytest.raises(MalformedError):
        open_posted(layer, SERVER, max_size=len(layer) - 1)


def test_a_layer_that_names_no_server_is_not_posted_to_one() -> None:
    with pytest.raises(MalformedError, match="server"):
        open_posted(encode_framing(b"call", {"headers": ""}), SERVER)


def test_neither_an_address_nor_a_message_shows_itself() -> None:
    """Nobody's log should hold where somebody's request went."""
    for each in (ROOMS, REQUEST, V4Response(200, {"a": "room"}, b"room"), posted(wrap())):
        assert not [word for word in ("example", "room", "hello", "lsrpc") if word in repr(each)]


@pytest.mark.parametrize(
    "host", ["example.org", "localhost", "a-b.c1", "xn--bcher-kva.example", "192.0.2.7", "1.example"]
)
def test_a_plain_host_is_allowed(host: str) -> None:
    assert host == LsrpcServer(host).host


def test_a_host_that_somebody_typed_in_capitals_is_the_same_host() -> None:
    peeled = peel_fields({"host": "Open.Example.ORG", "target": "/oxen/v4/lsrpc", "ephemeral_key": KEY})

    assert isinstance(peeled, ForwardToServer)
    assert LsrpcServer("open.example.org") == peeled.server


@pytest.mark.parametrize(
    "host",
    [
        "", ".", "example.org.", "example..org", ".example.org", "-a.org", "a-.org", "a_b.org", "example.org:80",
        "user@example.org", "example.org/x", "example.org#", "exa mple.org", "example.org\n", "[::1]", "::1",
        "127.1", "2130706433", "0x7f.0.0.1", "0177.0.0.1", "127.0.0.01", "1.2.3.4.5", "a" * 64 + ".org",
        "b\u00fccher.example", "example\u3002org", "\uff11.1.1.1", "EXAMPLE.org", "a." * 126 + "org", "%65xample.org",
    ],
)  # fmt: skip
def test_a_host_that_somebody_could_read_otherwise_is_refused(host: str) -> None:
    with pytest.raises(MalformedError):
        LsrpcServer(host)


@pytest.mark.parametrize(
    "target",
    ["", "/", "/oxen/v4/lsrpc/", "/oxen/v4/lsrpc?", "/oxen/v4/lsrpc?a", "/oxen/v4/lsrpc#a", "/oxen/v4/../lsrpc",
     "/oxen/%2e%2e/lsrpc", "/oxen//lsrpc", "/oxen/v0/lsrpc", "/oxen/v10/lsrpc", "/OXEN/v4/lsrpc", "oxen/v4/lsrpc",
     "/oxen/v4/lsrpc\n", "/oxen/v\u0664/lsrpc", "//evil/oxen/v4/lsrpc", "/other/v4/lsrpc", "/oxen/v4\\lsrpc"],
)  # fmt: skip
def test_a_target_that_is_not_one_of_sessions_is_refused(target: str) -> None:
    with pytest.raises(MalformedError):
        LsrpcServer("example.org", target=target)


@pytest.mark.parametrize(
    ("port", "protocol"), [(0, "http"), (65_536, "https"), (80, "HTTP"), (80, "ftp"), (-1, "http")]
)
def test_another_port_or_protocol_is_refused(port: int, protocol: str) -> None:
    with pytest.raises(MalformedError):
        LsrpcServer("example.org", port, protocol=protocol)


@settings(max_examples=50)
@given(headers=HEADERS, body=st.none() | st.binary(max_size=50))
def test_a_request_reads_as_it_was_written(headers: dict[str, str], body: bytes | None) -> None:
    request = V4Request("PUT", "/a", headers, body)

    assert request == decode_v4_request(encode_v4_request(request))


@settings(max_examples=50)
@given(status=st.integers(100, 599), headers=HEADERS, body=st.binary(max_size=50))
def test_a_response_reads_as_it_was_written(status: int, headers: dict[str, str], body: bytes) -> None:
    response = V4Response(status, headers, body)

    assert response == decode_v4_response(encode_v4_response(response))


def test_no_body_is_not_an_empty_one() -> None:
    without, empty = (encode_v4_request(V4Request("GET", "/", {}, body)) for body in (None, b""))

    assert b'l44:{"method":"GET","endpoint":"/","headers":{}}e' == without
    assert without[:-1] + b"0:e" == empty


BAD_HEADS = {
    "no method": b'{"endpoint":"/"}',
    "no endpoint": b'{"method":"GET"}',
    "a method in small letters": b'{"method":"get","endpoint":"/"}',
    "a long method": b'{"method":"' + b"G" * 17 + b'","endpoint":"/"}',
    "an endpoint of another host": b'{"method":"GET","endpoint":"http://a/"}',
    "an endpoint with a line's end": b'{"method":"GET","endpoint":"/\\r\\nHost: a"}',
    "an endpoint with a space": b'{"method":"GET","endpoint":"/ HTTP/1.1"}',
    "a header with a line's end": b'{"method":"GET","endpoint":"/","headers":{"a":"b\\nc: d"}}',
    "a header's name with a space": b'{"method":"GET","endpoint":"/","headers":{"a b":""}}',
    "a header that is a number": b'{"method":"GET","endpoint":"/","headers":{"a":1}}',
    "half a surrogate pair": b'{"method":"GET","endpoint":"/","headers":{"a":"\\ud800"}}',
    "headers that repeat": b'{"method":"GET","endpoint":"/","headers":{"a":"","a":""}}',
    "headers in a list": b'{"method":"GET","endpoint":"/","headers":[]}',
    "an unknown key": b'{"method":"GET","endpoint":"/","body":""}',
    "no JSON": b"GET /",
    "deep JSON": b'{"method":' + b"[" * 10_000,
    "long JSON": b'{"method":"GET","endpoint":"/' + b"a" * 16_384 + b'"}',
}


@pytest.mark.parametrize("head", BAD_HEADS.values(), ids=BAD_HEADS.keys())
def test_a_requests_head_with_one_defect_is_refused(head: bytes) -> None:
    with pytest.raises(MalformedError):
        decode_v4_request(encode_list([head]))


@pytest.mark.parametrize("items", [[], [b'{"method":"GET","endpoint":"/"}', b"", b""]], ids=len)
def test_a_request_of_another_length_is_refused(items: list[bytes]) -> None:
    with pytest.raises(MalformedError):
        decode_v4_request(encode_list(items))


@pytest.mark.parametrize(
    "items",
    [[], [b'{"code":200}'], [b'{"code":99}', b""], [b'{"code":600}', b""], [b'{"code":"200"}', b""], [b"{}", b""]],
)  # fmt: skip
def test_a_response_with_one_defect_is_refused(items: list[bytes]) -> None:
    with pytest.raises(MalformedError):
        decode_v4_response(encode_list(items))


def test_a_message_has_at_most_64_headers() -> None:
    assert V4Response(200, {f"h{number}": "" for number in range(64)})

    with pytest.raises(MalformedError):
        V4Response(200, {f"h{number}": "" for number in range(65)})
