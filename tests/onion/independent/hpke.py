"""HPKE base mode, single shot, written small from its documents so that ours can be held against it.

The lattice half is kyber-py, the curve PyNaCl, the AEADs pycryptodome, the hashes Python's own. Nothing here is
constant-time, and nothing here imports onionpath. Source: RFC 9180; draft-connolly-cfrg-xwing-kem-10; RFC 5869.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Any, NamedTuple

import nacl.bindings
import nacl.exceptions
from Crypto.Cipher import AES, ChaCha20_Poly1305
from kyber_py.ml_kem import ML_KEM_768

XWING_LABEL = bytes.fromhex("5c2e2f2f5e5c")  # six signs that draw a wing
XWING_KEM, X25519_KEM = 0x647A, 0x0020
HKDF_SHA256, HKDF_SHA512 = 1, 3
AES_128_GCM, AES_256_GCM, CHACHA20_POLY1305 = 1, 2, 3
_HASHES = {HKDF_SHA256: "sha256", HKDF_SHA512: "sha512"}
_KEY_SIZES = {AES_128_GCM: 16, AES_256_GCM: 32, CHACHA20_POLY1305: 32}
ENC_SIZE, MLKEM_CIPHERTEXT_SIZE, TAG_SIZE = 1120, 1088, 16


class DoesNotOpenError(Exception):
    """The one answer to every seal that doesn't open."""


class KeyPair(NamedTuple):
    """What X-Wing grows from 32 bytes: both private halves and the public key of 1,216 bytes."""

    mlkem: bytes
    x25519: bytes
    public: bytes


def grow(seed: bytes) -> KeyPair:
    """Key generation (draft §5.2): SHAKE-256 gives d, z and the X25519 scalar."""
    expanded = hashlib.shake_256(seed).digest(96)
    encapsulation, decapsulation = ML_KEM_768.key_derive(expanded[:64])
    scalar = expanded[64:]
    public = nacl.bindings.crypto_scalarmult_base(scalar)
    return KeyPair(decapsulation, scalar, encapsulation + public)


def _combine(lattice: bytes, curve: bytes, ephemeral: bytes, public: bytes) -> bytes:
    return hashlib.sha3_256(lattice + curve + ephemeral + public + XWING_LABEL).digest()


def encapsulate(public: bytes, eseed: bytes) -> tuple[bytes, bytes]:
    """The shared secret (32 bytes) and ``enc`` (1,120): draft §5.4, with the randomness given (64 bytes)."""
    lattice, ciphertext = ML_KEM_768._encaps_internal(public[:1184], eseed[:32])
    ephemeral = nacl.bindings.crypto_scalarmult_base(eseed[32:])
    curve = nacl.bindings.crypto_scalarmult(eseed[32:], public[1184:])
    return _combine(lattice, curve, ephemeral, public[1184:]), ciphertext + ephemeral


def decapsulate(pair: KeyPair, enc: bytes) -> bytes:
    """The shared secret of ``enc``: draft §5.5; a small-order ephemeral does not open."""
    lattice = ML_KEM_768.decaps(pair.mlkem, enc[:MLKEM_CIPHERTEXT_SIZE])
    ephemeral = enc[MLKEM_CIPHERTEXT_SIZE:]
    try:
        curve = nacl.bindings.crypto_scalarmult(pair.x25519, ephemeral)
    except nacl.exceptions.RuntimeError as error:
        raise DoesNotOpenError from error
    return _combine(lattice, curve, ephemeral, pair.public[1184:])


class Schedule(NamedTuple):
    """What RFC 9180 §5.1 derives from a shared secret and ``info``."""

    key: bytes
    base_nonce: bytes
    exporter_secret: bytes


def hkdf_extract(digest: str, salt: bytes, material: bytes) -> bytes:
    return hmac.digest(salt, material, digest)


def hkdf_expand(digest: str, secret: bytes, info: bytes, length: int) -> bytes:
    block, blocks = b"", b""
    for number in range(1, 256):
        if len(blocks) >= length:
            break
        block = hmac.digest(secret, block + info + bytes([number]), digest)
        blocks += block
    return blocks[:length]


def schedule(shared: bytes, info: bytes, *, kem: int, kdf: int, aead: int) -> Schedule:
    """The key schedule of base mode, RFC 9180 §4 and §5.1."""
    digest = _HASHES[kdf]
    suite = b"HPKE" + b"".join(number.to_bytes(2, "big") for number in (kem, kdf, aead))

    def extract(salt: bytes, label: bytes, material: bytes) -> bytes:
        return hkdf_extract(digest, salt, b"HPKE-v1" + suite + label + material)

    def expand(label: bytes, length: int) -> bytes:
        head = length.to_bytes(2, "big") + b"HPKE-v1" + suite + label
        return hkdf_expand(digest, secret, head + context, length)

    context = b"\0" + extract(b"", b"psk_id_hash", b"") + extract(b"", b"info_hash", info)
    secret = extract(shared, b"secret", b"")
    hash_size = hashlib.new(digest).digest_size
    return Schedule(expand(b"key", _KEY_SIZES[aead]), expand(b"base_nonce", 12), expand(b"exp", hash_size))


def _cipher(aead: int, key: bytes, nonce: bytes) -> Any:
    if aead == CHACHA20_POLY1305:
        return ChaCha20_Poly1305.new(key=key, nonce=nonce)
    return AES.new(key, AES.MODE_GCM, nonce=nonce)


def aead_seal(aead: int, key: bytes, nonce: bytes, plaintext: bytes, associated: bytes = b"") -> bytes:
    cipher = _cipher(aead, key, nonce)
    cipher.update(associated)
    ciphertext, tag = cipher.encrypt_and_digest(plaintext)
    return bytes(ciphertext + tag)


def aead_open(aead: int, key: bytes, nonce: bytes, sealed: bytes, associated: bytes = b"") -> bytes:
    if len(sealed) < TAG_SIZE:
        raise DoesNotOpenError
    cipher = _cipher(aead, key, nonce)
    cipher.update(associated)
    try:
        return bytes(cipher.decrypt_and_verify(sealed[:-TAG_SIZE], sealed[-TAG_SIZE:]))
    except ValueError as error:
        raise DoesNotOpenError from error


def seal(public: bytes, plaintext: bytes, info: bytes, *, eseed: bytes) -> bytes:
    """One box of onionpath's suite, with the sender's randomness given: ``enc`` ‖ ciphertext ‖ tag."""
    shared, enc = encapsulate(public, eseed)
    keys = schedule(shared, info, kem=XWING_KEM, kdf=HKDF_SHA256, aead=AES_256_GCM)
    return enc + aead_seal(AES_256_GCM, keys.key, keys.base_nonce, plaintext)


def open_sealed(pair: KeyPair, sealed: bytes, info: bytes) -> bytes:
    """Open a box of onionpath's suite."""
    shared = decapsulate(pair, sealed[:ENC_SIZE])
    keys = schedule(shared, info, kem=XWING_KEM, kdf=HKDF_SHA256, aead=AES_256_GCM)
    return aead_open(AES_256_GCM, keys.key, keys.base_nonce, sealed[ENC_SIZE:])
