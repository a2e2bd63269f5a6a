"""Keys: what they refuse to be made of, and what they refuse to tell."""

from __future__ import annotations

import copy
import pickle
import ssl
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onionpath.crypto.certificates import certificate_key_hash, make_link_certificate, pem_key_hash
from onionpath.crypto.hybrid import ENC_SIZE, HybridPrivateKey, HybridPublicKey
from onionpath.crypto.identity import IdentityKey, is_signed_by, parse_public_key, parse_relay_id
from onionpath.crypto.keys import SecretBytes
from onionpath.crypto.points import FIELD_PRIME, is_canonical_ed25519, is_canonical_x25519
from onionpath.crypto.reply_keys import ReplySecret, open_with, seal_with
from onionpath.crypto.tags import TagKey
from onionpath.errors import BadLayerError, MalformedError
from onionpath.link.proof import Claim

SEED = bytes(range(32))
PRIVATE = HybridPrivateKey(SEED)
PUBLIC = PRIVATE.public.encoded

# The seven u-coordinates below 2^255 whose points have an order that divides 8, as RFC 7748's reviewers list them.
LOW_ORDER_U = [
    0,
    1,
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
    FIELD_PRIME - 1,
    FIELD_PRIME,
    FIELD_PRIME + 1,
]
U_ENCODINGS = [u.to_bytes(32, "little") for u in LOW_ORDER_U]
U_ENCODINGS += [(u | 1 << 255).to_bytes(32, "little") for u in LOW_ORDER_U]

# Every encoding of an Ed25519 point of small order, from the list in "Taming the Many EdDSAs" (2020).
SMALL_ORDER_ED25519 = [
    bytes.fromhex(text)
    for text in (
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "0100000000000000000000000000000000000000000000000000000000000080",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    )
]


def secrets() -> list[SecretBytes]:
    return [PRIVATE, IdentityKey(SEED), ReplySecret(SEED), TagKey(SEED)]


@pytest.mark.parametrize("u", U_ENCODINGS, ids=bytes.hex)
def test_a_low_order_curve_half_makes_no_public_key(u: bytes) -> None:
    with pytest.raises(MalformedError):
        HybridPublicKey(PUBLIC[:1184] + u)


@pytest.mark.parametrize("u", U_ENCODINGS, ids=bytes.hex)
def test_a_low_order_ephemeral_opens_nothing(u: bytes) -> None:
    sealed = PRIVATE.public.seal(b"body", info=b"")
    with pytest.raises(BadLayerError):
        PRIVATE.open(sealed[: ENC_SIZE - 32] + u + sealed[ENC_SIZE:], info=b"")


@given(st.integers(min_value=0, max_value=18))
def test_a_curve_coordinate_at_or_above_the_prime_is_refused(above: int) -> None:
    encoded = (FIELD_PRIME + above).to_bytes(32, "little")

    assert not is_canonical_x25519(encoded)
    assert not is_canonical_ed25519(encoded)


def test_the_alias_of_a_good_key_with_bit_255_is_refused() -> None:
    """The library below ignores this bit, so one key would have two names."""
    alias = PUBLIC[:-1] + bytes([PUBLIC[-1] | 0x80])
    with pytest.raises(MalformedError):
        HybridPublicKey(alias)


@pytest.mark.parametrize("place", [0, 1, 400, 767])
@pytest.mark.parametrize("coefficient", [3329, 3330, 4095])
def test_a_lattice_coefficient_that_is_not_reduced_is_refused(place: int, coefficient: int) -> None:
    bits = int.from_bytes(PUBLIC[:1152], "little")
    bits = bits & ~(0xFFF << 12 * place) | coefficient << 12 * place
    with pytest.raises(MalformedError):
        HybridPublicKey(bits.to_bytes(1152, "little") + PUBLIC[1152:])


@pytest.mark.parametrize("size", [0, 32, 1184, 1215, 1217, 2432])
def test_a_public_key_of_another_length_is_refused(size: int) -> None:
    with pytest.raises(MalformedError):
        HybridPublicKey((PUBLIC * 2)[:size])


@pytest.mark.parametrize("encoded", SMALL_ORDER_ED25519, ids=bytes.hex)
def test_an_identity_of_small_order_is_refused_wherever_one_enters(encoded: bytes) -> None:
    for parse in (parse_public_key, parse_relay_id, lambda key: Claim.decode(key + bytes(32))):
        with pytest.raises(MalformedError):
            parse(encoded)


@pytest.mark.parametrize("encoded", SMALL_ORDER_ED25519, ids=bytes.hex)
def test_a_signature_by_a_key_of_small_order_is_by_nobody(encoded: bytes) -> None:
    """R = A, s = 0 verifies under such a key for one message in eight at least, in verifiers that allow it."""
    for message in range(16):
        assert not is_signed_by(encoded, encoded + bytes(32), bytes([message]))


def test_a_signature_with_a_scalar_above_the_order_is_refused() -> None:
    """Otherwise one signature would have two encodings, and envelopes two digests."""
    key = IdentityKey(SEED)
    signed = key.sign(b"x")
    order = 2**252 + 27742317777372353535851937790883648493
    scalar = int.from_bytes(signed[32:], "little") + order

    assert is_signed_by(key.public, signed, b"x")
    assert not is_signed_by(key.public, signed[:32] + scalar.to_bytes(32, "little"), b"x")


