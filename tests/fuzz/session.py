"""What clients, relays and servers of Session's format send each other, as functions for ``targets``.

JSON may be laid out in many ways, so what is read must survive one writing of ours instead of being what was written.
"""

from __future__ import annotations

import hashlib
from random import Random

from onionpath.crypto.identity import IdentityKey
from onionpath.crypto.session_channels import Cipher, SessionPrivateKey
from onionpath.errors import MalformedError
from onionpath.lsrpc.translation import from_http, to_http
from onionpath.ohttp.messages import HttpResponse
from onionpath.onion.session import SessionOnion
from onionpath.onion.session_bencode import decode_dict, decode_list, encode_dict, encode_list
from onionpath.onion.session_framing import encode_framing
from onionpath.onion.session_lsrpc import LsrpcServer
from onionpath.onion.session_messages import (
    decode_hop_message,
    decode_post,
    encode_hop_message,
    encode_post,
)
from onionpath.onion.session_packets import (
    ReplyForm,
    ServerCall,
    SessionCall,
    SessionHop,
    SessionHopKey,
    SessionOpener,
    SessionPacket,
)
from onionpath.onion.session_refusals import read_hint, refuse
from onionpath.onion.session_server import open_posted
from onionpath.onion.session_v4 import (
    V4Request,
    decode_v4_request,
    decode_v4_response,
    encode_v4_request,
    encode_v4_response,
)

ONION = SessionOnion(max_size=65_536)


def _key(name: bytes) -> SessionHopKey:
    identity = IdentityKey(hashlib.sha256(name + b" identity").digest())
    return SessionHopKey(identity.relay_id, SessionPrivateKey(hashlib.sha256(name).digest()))


KEY, NEXT, SERVER = _key(b"fuzzed session relay"), _key(b"next session relay"), _key(b"session server")
HOPS = [SessionHop(each.relay_id, each.private.public) for each in (KEY, NEXT)]
PACKET = ONION.wrap(HOPS, SessionCall(b"call"), entropy=Random(1).randbytes).packet
EPHEMERAL = SessionPrivateKey(hashlib.sha256(b"session client").digest())
SECRET = EPHEMERAL.secret_to(KEY.private.public, Cipher.AES_GCM)
OPENER = SessionOpener(SECRET, ReplyForm.TEXT, is_base64=False)


def post(data: bytes) -> None:
    """What anybody can post to a relay."""
    read = decode_post(data, max_size=65_536)
    if decode_post(encode_post(read)) != read:
        raise AssertionError("a posted packet changes when it is written")


def hop_message(data: bytes) -> None:
    read = decode_hop_message(data, max_size=65_536)
    if decode_hop_message(encode_hop_message(read)) != read:
        raise AssertionError("a hop message changes when it is written")


def layer(data: bytes) -> None:
    """A sealed layer for us."""
    ONION.peel(PACKET._replace(layer=data), KEY)


def layer_plain(data: bytes) -> None:
    """What a dishonest client could put into a seal that opens."""
    sealed = SECRET.seal(data, entropy=Random(0).randbytes)
    ONION.peel(SessionPacket(EPHEMERAL.public, Cipher.AES_GCM, sealed), KEY)


def reply_plain(data: bytes) -> None:
    """What the relay that was asked could put into its reply."""
    ONION.open_reply(OPENER, SECRET.seal(data, entropy=Random(0).randbytes))


def posted(data: bytes) -> None:
    """What anybody can post to a server."""
    decode_v4_request(open_posted(data, SERVER.private, max_size=65_536).plaintext)


def server_plain(data: bytes) -> None:
    """What a dishonest client could put into a seal for a server; the app behind it reads HTTP."""
    request = to_http(decode_v4_request(data), scheme=b"http", host=b"example.org")
    from_http(HttpResponse(200, request.fields, request.body))


def v4_request(data: bytes) -> None:
    read = decode_v4_request(data)
    if decode_v4_request(encode_v4_request(read)) != read:
        raise AssertionError("a v4 request changes when it is written")


def v4_response(data: bytes) -> None:
    read = decode_v4_response(data)
    if decode_v4_response(encode_v4_response(read)) != read:
        raise AssertionError("a v4 response changes when it is written")


def bencode(data: bytes) -> bytes:
    if data.startswith(b"l"):
        return encode_list(decode_list(data, at_most=8))
    return encode_dict(decode_dict(data, at_most=8))


