"""Keys that seal one reply on its way back: derived from a layer's seed, used once.

Source: RFC 5869 (HKDF-Expand), NIST SP 800-38D (AES-256-GCM); docs/specs/onion-native.md.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from onionpath.crypto.keys import SecretBytes
from onionpath.errors import BadLayerError
from onionpath.injected import Entropy

NONCE_SIZE = 12
TAG_SIZE = 16
LABEL = b"onionpath/1 reply"


def derive_reply_key(seed: bytes) -> bytes:
    """The 32-byte AES-256-GCM key of a layer's reply, from the layer's 32-byte seed."""
    # The seed is uniformly random, so Extract would add nothing (RFC 5869 §3.3).
    return HKDFExpand(SHA256(), 32, LABEL).derive(seed)


def seal_with(key: bytes, plaintext: bytes, *, entropy: Entropy) -> bytes:
    """Nonce 12, then the ciphertext, then tag 16."""
    # The nonce is random although the key seals once: a relay that was restored from a snapshot must not
    # seal two different replies alike.
    nonce = entropy(NONCE_SIZE)
    return nonce + AESGCM(key).encrypt(nonce, plaintext, None)


def open_with(key: bytes, sealed: bytes | memoryview) -> bytes:
    """Open what ``seal_with`` made under this key.

    Raises:
        BadLayerError: it does not open.
    """
    try:
        return AESGCM(key).decrypt(bytes(sealed[:NONCE_SIZE]), sealed[NONCE_SIZE:], None)
    except (InvalidTag, ValueError) as error:
        raise BadLayerError("the reply's seal did not open") from error


class ReplySecret(SecretBytes):
    """A derived reply key; a type of its own so that no other secret takes its place."""

    __slots__ = ()

    @classmethod
    def from_seed(cls, seed: bytes) -> ReplySecret:
        """The key of the layer that carried this seed."""
        return cls(derive_reply_key(seed))
