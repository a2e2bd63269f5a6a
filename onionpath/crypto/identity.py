"""Ed25519 identities: a relay's or an authority's long-term signing key, and checking its signatures.

Source: RFC 8032; small-order and non-canonical public keys are refused before the library sees them.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NewType

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from onionpath.crypto.keys import SecretBytes
from onionpath.crypto.points import is_canonical_ed25519
from onionpath.errors import MalformedError
from onionpath.injected import Entropy

RelayId = NewType("RelayId", bytes)
"""A relay's Ed25519 public key, 32 bytes: its name everywhere."""

PUBLIC_SIZE = 32
SIGNATURE_SIZE = 64


def parse_public_key(encoded: bytes) -> bytes:
    """Give back the 32 bytes if they are a canonical Ed25519 public key of large order.

    Raises:
        MalformedError: they are not.
    """
    if not is_canonical_ed25519(encoded):
        raise MalformedError("an Ed25519 public key is of small order, not canonical, or not 32 bytes")
    return bytes(encoded)


def parse_relay_id(encoded: bytes) -> RelayId:
    """``parse_public_key`` for the name of a relay."""
    return RelayId(parse_public_key(encoded))


@lru_cache(maxsize=4096)
def _verifier(public: bytes) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(parse_public_key(public))


def is_signed_by(public: bytes, signature: bytes, message: bytes) -> bool:
    """True if ``signature`` (64 bytes) over ``message`` is by the holder of ``public``.

    The one verification that returns a flag: callers count signers before they decide, and raise then.
    """
    try:
        _verifier(public).verify(signature, message)
    except (InvalidSignature, MalformedError, ValueError):
        return False
    return True


class IdentityKey(SecretBytes):
    """The private half of an identity, grown from a seed of 32 bytes.

    Raises:
        MalformedError: the seed is not 32 bytes.
    """

    __slots__ = ("_key", "public")

    def __init__(self, seed: bytes) -> None:
        if len(seed) != 32:
            raise MalformedError(f"the seed of an identity has 32 bytes, not {len(seed)}")
        super().__init__(seed)
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = self._key.public_key().public_bytes_raw()

    @classmethod
    def generate(cls, entropy: Entropy) -> IdentityKey:
        """A new identity from 32 unpredictable bytes."""
        return cls(entropy(32))

    @property
    def relay_id(self) -> RelayId:
        """The public half under its other name."""
        return RelayId(self.public)

    def sign(self, message: bytes) -> bytes:
        """64 bytes; the message already names its own domain and version."""
        return self._key.sign(message)
