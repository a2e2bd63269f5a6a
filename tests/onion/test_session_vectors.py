"""Onions that Session's own code has made: opened, and made again byte for byte from the same randomness."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from onionpath.crypto.identity import RelayId
from onionpath.crypto.session_channels import Cipher, SessionPrivateKey, SessionPublicKey
from onionpath.errors import BadLayerError, MalformedError
from onionpath.injected import Entropy
from onionpath.onion.session import SessionOnion
from onionpath.onion.session_framing import encode_framing
from onionpath.onion.session_lsrpc import LsrpcServer
from onionpath.onion.session_messages import (
    decode_hop_message,
    decode_post,
    encode_hop_message,
    encode_post,
)
from onionpath.onion.session_packets import (
    ForwardToRelay,
    ForwardToServer,
    ReplyForm,
    ServerCall,
    SessionCall,
    SessionHop,
    SessionHopKey,
    SessionOpener,
    SessionPeeled,
    SessionReply,
    SessionServe,
)
from onionpath.onion.session_server import open_posted
from onionpath.onion.session_v4 import V4Request, decode_v4_request

FOLDER = Path(__file__).parents[1] / "vectors" / "session"
ONION = SessionOnion()


def vectors_of(name: str) -> Any:
    return json.loads((FOLDER / name).read_text())["vectors"]


REQUESTS: list[dict[str, Any]] = vectors_of("onion_requests.json")
WITH_CBC = [each for each in REQUESTS if "aes-cbc" in each["enc_type"]]
OPENED = [each for each in REQUESTS if each not in WITH_CBC]
TO_RELAYS = [each for each in OPENED if "response" in each]
TO_SERVERS = [each for each in OPENED if "server" in each]
BY_LIBSESSION = [each for each in TO_RELAYS if each["description"].startswith("libsession")]
ERRORS = vectors_of("onion_errors_and_targets.json")


def name_of(vector: dict[str, Any]) -> str:
    return str(vector["description"])


def drawn(draws: list[dict[str, Any]]) -> Entropy:
    """The recorded randomness, which must be asked for in the recorded pieces."""
    left: Iterator[dict[str, Any]] = iter(draws)

    def entropy(size: int) -> bytes:
        draw = next(left)
        assert draw["n"] == size
        return bytes.fromhex(draw["hex"])

    return entropy


def hop_key(hop: dict[str, str]) -> SessionHopKey:
    return SessionHopKey(
        RelayId(bytes.fromhex(hop["ed25519"])), SessionPrivateKey(bytes.fromhex(hop["x25519_sec"]))
    )


def hops_of(vector: dict[str, Any]) -> list[SessionHop]:
    keys = [hop_key(each) for each in vector["path"]]
    return [SessionHop(each.relay_id, each.private.public, Cipher(vector["enc_type"])) for each in keys]


def peel_all(vector: dict[str, Any]) -> list[SessionPeeled]:
    packet, peeled = decode_post(bytes.fromhex(vector["request"])), []
    for hop in vector["path"]:
        peeled.append(ONION.peel(packet, hop_key(hop)))
        if isinstance(peeled[-1], ForwardToRelay):
            packet = peeled[-1].packet
    return peeled


def test_the_vectors_are_all_here() -> None:
    assert (11, 2, 8, 1, 6) == tuple(map(len, (REQUESTS, WITH_CBC, TO_RELAYS, TO_SERVERS, BY_LIBSESSION)))


@pytest.mark.parametrize("vector", TO_RELAYS, ids=name_of)
def test_each_relay_makes_of_it_what_sessions_own_makes(vector: dict[str, Any]) -> None:
    *forwards, serve = peel_all(vector)

    for layer, after, forward in zip(vector["layers"], vector["path"][1:], forwards, strict=False):
        assert isinstance(forward, ForwardToRelay)
        parsed = layer["parsed"]
        assert parsed["next_node_ed25519"] == forward.next_relay.hex() == after["ed25519"]
        assert parsed["ephemeral_key"] == forward.packet.ephemeral.encoded.hex()
        assert parsed["enc_type"] == forward.packet.cipher.value
        assert parsed["ciphertext"] == forward.packet.layer.hex()
    assert isinstance(serve, SessionServe)
    last = vector["layers"][-1]["parsed"]
    assert last["body"] == serve.body.hex()
    assert (last["json_flag"], last["base64_flag"]) == (
        serve.reply_key.form is ReplyForm.JSON,
        serve.reply_key.wants_base64,
    )


@pytest.mark.parametrize("vector", OPENED, ids=name_of)
def test_what_goes_to_the_next_relay_is_written_as_sessions_own_writes_it(vector: dict[str, Any]) -> None:
    forwards = [each for each in peel_all(vector) if isinstance(each, ForwardToRelay)]
    messages = [bytes.fromhex(each["omq_message_from_previous_hop"]) for each in vector["layers"][1:]]

    assert messages == [encode_hop_message(each.packet) for each in forwards]
    assert [each.packet for each in forwards] == [decode_hop_message(each) for each in messages]


@pytest.mark.parametrize("vector", TO_RELAYS, ids=name_of)
def test_the_same_reply_is_sealed_from_the_same_randomness(vector: dict[str, Any]) -> None:
    serve, response = peel_all(vector)[-1], vector["response"]
    assert isinstance(serve, SessionServe)
    said = json.loads(response["plaintext_text"])
    wants_base64 = serve.reply_key.wants_base64

    sealed = ONION.seal_reply(
        serve.reply_key,
        SessionReply(said["status"], said["body"].encode()),
        entropy=drawn(response["rng"]),
    )

    expected = response["ciphertext_b64"] if wants_base64 else response["ciphertext"]
    assert expected == (sealed.decode() if wants_base64 else sealed.hex())


@pytest.mark.parametrize("vector", TO_RELAYS, ids=name_of)
def test_the_reply_is_opened_with_the_key_of_the_last_layer(vector: dict[str, Any]) -> None:
    last = vector["layers"][-1]
    secret = SessionPrivateKey(bytes.fromhex(vector["final_eph_sec"])).secret_to(
        hop_key(vector["path"][-1]).private.public, Cipher(last["in_enc_type"])
    )
    wants_base64 = last["parsed"]["base64_flag"]
    response = vector["response"]
    reply = response["ciphertext_b64"].encode() if wants_base64 else bytes.fromhex(response["ciphertext"])

    answer = ONION.open_reply(SessionOpener(secret, ReplyForm.TEXT, wants_base64), reply)

    said = json.loads(response["plaintext_text"])
    assert SessionReply(said["status"], said["body"].encode()) == answer


@pytest.mark.parametrize("vector", BY_LIBSESSION, ids=name_of)
def test_the_same_packet_is_wrapped_from_the_same_randomness(vector: dict[str, Any]) -> None:
    call = SessionCall(bytes.fromhex(vector["layers"][-1]["parsed"]["body"]))

    wrapped = ONION.wrap(hops_of(vector), call, entropy=drawn(vector["rng_draws_in_order"]))

    assert vector["request"] == encode_post(wrapped.packet).hex()


@pytest.mark.parametrize("vector", TO_SERVERS, ids=name_of)
def test_the_same_packet_for_a_server_is_wrapped_from_the_same_randomness(vector: dict[str, Any]) -> None:
    request = decode_v4_request(bytes.fromhex(vector["server_decrypt"]["plaintext"]))
    key = SessionPublicKey(bytes.fromhex(vector["server"]["x25519"]))
    call = ServerCall(LsrpcServer("example.org"), key, request)

    wrapped = ONION.wrap(hops_of(vector), call, entropy=drawn(vector["rng_draws_in_order"]))

    assert vector["request"] == encode_post(wrapped.packet).hex()


@pytest.mark.parametrize("vector", TO_SERVERS, ids=name_of)
def test_an_exit_posts_what_sessions_own_posts_and_the_server_reads_it(vector: dict[str, Any]) -> None:
    exit_ = peel_all(vector)[-1]
    assert isinstance(exit_, ForwardToServer)
    assert LsrpcServer("example.org", 443, "/oxen/v4/lsrpc", "https") == exit_.server
    assert vector["server_decrypt"]["posted_body"] == exit_.posted.hex()

    opened = open_posted(exit_.posted, SessionPrivateKey(bytes.fromhex(vector["server"]["x25519_sec"])))

    assert V4Request("GET", "/room/some-room", {"Some-Header": "12345"}) == decode_v4_request(
        opened.plaintext
    )


@pytest.mark.parametrize("vector", WITH_CBC, ids=name_of)
def test_a_path_with_aes_cbc_is_refused_where_it_is_named(vector: dict[str, Any]) -> None:
    """Session's servers still open it; it has no tag."""
    with pytest.raises(MalformedError, match="AES-GCM or XChaCha20"):
        peel_all(vector)


