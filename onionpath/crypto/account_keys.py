"""Session's accounts sign with Ed25519 and are named by X25519: the conversion from one to the other.

Source: the birational map of RFC 7748 §4.1, by libsodium.
"""

from __future__ import annotations

from functools import lru_cache

from nacl.bindings import crypto_sign_ed25519_pk_to_curve25519

from onionpath.crypto.identity import parse_public_key


# A client asks every few seconds, and converting a key costs as much as verifying its signature.
@lru_cache(maxsize=4096)
def to_x25519(signing_key: bytes) -> bytes:
    """The X25519 public key of whoever signs with this Ed25519 key; 32 bytes both.

    Raises:
        MalformedError: it is no canonical Ed25519 key of large order.
    """
    return crypto_sign_ed25519_pk_to_curve25519(parse_public_key(signing_key))
