"""Bencode as Session's onions use it: two flat shapes, and one encoding for each value."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onionpath.errors import MalformedError
from onionpath.onion.session_bencode import decode_dict, decode_list, encode_dict, encode_list
from onionpath.onion.session_messages import decode_hop_message, encode_hop_message
from tests.onion.session_paths import wrap

NUMBERS = st.integers(-(10**18) + 1, 10**18 - 1)


@given(items=st.lists(st.binary(max_size=30), max_size=5))
def test_a_list_reads_as_it_was_written(items: list[bytes]) -> None:
    assert items == decode_list(encode_list(items), at_most=5)


@given(items=st.dictionaries(st.binary(max_size=9), st.binary(max_size=30) | NUMBERS, max_size=5))
def test_a_dict_reads_as_it_was_written(items: dict[bytes, bytes | int]) -> None:
    assert items == decode_dict(encode_dict(items), at_most=5)


@given(
    data=st.lists(st.sampled_from([b"l", b"d", b"e", b"i1e", b"1:a", b"0:", b"-", b"0", b":"])).map(b"".join)
)
def test_whatever_is_read_is_what_we_would_write(data: bytes) -> None:
    try:
        assert data == encode_list(decode_list(data, at_most=9))
    except MalformedError:
        pass
    try:
        assert data == encode_dict(decode_dict(data, at_most=9))
    except MalformedError:
        pass


BAD_LISTS = {
    "nothing": b"",
    "not closed": b"l1:a",
    "closed twice": b"l1:aee",
    "trailing byte": b"l1:aex",
    "a dict": b"d1:a1:be",
    "a nested list": b"ll1:aee",
    "an integer": b"li1ee",
    "a length with a zero before it": b"l01:ae",
    "a length with a sign": b"l+1:ae",
    "a length beyond the end": b"l9:ae",
    "a length that takes the end": b"l2:ae",
    "a length of ten digits": b"l0000000001:ae",
    "a length in other digits": "l\u0661:ae".encode(),
    "one item too many": b"l1:a1:b1:ce",
    "a hundred thousand lists": b"l" * 100_000 + b"e" * 100_000,
}


@pytest.mark.parametrize("data", BAD_LISTS.values(), ids=BAD_LISTS.keys())
def test_a_list_with_one_defect_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedError):
        decode_list(data, at_most=2)


BAD_DICTS = {
    "a list": b"l1:a1:be",
    "a key without a value": b"d1:ae",
    "a key that is an integer": b"di1e1:ae",
    "keys that don't ascend": b"d1:b1:x1:a1:xe",
    "a key that repeats": b"d1:a1:x1:a1:xe",
    "a value that nests": b"d1:ad1:a1:bee",
    "an integer with a zero before it": b"d1:ai01ee",
    "minus zero": b"d1:ai-0ee",
    "a plus": b"d1:ai+1ee",
    "an integer without digits": b"d1:aiee",
    "an integer of 5,000 digits": b"d1:ai" + b"9" * 5000 + b"ee",
    "one pair too many": b"d1:a0:1:b0:1:c0:e",
}


@pytest.mark.parametrize("data", BAD_DICTS.values(), ids=BAD_DICTS.keys())
def test_a_dict_with_one_defect_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedError):
        decode_dict(data, at_most=2)


def test_a_hop_message_reads_as_it_was_written() -> None:
    packet = wrap().packet._replace(depth=2)

    assert packet == decode_hop_message(encode_hop_message(packet))


KEY = wrap().packet.ephemeral.encoded
GOOD: dict[bytes, bytes | int] = {
    b"data": b"layer",
    b"enc_type": b"xchacha20",
    b"ephemeral_key": KEY,
    b"hop_no": 1,
}


def test_a_hop_message_without_a_cipher_is_aes_gcm() -> None:
    without = {key: value for key, value in GOOD.items() if key != b"enc_type"}

    assert "aes-gcm" == decode_hop_message(encode_dict(without)).cipher.value


BAD_MESSAGES: dict[str, dict[bytes, bytes | int]] = {
    "no depth": {key: value for key, value in GOOD.items() if key != b"hop_no"},
    "no layer": {key: value for key, value in GOOD.items() if key != b"data"},
    "no ephemeral key": {key: value for key, value in GOOD.items() if key != b"ephemeral_key"},
    "an unknown key": {key: value for key, value in GOOD.items() if key != b"enc_type"} | {b"z": b""},
    "the depth of a client": {**GOOD, b"hop_no": 0},
    "a depth in text": {**GOOD, b"hop_no": b"1"},
    "a layer that is a number": {**GOOD, b"data": 1},
    "a cipher that is a number": {**GOOD, b"enc_type": 1},
    "aes-cbc": {**GOOD, b"enc_type": b"aes-cbc"},
    "a cipher's name in other letters": {**GOOD, b"enc_type": "\uff41es-gcm".encode()},
    "a cipher's name in no text": {**GOOD, b"enc_type": b"\xff"},
    "a key in hex": {**GOOD, b"ephemeral_key": KEY.hex().encode()},
    "a key of small order": {**GOOD, b"ephemeral_key": bytes(32)},
}


@pytest.mark.parametrize("items", BAD_MESSAGES.values(), ids=BAD_MESSAGES.keys())
def test_a_hop_message_with_one_defect_is_refused(items: dict[bytes, bytes | int]) -> None:
    with pytest.raises(MalformedError):
        decode_hop_message(encode_dict(items))


def test_a_hop_message_has_a_longest_length() -> None:
    message = encode_dict(GOOD)

    assert decode_hop_message(message, max_size=len(message))
    with pytest.raises(MalformedError):
        decode_hop_message(message, max_size=len(message) - 1)
