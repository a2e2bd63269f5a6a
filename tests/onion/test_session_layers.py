"""What a Session layer may say: one instruction, each key once and of its type, at most five layers, no way back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onionpath.crypto.session_channels import Cipher
from onionpath.errors import MalformedError, RefusedError, UsageError
from onionpath.onion.session import SessionOnion
from onionpath.onion.session_framing import MAX_FIELDS_SIZE, decode_framing, encode_framing
from onionpath.onion.session_messages import decode_post, encode_post
from onionpath.onion.session_packets import (
    ForwardToRelay,
    ForwardToServer,
    SessionCall,
    SessionServe,
)
from tests.crypto.bad_keys import BAD_ED25519, BAD_X25519
from tests.onion.session_paths import (
    ONION,
    entropy,
    hop_key,
    hops_of,
    packet_to,
    peel_fields,
    walk,
    wrap,
)

KEY = hop_key(5).private.public.encoded.hex()
ANSWER: dict[str, object] = {"headers": ""}
TO_RELAY: dict[str, object] = {"destination": hop_key(1).relay_id.hex(), "ephemeral_key": KEY}
TO_SERVER: dict[str, object] = {"host": "example.org", "target": "/oxen/v4/lsrpc", "ephemeral_key": KEY}
INSTRUCTIONS = {"answer": ANSWER, "to a relay": TO_RELAY, "to a server": TO_SERVER}


def test_a_missing_cipher_is_aes_gcm_as_desktop_leaves_it_out() -> None:
    peeled = peel_fields(TO_RELAY)

    assert isinstance(peeled, ForwardToRelay)
    assert Cipher.AES_GCM is peeled.packet.cipher
    assert b"blob" == peeled.packet.layer


@pytest.mark.parametrize(
    ("name", "cipher"),
    [("gcm", Cipher.AES_GCM), ("xchacha20-poly1305", Cipher.XCHACHA20), ("xchacha20", Cipher.XCHACHA20)],
)
def test_each_cipher_has_two_names(name: str, cipher: Cipher) -> None:
    peeled = peel_fields({**TO_RELAY, "enc_type": name})

    assert isinstance(peeled, ForwardToRelay)
    assert cipher is peeled.packet.cipher


@pytest.mark.parametrize("name", ["aes-cbc", "cbc", "AES-GCM", "", "none", "aes-gcm ", None, 1])
@pytest.mark.parametrize("instruction", ["to a relay", "to a server"])
def test_aes_cbc_and_every_unknown_cipher_are_refused(instruction: str, name: object) -> None:
    with pytest.raises(MalformedError):
        peel_fields({**INSTRUCTIONS[instruction], "enc_type": name})


@pytest.mark.parametrize("headers", ["", None, {}, [], {"a": "b"}, ["a"], 7])
def test_headers_may_be_anything_because_nobody_reads_them(headers: object) -> None:
    assert isinstance(peel_fields({"headers": headers}), SessionServe)


@pytest.mark.parametrize(
    "pair",
    [("answer", "to a relay"), ("answer", "to a server"), ("to a relay", "to a server")],
    ids=" and ".join,
)
def test_a_layer_with_two_roles_is_refused(pair: tuple[str, str]) -> None:
    """Otherwise two readers could act on one layer differently."""
    with pytest.raises(MalformedError, match="exactly one"):
        peel_fields({**INSTRUCTIONS[pair[0]], **INSTRUCTIONS[pair[1]]})


@pytest.mark.parametrize("fields", [{}, {"ephemeral_key": KEY}, {"json": True}])
def test_a_layer_without_a_role_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(MalformedError, match="exactly one"):
        peel_fields(fields)


@pytest.mark.parametrize("instruction", INSTRUCTIONS)
def test_a_key_that_we_do_not_know_is_refused(instruction: str) -> None:
    with pytest.raises(MalformedError):
        peel_fields({**INSTRUCTIONS[instruction], "new": 1})


@pytest.mark.parametrize(
    ("instruction", "key"),
    [(instruction, key) for instruction in INSTRUCTIONS for key in INSTRUCTIONS[instruction]],
)
def test_a_missing_key_is_refused(instruction: str, key: str) -> None:
    with pytest.raises(MalformedError):
        peel_fields({name: each for name, each in INSTRUCTIONS[instruction].items() if name != key})


@pytest.mark.parametrize(
    ("instruction", "key", "value"),
    [
        ("answer", "json", 1), ("answer", "base64", "true"), ("answer", "body", ""),
        ("to a relay", "destination", 7), ("to a relay", "destination", KEY[:-1]),
        ("to a relay", "destination", KEY[:-2] + " 0"), ("to a relay", "ephemeral_key", KEY + "00"),
        ("to a relay", "ephemeral_key", "0x" + KEY[2:]), ("to a relay", "ephemeral_key", None),
        ("to a server", "port", 0), ("to a server", "port", 65_536), ("to a server", "port", "443"),
        ("to a server", "port", True), ("to a server", "port", 443.0), ("to a server", "port", 10**400),
        ("to a server", "protocol", "HTTPS"), ("to a server", "protocol", "ftp"),
        ("to a server", "method", "GET"), ("to a server", "host", ["example.org"]),
    ],
)  # fmt: skip
def test_a_value_of_another_type_or_outside_of_its_bounds_is_refused(
    instruction: str, key: str, value: object
) -> None:
    with pytest.raises(MalformedError):
        peel_fields({**INSTRUCTIONS[instruction], key: value})


def test_keys_of_small_order_enter_no_layer() -> None:
    for encoded in BAD_ED25519["small order"]:
        with pytest.raises(MalformedError):
            peel_fields({**TO_RELAY, "destination": encoded.hex()})
    for encoded in BAD_X25519["small order"]:
        for instruction in (TO_RELAY, TO_SERVER):
            with pytest.raises(MalformedError):
                peel_fields({**instruction, "ephemeral_key": encoded.hex()})


def test_a_next_relay_of_small_order_is_refused_as_often_as_it_is_named() -> None:
    """Names that were found good are remembered, those that were refused are not."""
    for encoded in BAD_ED25519["small order"] * 2:
        with pytest.raises(MalformedError):
            peel_fields({**TO_RELAY, "destination": encoded.hex()})


def test_a_key_that_stands_twice_is_refused() -> None:
    """One reader takes the first, another the last."""
    twice = b'{"headers":"","json":true,"json":false}'
    with pytest.raises(MalformedError, match="twice"):
        ONION.peel(packet_to(0, b"\0\0\0\0" + twice), hop_key(0))


@pytest.mark.parametrize(
    "text",
    [
        b"", b"{", b"null", b"[]", b'""', b'{"headers":""}x', b'{"headers":""}\0', b'\xef\xbb\xbf{"headers":""}',
        b'{"headers":"\xff"}', b'{"headers":"","\\ud800":1}',
        b"{'headers':''}", b'{"headers":NaN}', b'{"headers":1e5}', b'{"headers":-Infinity}',
        b'{"headers":[[[[[]]]]]}', b'{"headers":' + b"[" * 900 + b"]" * 900 + b"}",
        '{"headers":""}'.encode("utf-16"), b'{"headers":"\n"}',
    ],
)  # fmt: skip
def test_what_is_not_one_flat_object_is_refused(text: bytes) -> None:
    with pytest.raises(MalformedError):
        ONION.peel(packet_to(0, b"\4\0\0\0call" + text), hop_key(0))


def test_the_json_has_a_longest_length() -> None:
    room = MAX_FIELDS_SIZE - len('{"headers":""}')
    assert isinstance(peel_fields({"headers": "x" * room}), SessionServe)

    with pytest.raises(MalformedError):
        peel_fields({"headers": "x" * (room + 1)})


@pytest.mark.parametrize(
    "length", [0, 3, 5, 2**31, 2**32 - 1], ids=["none", "shorter", "longer", "huge", "largest"]
)
def test_a_length_that_is_not_the_blobs_is_refused(length: int) -> None:
    framing = b"blob" + b'{"headers":""}'

    with pytest.raises(MalformedError):
        decode_framing(length.to_bytes(4, "little") + framing)


@given(blob=st.binary(max_size=300), name=st.text(max_size=20), value=st.text(max_size=20))
def test_a_framing_reads_as_it_was_written(blob: bytes, name: str, value: str) -> None:
    fields = {name: value.replace("{", "").replace("[", "")} if "{" not in name and "[" not in name else {}

    assert (blob, fields) == decode_framing(encode_framing(blob, fields))


def test_a_framing_has_a_longest_length() -> None:
    framing = encode_framing(bytes(100), ANSWER)
    assert bytes(100) == decode_framing(framing, max_size=len(framing))[0]

    with pytest.raises(MalformedError):
        decode_framing(framing, max_size=len(framing) - 1)


def test_a_layer_that_leads_back_to_its_relay_is_refused() -> None:
    with pytest.raises(MalformedError, match="back"):
        peel_fields({**TO_RELAY, "destination": hop_key(0).relay_id.hex()})


def test_depth_counts_the_layers_removed() -> None:
    way = walk(wrap(hops=5).packet)

    assert [0, 1, 2, 3, 4] == [each.depth for each in way.packets]


@pytest.mark.parametrize("instruction", ["to a relay", "to a server"])
def test_the_fifth_layer_leads_nowhere(instruction: str) -> None:
    assert isinstance(peel_fields(INSTRUCTIONS[instruction], depth=3), ForwardToRelay | ForwardToServer)
    assert isinstance(peel_fields(ANSWER, depth=4), SessionServe)

    with pytest.raises(MalformedError, match="leads on"):
        peel_fields(INSTRUCTIONS[instruction], depth=4)


def test_a_sixth_layer_is_refused_before_it_is_opened() -> None:
    damaged = packet_to(0, b"", depth=5)._replace(layer=b"")

    with pytest.raises(RefusedError):
        ONION.peel(damaged, hop_key(0))


@pytest.mark.parametrize("value", [-1, True, "0", 2**31, 1.0, None])
def test_a_hop_number_that_no_client_writes_is_refused(value: object) -> None:
    fields = {"ephemeral_key": KEY, "hop_no": value}

    with pytest.raises(MalformedError):
        decode_post(encode_framing(b"layer", fields))


def test_a_posted_packet_says_its_depth_unless_it_is_the_clients() -> None:
    packet = wrap().packet

    assert b"hop_no" not in encode_post(packet)
    assert packet == decode_post(encode_post(packet))
    assert packet._replace(depth=3) == decode_post(encode_post(packet._replace(depth=3)))


def test_the_same_relay_twice_on_a_path_is_the_callers_mistake() -> None:
    with pytest.raises(UsageError, match="twice"):
        ONION.wrap(hops_of([0, 1, 0]), SessionCall(b""), entropy=entropy(0))


def test_a_path_may_mix_ciphers() -> None:
    hops = [*hops_of([0], Cipher.AES_GCM), *hops_of([1]), *hops_of([2], Cipher.AES_GCM)]
    wrapped = ONION.wrap(hops, SessionCall(b"call"), entropy=entropy(0))

    way = walk(wrapped.packet)

    assert [Cipher.AES_GCM, Cipher.XCHACHA20, Cipher.AES_GCM] == [each.cipher for each in way.packets]


def test_a_packet_has_a_longest_length() -> None:
    size = len(encode_post(wrap(hops=2).packet))
    onion = SessionOnion(max_size=size)
    assert onion.wrap(hops_of([0, 1]), SessionCall(b'{"method":"info","params":{}}'), entropy=entropy(0))

    with pytest.raises(UsageError, match=str(size)):
        onion.wrap(hops_of([0, 1]), SessionCall(b'{"method":"info","params":{}} '), entropy=entropy(0))