def test_a_flipped_bit_is_refused_as_sessions_own_refuses_it() -> None:
    flipped = ERRORS["errors"][0]
    packet = decode_post(bytes.fromhex(flipped["request"]))
    hop = {"ed25519": REQUESTS[0]["path"][0]["ed25519"], "x25519_sec": flipped["x25519_sec"]}

    with pytest.raises(BadLayerError):
        ONION.peel(packet, hop_key(hop))


def test_a_length_beyond_the_end_is_refused_as_sessions_own_refuses_it() -> None:
    with pytest.raises(MalformedError):
        decode_post(bytes.fromhex(ERRORS["errors"][1]["request"]))


# What the original lets through and we don't: targets without a version, and those that its HTTP library rewrites.
STRICTER = {"/oxen/lsrpc", "/loki/lsrpc", "/oxen/../admin/lsrpc", "/oxen//lsrpc"}


@pytest.mark.parametrize("case", ERRORS["targets"], ids=lambda case: case["target"])
def test_a_target_is_allowed_where_sessions_own_allows_it_but_for_those_named(case: dict[str, Any]) -> None:
    if case["allowed"] and case["target"] not in STRICTER:
        assert case["target"] == LsrpcServer("example.org", target=case["target"]).target
        return
    with pytest.raises(MalformedError):
        LsrpcServer("example.org", target=case["target"])


def test_the_framing_of_a_layer_is_written_as_libsession_writes_it() -> None:
    for vector in BY_LIBSESSION:
        last = vector["layers"][-1]
        blob = bytes.fromhex(last["parsed"]["body"])
        assert last["plaintext"] == encode_framing(blob, {"headers": ""}).hex()