@pytest.mark.parametrize("size", [0, 63, 65])
def test_a_signature_of_another_length_is_refused(size: int) -> None:
    key = IdentityKey(SEED)

    assert not is_signed_by(key.public, (key.sign(b"x") * 2)[:size], b"x")


@pytest.mark.parametrize("make", [HybridPrivateKey, IdentityKey])
@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_a_seed_of_another_length_is_refused(make: Callable[[bytes], SecretBytes], size: int) -> None:
    with pytest.raises(MalformedError):
        make(bytes(size))


@pytest.mark.parametrize("secret", secrets(), ids=lambda each: type(each).__name__)
def test_a_secret_shows_itself_in_no_text(secret: SecretBytes) -> None:
    texts = (repr(secret), str(secret), f"{secret}", f"{secret!r:>4}", repr([secret]))

    assert not [text for text in texts if SEED.hex() in text or repr(SEED) in text or str(SEED) in text]
    assert not hasattr(secret, "__dict__")


@pytest.mark.parametrize("secret", secrets(), ids=lambda each: type(each).__name__)
@pytest.mark.parametrize("save", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_secret_is_not_pickled(secret: SecretBytes, save: Callable[[object], object]) -> None:
    with pytest.raises(TypeError, match="secret"):
        save(secret)


def test_secrets_are_equal_by_type_and_content() -> None:
    assert TagKey(SEED) == TagKey(SEED)
    assert hash(TagKey(SEED)) == hash(TagKey(SEED))
    assert TagKey(SEED) != TagKey(bytes(32))
    assert TagKey(SEED) != ReplySecret(SEED)
    assert TagKey(SEED) != SEED
    assert PRIVATE.public == HybridPublicKey(PUBLIC)
    assert 1 == len({PRIVATE.public, HybridPublicKey(PUBLIC)})


def test_keys_are_grown_from_the_entropy_that_is_given() -> None:
    asked: list[int] = []

    def entropy(size: int) -> bytes:
        asked.append(size)
        return SEED

    assert PRIVATE == HybridPrivateKey.generate(entropy)
    assert IdentityKey(SEED) == IdentityKey.generate(entropy)
    assert [32, 32] == asked


@given(body=st.binary(max_size=64), info=st.binary(max_size=64), other=st.binary(max_size=64))
def test_a_seal_opens_for_its_key_and_its_info_only(body: bytes, info: bytes, other: bytes) -> None:
    sealed = PRIVATE.public.seal(body, info=info)

    assert body == PRIVATE.open(sealed, info=info) == PRIVATE.open(memoryview(sealed), info=info)
    assert ENC_SIZE + len(body) + 16 == len(sealed)
    if other != info:
        with pytest.raises(BadLayerError):
            PRIVATE.open(sealed, info=other)
    with pytest.raises(BadLayerError):
        HybridPrivateKey(bytes(32)).open(sealed, info=info)


@given(st.binary(max_size=2000))
def test_opening_anything_else_ends_in_the_one_error(junk: bytes) -> None:
    with pytest.raises(BadLayerError):
        PRIVATE.open(junk, info=b"")
    with pytest.raises(BadLayerError):
        open_with(SEED, junk)


def test_two_seals_of_one_body_share_no_run_of_eight_bytes() -> None:
    one, two = (PRIVATE.public.seal(bytes(1000), info=b"") for _ in range(2))

    assert not {one[at : at + 8] for at in range(len(one) - 7)} & {
        two[at : at + 8] for at in range(len(two) - 7)
    }


def test_a_reply_seal_takes_its_nonce_from_the_entropy_that_is_given() -> None:
    sealed = seal_with(SEED, b"body", entropy=lambda size: b"n" * size)

    assert b"n" * 12 == sealed[:12]
    assert b"body" == open_with(SEED, sealed)


def test_a_tag_is_never_the_number_that_means_none() -> None:
    assert 0 not in {TagKey(SEED).tag(bytes([number]) * 32) for number in range(256)}


def test_a_link_certificate_is_pinned_by_its_key_alone() -> None:
    one, two = make_link_certificate(), make_link_certificate()

    assert one.key_hash == pem_key_hash(one.certificate_pem)
    assert one.key_hash != two.key_hash
    assert "PRIVATE" not in repr(one)


@pytest.mark.parametrize("junk", [b"", b"x", b"0\x82\x01\x00", b"-----BEGIN CERTIFICATE-----\n"])
def test_a_damaged_certificate_is_malformed(junk: bytes) -> None:
    with pytest.raises(MalformedError):
        certificate_key_hash(junk)
    with pytest.raises(MalformedError):
        pem_key_hash(junk)


def test_a_certificate_of_an_unknown_version_is_malformed() -> None:
    der = ssl.PEM_cert_to_DER_cert(make_link_certificate().certificate_pem.decode())
    version = der.index(bytes.fromhex("a003020102"))
    eleven = der[: version + 4] + b"\x0a" + der[version + 5 :]
    with pytest.raises(MalformedError):
        certificate_key_hash(eleven)
    with pytest.raises(MalformedError):
        pem_key_hash(ssl.DER_cert_to_PEM_cert(eleven).encode())
