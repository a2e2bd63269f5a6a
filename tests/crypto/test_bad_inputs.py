"""The kinds of bad input that Wycheproof collects, through our own wrappers: each ends in the one declared error.

One table says what is tried; ``pytest -s`` shows how many inputs each line had.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from random import Random
from typing import NamedTuple

import pytest

from onionpath.crypto.hybrid import ENC_SIZE, MLKEM_PUBLIC_SIZE, PUBLIC_SIZE, HybridPublicKey
from onionpath.crypto.identity import IdentityKey, is_signed_by
from onionpath.crypto.points import FIELD_PRIME
from onionpath.crypto.reply_keys import NONCE_SIZE, TAG_SIZE, derive_reply_key, open_with, seal_with
from onionpath.errors import BadLayerError, MalformedError
from tests.crypto.bad_keys import BAD_ED25519, BAD_X25519, GROUP_ORDER
from tests.crypto.test_keys import PRIVATE, PUBLIC, SEED, SMALL_ORDER_ED25519
from tests.onion.independent import hpke

CIPHERTEXT_SIZE = 1088
SIGNER = IdentityKey(SEED)
MESSAGE = b"a message"
SIGNED = SIGNER.sign(MESSAGE)
SEALED = PRIVATE.public.seal(b"body", info=b"info")
BOX = seal_with(SEED, b"a reply's body", entropy=Random(0).randbytes)
IDENTITY_POINT = SMALL_ORDER_ED25519[0]
# A point of the twist: 2 is no square where the curve's equation would need one.
TWIST_U = (2).to_bytes(32, "little")


class Line(NamedTuple):
    """Inputs that one wrapper must refuse with one error."""

    wrapper: Callable[[bytes], object]
    error: type[Exception]
    inputs: Callable[[], Iterable[bytes]]


def public_key(encoded: bytes) -> object:
    return HybridPublicKey(encoded)


def opened(sealed: bytes) -> object:
    return PRIVATE.open(sealed, info=b"info")


def box(sealed: bytes) -> object:
    return open_with(SEED, sealed)


def signature(signed: bytes) -> None:
    if not is_signed_by(SIGNER.public, signed, MESSAGE):
        raise MalformedError("the signature is wrong")


def flips(data: bytes, places: Iterable[int]) -> Iterator[bytes]:
    """One bit changed at each place."""
    for place in places:
        yield data[:place] + bytes([data[place] ^ 1 << place % 8]) + data[place + 1 :]


def coefficients(value: int) -> Iterator[bytes]:
    """The ML-KEM half with one of its 768 coefficients replaced: all polynomials, both places in each three bytes."""
    whole = int.from_bytes(PUBLIC[:1152], "little")
    for place in range(768):
        changed = whole & ~(0xFFF << 12 * place) | value << 12 * place
        yield changed.to_bytes(1152, "little") + PUBLIC[1152:]


def scalars() -> Iterator[bytes]:
    """The same signature with other values of S: more than the order, top bits set, none, all."""
    scalar = int.from_bytes(SIGNED[32:], "little")
    values = [scalar + times * GROUP_ORDER for times in range(1, 15)]
    values += [scalar | 1 << bit for bit in (253, 254, 255)]
    values += [0, GROUP_ORDER - 1, GROUP_ORDER, GROUP_ORDER + 1, 2**256 - 1, GROUP_ORDER - scalar, scalar + 1]
    yield from (SIGNED[:32] + value.to_bytes(32, "little") for value in values)


def points() -> Iterator[bytes]:
    """R of small order and of no canonical spelling, with the S that its own signer would put beside it."""
    expanded = bytearray(hashlib.sha512(SEED).digest()[:32])
    expanded[0] &= 248
    expanded[31] = expanded[31] & 63 | 64
    secret = int.from_bytes(expanded, "little")
    for point in BAD_ED25519["small order"] + BAD_ED25519["not canonical"]:
        challenge = int.from_bytes(hashlib.sha512(point + SIGNER.public + MESSAGE).digest(), "little")
        fitting = point + (challenge * secret % GROUP_ORDER).to_bytes(32, "little")
        if point != IDENTITY_POINT:
            yield fitting
        yield point + SIGNED[32:]
        yield point + bytes(32)


def with_ciphertext(ciphertext: bytes) -> bytes:
    return ciphertext + SEALED[CIPHERTEXT_SIZE:]


def with_ephemeral(u: bytes) -> bytes:
    return SEALED[:CIPHERTEXT_SIZE] + u + SEALED[ENC_SIZE:]


RANDOM = Random(2)
# A sample of places, so that each run stays short; tests/onion flips every byte of a whole layer.
CIPHERTEXT_PLACES, REST_PLACES = range(0, CIPHERTEXT_SIZE, 8), range(CIPHERTEXT_SIZE, len(SEALED))

TABLE: dict[str, Line] = {
    "X25519 half of small order": Line(
        public_key, MalformedError, lambda: (PUBLIC[:1184] + u for u in BAD_X25519["small order"])
    ),
    "X25519 half not canonical": Line(
        public_key, MalformedError, lambda: (PUBLIC[:1184] + u for u in BAD_X25519["not canonical"])
    ),
    "ephemeral of small order, so that the shared secret is zero": Line(
        opened, BadLayerError, lambda: map(with_ephemeral, BAD_X25519["small order"])
    ),
    "ephemeral not canonical": Line(
        opened, BadLayerError, lambda: map(with_ephemeral, BAD_X25519["not canonical"])
    ),
    "ephemeral on the twist": Line(opened, BadLayerError, lambda: [with_ephemeral(TWIST_U)]),
    "ML-KEM coefficient that is the modulus": Line(public_key, MalformedError, lambda: coefficients(3329)),
    "ML-KEM coefficient of all ones": Line(public_key, MalformedError, lambda: coefficients(4095)),
    "ML-KEM key of all ones": Line(public_key, MalformedError, lambda: [b"\xff" * 1184 + PUBLIC[1184:]]),
    "hybrid key of another length": Line(
        public_key,
        MalformedError,
        lambda: ((PUBLIC * 2)[:size] for size in range(0, 2 * PUBLIC_SIZE) if size != PUBLIC_SIZE),
    ),
    "ML-KEM ciphertext random": Line(
        opened, BadLayerError, lambda: (with_ciphertext(RANDOM.randbytes(CIPHERTEXT_SIZE)) for _ in range(50))
    ),
    "ML-KEM ciphertext of all zeros or ones": Line(
        opened, BadLayerError, lambda: (with_ciphertext(bytes([each]) * CIPHERTEXT_SIZE) for each in (0, 255))
    ),
    "ML-KEM ciphertext cut or longer": Line(
        opened,
        BadLayerError,
        lambda: (with_ciphertext((SEALED[:CIPHERTEXT_SIZE] * 2)[:size]) for size in (0, 1, 1087, 1089, 2176)),
    ),
    "enc changed in its ML-KEM part": Line(opened, BadLayerError, lambda: flips(SEALED, CIPHERTEXT_PLACES)),
    "enc, body or tag changed after it": Line(opened, BadLayerError, lambda: flips(SEALED, REST_PLACES)),
    "sealed box cut": Line(
        opened, BadLayerError, lambda: (SEALED[:size] for size in (*range(0, ENC_SIZE, 70), *range(1104, 1140)))
    ),
    "sealed box longer": Line(opened, BadLayerError, lambda: (SEALED + bytes(size) for size in (1, 16, 1136))),
    "Ed25519 scalar at or above the order": Line(signature, MalformedError, scalars),
    "Ed25519 R of small order or not canonical": Line(signature, MalformedError, points),
    "Ed25519 signature of another length": Line(
        signature, MalformedError, lambda: ((SIGNED * 3)[:size] for size in range(192) if size != 64)
    ),
    "Ed25519 signature with a changed bit": Line(signature, MalformedError, lambda: flips(SIGNED, range(64))),
    "reply's tag cut": Line(box, BadLayerError, lambda: (BOX[:-cut] for cut in range(1, TAG_SIZE + 1))),
    "reply's tag changed": Line(box, BadLayerError, lambda: flips(BOX, range(len(BOX) - TAG_SIZE, len(BOX)))),
    "reply's nonce changed": Line(box, BadLayerError, lambda: flips(BOX, range(NONCE_SIZE))),
    "reply's nonce cut": Line(box, BadLayerError, lambda: (BOX[cut:] for cut in range(1, NONCE_SIZE + 1))),
    "reply without content": Line(box, BadLayerError, lambda: (BOX[:size] for size in range(NONCE_SIZE + TAG_SIZE))),
}  # fmt: skip


def refused(name: str) -> int:
    """How many inputs of a line were refused as they must be, which is all of them."""
    line, count = TABLE[name], 0
    for data in line.inputs():
        with pytest.raises(line.error):
            line.wrapper(data)
        count += 1
    print(f"{count:>6} refused  {name}")
    return count


@pytest.mark.parametrize("name", TABLE)
def test_every_bad_input_is_refused_with_the_declared_error(name: str) -> None:
    assert 0 < refused(name)


def test_what_the_table_spoils_was_good() -> None:
    """Otherwise the refusals above would prove nothing."""
    assert PUBLIC == HybridPublicKey(PUBLIC).encoded
    assert b"body" == opened(SEALED)
    assert b"a reply's body" == box(BOX)
    signature(SIGNED)


def test_the_one_small_point_that_verifies_gives_its_own_signer_away() -> None:
    """RFC 8032 allows R to be the neutral element. Nobody but the key's owner can make such a signature, and whoever
    does has published its key; it lets nobody else speak for it.
    """
    expanded = bytearray(hashlib.sha512(SEED).digest()[:32])
    expanded[0] &= 248
    expanded[31] = expanded[31] & 63 | 64
    secret = int.from_bytes(expanded, "little")
    challenge = int.from_bytes(hashlib.sha512(IDENTITY_POINT + SIGNER.public + MESSAGE).digest(), "little")
    scalar = challenge * secret % GROUP_ORDER

    assert is_signed_by(SIGNER.public, IDENTITY_POINT + scalar.to_bytes(32, "little"), MESSAGE)
    assert secret % GROUP_ORDER == scalar * pow(challenge, -1, GROUP_ORDER) % GROUP_ORDER


def test_a_key_on_the_twist_is_a_key_that_nobody_holds() -> None:
    """X25519 is safe there by design (RFC 7748 §6.1), and the ML-KEM half holds; ours does not open what it seals."""
    u = int.from_bytes(TWIST_U, "little")
    assert FIELD_PRIME - 1 == pow(u**3 + 486662 * u**2 + u, (FIELD_PRIME - 1) // 2, FIELD_PRIME)
    sealed = HybridPublicKey(PUBLIC[:1184] + TWIST_U).seal(b"body", info=b"info")
    with pytest.raises(BadLayerError):
        opened(sealed)


def test_a_lattice_half_of_zeros_still_leaves_the_curve_half() -> None:
    """It is reduced, so FIPS 203 takes it; whoever publishes it gives only its own half away."""
    zeros = HybridPublicKey(bytes(MLKEM_PUBLIC_SIZE) + PUBLIC[MLKEM_PUBLIC_SIZE:])
    with pytest.raises(BadLayerError):
        opened(zeros.seal(b"body", info=b"info"))


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 2**20])
def test_bodies_of_any_length_are_sealed_and_signed(size: int) -> None:
    body = bytes(size)
    signed = SIGNER.sign(body)

    assert body == PRIVATE.open(PRIVATE.public.seal(body, info=body[:100]), info=body[:100])
    assert body == open_with(SEED, seal_with(SEED, body, entropy=Random(1).randbytes))
    assert is_signed_by(SIGNER.public, signed, body)
    assert not is_signed_by(SIGNER.public, signed, body + b"\0")


@pytest.mark.parametrize("size", [0, 1, 17, 200, 65_536])
def test_info_of_any_length_binds(size: int) -> None:
    sealed = PRIVATE.public.seal(b"body", info=bytes(size))

    assert b"body" == PRIVATE.open(sealed, info=bytes(size))
    for other in (bytes(size + 1), bytes(size)[:-1] if size else b"\1", bytes(size) + b"\1"):
        with pytest.raises(BadLayerError):
            PRIVATE.open(sealed, info=other)


@pytest.mark.parametrize("size", [0, 1, 31, 32, 33, 63, 64, 65, 200])
def test_reply_keys_are_expanded_from_seeds_of_any_length_as_rfc_5869_says(size: int) -> None:
    """The edges are HMAC's: shorter than a block, a block of 64 bytes, longer."""
    seed = bytes(range(size))

    assert hpke.hkdf_expand("sha256", seed, b"onionpath/1 reply", 32) == derive_reply_key(seed)
