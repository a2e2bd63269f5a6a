"""Sealing to a relay's hybrid key: HPKE base mode over X-Wing (ML-KEM-768 and X25519 together).

The suite is fixed and nothing is negotiated: KEM 0x647A (X-Wing), KDF HKDF-SHA256, AEAD AES-256-GCM.
Source: RFC 9180; draft-connolly-cfrg-xwing-kem; decision record 0002.
"""

from __future__ import annotations

import hashlib

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)

from onionpath.crypto.keys import PublicBytes, SecretBytes
from onionpath.crypto.points import is_canonical_x25519
from onionpath.errors import BadLayerError, MalformedError
from onionpath.injected import Entropy

MLKEM_PUBLIC_SIZE = 1184
PUBLIC_SIZE = MLKEM_PUBLIC_SIZE + 32  # bytes: ML-KEM-768, then X25519
SEED_SIZE = 32  # bytes: the whole private key, as in X-Wing
ENC_SIZE = 1120  # bytes: ML-KEM ciphertext 1088, then an X25519 public key 32
TAG_SIZE = 16  # bytes: AES-256-GCM
SEAL_OVERHEAD = ENC_SIZE + TAG_SIZE

_SUITE = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


class HybridPublicKey(PublicBytes):
    """A key that anybody can seal to; 1,216 bytes on the wire.

    Raises:
        MalformedError: the length is wrong, a coefficient is not reduced, or the X25519 half is of small order
            or not in canonical form.
    """

    __slots__ = ("_key",)

    def __init__(self, encoded: bytes) -> None:
        if len(encoded) != PUBLIC_SIZE:
            raise MalformedError(f"a hybrid public key has {PUBLIC_SIZE} bytes, not {len(encoded)}")
        mlkem, x25519 = encoded[:MLKEM_PUBLIC_SIZE], encoded[MLKEM_PUBLIC_SIZE:]
        if not is_canonical_x25519(x25519):
            raise MalformedError("the X25519 half of a hybrid public key is of small order or not canonical")
        try:
            self._key = MLKEM768X25519PublicKey(
                MLKEM768PublicKey.from_public_bytes(mlkem), X25519PublicKey.from_public_bytes(x25519)
            )
        except ValueError as error:
            raise MalformedError("the ML-KEM half of a hybrid public key is not reduced") from error
        super().__init__(encoded)

    def seal(self, plaintext: bytes, *, info: bytes) -> bytes:
        """Seal ``plaintext``: enc 1,120 bytes, then the ciphertext, then tag 16.

        HPKE draws its own randomness here, the one place of the house where it isn't an argument.
        """
        return _SUITE.encrypt(plaintext, self._key, info=info)


class HybridPrivateKey(SecretBytes):
    """The other half, grown from a seed of 32 bytes exactly as X-Wing does.

    Raises:
        MalformedError: the seed is not 32 bytes.
    """

    __slots__ = ("_key", "public")

    def __init__(self, seed: bytes) -> None:
        if len(seed) != SEED_SIZE:
            raise MalformedError(f"the seed of a hybrid key has {SEED_SIZE} bytes, not {len(seed)}")
        super().__init__(seed)
        expanded = hashlib.shake_256(seed).digest(96)
        mlkem = MLKEM768PrivateKey.from_seed_bytes(expanded[:64])
        x25519 = X25519PrivateKey.from_private_bytes(expanded[64:])
        self._key = MLKEM768X25519PrivateKey(mlkem, x25519)
        self.public = HybridPublicKey(
            mlkem.public_key().public_bytes_raw() + x25519.public_key().public_bytes_raw()
        )

    @classmethod
    def generate(cls, entropy: Entropy) -> HybridPrivateKey:
        """A new key from 32 unpredictable bytes."""
        return cls(entropy(SEED_SIZE))

    def open(self, sealed: bytes | bytearray | memoryview, *, info: bytes) -> bytes:
        """Open what ``seal`` made for this key and this ``info``.

        Raises:
            BadLayerError: it does not open. Wrong key, wrong info and damage look alike on purpose.
        """
        try:
            return _SUITE.decrypt(sealed, self._key, info=info)
        except (InvalidTag, ValueError) as error:
            raise BadLayerError("the seal did not open") from error