def hint(data: bytes) -> None:
    """A status in two bytes, and what the first relay says with it."""
    read = read_hint(int.from_bytes(data[:2], "big"), data[2:])
    if read is None:
        raise MalformedError("an answer that we don't know")
    if read.named is None and "{}" in read.refusal.text:
        return  # Only the original says this without a name.
    answer = refuse(read.refusal, named=read.named)
    if read_hint(answer.status, answer.body) != read:
        raise AssertionError("a hint changes when it is written")


def inputs() -> dict[str, dict[str, bytes]]:
    """The corpus of these targets."""
    request = V4Request("POST", "/room/a", {"a": "b"}, b"body")
    call = ServerCall(LsrpcServer("example.org"), SERVER.private.public, request)
    exit_packet = ONION.wrap(HOPS[:1], call, entropy=Random(2).randbytes).packet
    to_server = KEY.private.secret_from(exit_packet.ephemeral, exit_packet.cipher).open(exit_packet.layer)
    key = EPHEMERAL.public.encoded.hex()
    to_relay = {"destination": NEXT.relay_id.hex(), "ephemeral_key": key}
    message = encode_hop_message(PACKET._replace(depth=1))
    named = (502).to_bytes(2, "big") + b"Next node not found: " + NEXT.relay_id.hex().encode()
    v4_head = b'{"code":200,"headers":{"a":"b"}}'
    return {
        "session-post": {
            "good": encode_post(PACKET),
            "good-depth": encode_post(PACKET._replace(depth=4)),
            "bad-cipher": encode_framing(b"layer", {"ephemeral_key": key, "enc_type": "aes-cbc"}),
            "bad-key-twice": b'\0\0\0\0{"ephemeral_key":"","ephemeral_key":""}',
            "bad-surrogate": b'\0\0\0\0{"\\ud800":1}',
            "bad-length": b"\xff" * 4 + b"{}",
        },
        "session-hop-message": {
            "good": message,
            "bad-order": message.replace(b"6:hop_no", b"6:aop_no"),
            "bad-nested": b"d4:data" + b"l" * 999,
        },
        "session-layer": {"good": PACKET.layer, "bad-tag": PACKET.layer[:-1] + b"\0"},
        "session-layer-plain": {
            "good-call": encode_framing(b"call", {"headers": "", "json": True, "base64": False}),
            "good-to-a-relay": encode_framing(b"layer", to_relay),
            "good-to-a-server": to_server,
            "bad-two-instructions": encode_framing(b"layer", {**to_relay, "headers": ""}),
            "bad-loop": encode_framing(b"layer", {**to_relay, "destination": KEY.relay_id.hex()}),
            "bad-target": to_server.replace(b"/oxen/v4/", b"/oxen/../"),
            "bad-deep": b"\0\0\0\0" + b'{"headers":' + b"[" * 2000,
        },
        "session-reply-plain": {
            "good": b'{"body":"{\\"t\\":1}","status":200}',
            "bad-status": b'{"body":"","status":1000}',
            "bad-nested": b'{"body":' + b"[" * 5000,
        },
        "session-posted": {
            "good": to_server,
            "bad-tag": to_server.replace(to_server[50:52], bytes(2)),
            "bad-instruction": encode_framing(b"call", {"headers": ""}),
        },
        "session-server-plain": {
            "good": encode_v4_request(request),
            "bad-fragment": encode_v4_request(V4Request("GET", "/#a")),
            "bad-header-twice": encode_v4_request(V4Request("GET", "/", {"a": "", "A": ""})),
            "bad-header-not-latin-1": encode_v4_request(V4Request("GET", "/", {"a": "\u20ac"})),
            "bad-upgrade": encode_v4_request(V4Request("GET", "/", {"Upgrade": "h2c"})),
        },
        "session-v4-request": {
            "good": encode_v4_request(request),
            "good-no-body": b'l31:{"method":"GET","endpoint":"/"}e',
            "bad-method": b'l31:{"method":"get","endpoint":"/"}e',
            "bad-surrogate": encode_list([b'{"method":"GET","endpoint":"/","headers":{"a":"\\ud800"}}']),
        },
        "session-v4-response": {
            "good": encode_list([v4_head, b"body"]),
            "bad-no-body": encode_list([v4_head]),
            "bad-code": encode_list([v4_head.replace(b"200", b"999"), b""]),
        },
        "session-bencode": {
            "good-list": b"l0:4:bodye",
            "good-dict": b"d1:ai-1e1:b0:e",
            "bad-order": b"d1:b0:1:a0:e",
            "bad-zero": b"l01:ae",
        },
        "session-hint": {
            "good": (400).to_bytes(2, "big") + b"Invalid ciphertext",
            "good-named": named,
            "bad-named": named[:-1],
        },
    }
