"""Key configurations, encapsulated requests, and keys in rotation."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onionpath.crypto.oblivious import ObliviousAead, ObliviousPrivateKey
from onionpath.errors import BadLayerError, MalformedError, UsageError
from onionpath.ohttp.encapsulation import REQUEST_OVERHEAD, GatewayKey, GatewayKeys, seal_request
from onionpath.ohttp.keys import KeyConfiguration, decode_key_configurations, encode_key_configurations
from tests.crypto.bad_keys import BAD_X25519
from tests.ohttp.worlds import Drawn, gateway_key, sealed

GOOD = gateway_key().configuration
ENCODED = GOOD.encode()

aead_lists = st.lists(st.sampled_from(list(ObliviousAead)), min_size=1, max_size=5).map(tuple)


def listed(*encoded: bytes) -> bytes:
    return b"".join(len(each).to_bytes(2, "big") + each for each in encoded)


@settings(max_examples=40, deadline=None)
@given(ids=st.sets(st.integers(0, 255), min_size=1, max_size=5), aeads=aead_lists)
def test_configurations_are_read_back(ids: set[int], aeads: tuple[ObliviousAead, ...]) -> None:
    ours = tuple(KeyConfiguration(key_id, GOOD.public, aeads) for key_id in sorted(ids))

    assert ours == decode_key_configurations(encode_key_configurations(ours))


def test_what_we_do_not_speak_is_passed_over() -> None:
    """Otherwise a gateway could never begin with a new KEM or AEAD."""
    other_kem = b"\x02\x64\x7a" + bytes(1216) + b"\0\x04\0\x01\0\x01"
    other_aead = b"\x03\0\x20" + GOOD.public.encoded + b"\0\x04\0\x01\xff\xff"
    mixed = b"\x04\0\x20" + GOOD.public.encoded + b"\0\x0c\0\x02\0\x01\0\x01\0\x03\0\x01\0\x09"

    read = decode_key_configurations(listed(other_kem, other_aead, mixed))

    assert [(4, (ObliviousAead.CHACHA20_POLY1305,))] == [(each.key_id, each.aeads) for each in read]


BAD_LISTS = {
    "nothing": b"",
    "only what we do not speak": listed(b"\x02\x64\x7a" + bytes(1216)),
    "cut in a length": listed(ENCODED) + b"\0",
    "cut in a configuration": listed(ENCODED)[:-1],
    "without its length": ENCODED,
    "one byte more inside": listed(ENCODED + b"\0"),
    "no algorithms": listed(ENCODED[:35] + b"\0\0"),
    "half an algorithm": listed(ENCODED[:35] + b"\0\x02\0\x01"),
    "one key id twice": listed(ENCODED, ENCODED),
    "two bytes": listed(b"\x01\0"),
    "too long": listed(b"\x02\x64\x7a" + bytes(16 * 1024), ENCODED),
}


@pytest.mark.parametrize("data", BAD_LISTS.values(), ids=BAD_LISTS.keys())
def test_a_list_with_one_defect_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedError):
        decode_key_configurations(data)


@pytest.mark.parametrize("kind", BAD_X25519)
def test_a_bad_key_enters_no_configuration(kind: str) -> None:
    for encoded in BAD_X25519[kind]:
        with pytest.raises(MalformedError):
            decode_key_configurations(listed(b"\x01\0\x20" + encoded + b"\0\x04\0\x01\0\x01"))


@pytest.mark.parametrize("kind", BAD_X25519)
def test_a_bad_ephemeral_key_opens_nothing(kind: str) -> None:
    request = sealed().body
    for encoded in BAD_X25519[kind]:
        with pytest.raises(BadLayerError):
            GatewayKeys([gateway_key()]).open(request[:7] + encoded + request[39:])


def test_no_changed_byte_opens() -> None:
    keys, (message, _) = GatewayKeys([gateway_key()]), seal_request(b"m", GOOD, entropy=Drawn("one"))

    assert b"m" == keys.open(message).message
    assert len(message) == REQUEST_OVERHEAD + 1
    for at in range(len(message)):
        changed = bytearray(message)
        changed[at] ^= 0x80
        with pytest.raises(BadLayerError):
            keys.open(bytes(changed))
        with pytest.raises(BadLayerError):
            keys.open(message[:at])


def test_no_changed_response_opens() -> None:
    _, secret = seal_request(b"m", GOOD, entropy=Drawn("one"))
    response = secret.seal(b"r", entropy=Drawn("two"))

    assert b"r" == secret.open(response)
    for at in range(len(response)):
        changed = bytearray(response)
        changed[at] ^= 1
        with pytest.raises(BadLayerError):
            secret.open(bytes(changed))
        with pytest.raises(BadLayerError):
            secret.open(response[:at])


def test_the_response_of_one_request_does_not_open_another() -> None:
    _, first = seal_request(b"m", GOOD, entropy=Drawn("one"))
    _, second = seal_request(b"m", GOOD, entropy=Drawn("two"))

    with pytest.raises(BadLayerError):
        second.open(first.seal(b"r", entropy=Drawn("three")))


def test_a_retired_key_opens_and_is_not_offered() -> None:
    old, new = gateway_key(1), gateway_key(2)
    keys = GatewayKeys([new], retired=[old])

    assert [2] == [each.key_id for each in decode_key_configurations(keys.encoded)]
    assert keys.open(sealed(key=old).body).message == keys.open(sealed(key=new).body).message
    with pytest.raises(BadLayerError):
        GatewayKeys([new]).open(sealed(key=old).body)


def test_an_aead_that_a_key_does_not_offer_opens_nothing() -> None:
    one = GatewayKey(1, gateway_key().private, (ObliviousAead.AES_256_GCM,))

    with pytest.raises(BadLayerError, match="algorithm"):
        GatewayKeys([one]).open(sealed().body)


@pytest.mark.parametrize("head", [b"\x01\x00\x21\0\x01\0\x01", b"\x01\x00\x20\0\x02\0\x01"])
def test_a_request_that_names_another_kem_or_kdf_than_it_uses_opens_nothing(head: bytes) -> None:
    """Its sender has sealed this head with the rest, so the seal itself would open."""
    enc, ciphertext, _ = GOOD.public.seal(
        b"m",
        aead=ObliviousAead.AES_128_GCM,
        info=b"message/bhttp request\0" + head,
        export=b"message/bhttp response",
        entropy=Drawn("one"),
    )

    with pytest.raises(BadLayerError, match="algorithm"):
        GatewayKeys([gateway_key()]).open(head + enc + ciphertext)


def test_keys_that_cannot_be_told_apart_are_refused() -> None:
    with pytest.raises(UsageError):
        GatewayKeys([gateway_key(1)], retired=[GatewayKey(1, gateway_key(2).private)])
    with pytest.raises(UsageError):
        GatewayKeys([])
    for key_id in (-1, 256):
        with pytest.raises(UsageError):
            GatewayKey(key_id, gateway_key().private)
    with pytest.raises(UsageError):
        GatewayKey(1, gateway_key().private, ())


def test_secrets_do_not_show_themselves() -> None:
    private = ObliviousPrivateKey(b"\x5a" * 32)
    _, secret = seal_request(b"m", GOOD, entropy=Drawn("one"))
    shown = (
        repr(GatewayKey(1, private)) + repr(secret) + repr(GatewayKeys([gateway_key()]).open(sealed().body))
    )

    assert "5a5a" not in shown
    assert "ZZ" not in shown
    assert secret.reveal().hex() not in shown
    assert "example" not in shown
