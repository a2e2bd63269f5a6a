"""Which encodings of curve points we accept: canonical ones, outside of the small subgroups.

A second encoding of one key, or a key of small order, lets an attacker be two signers with one key or force a
shared secret, and the libraries below accept several of them. Source: RFC 7748 §5, RFC 8032 §5.1.3;
Cremers and Jackson, "Prime, Order Please!" (2019).
"""

from __future__ import annotations

from nacl.bindings import crypto_core_ed25519_is_valid_point

FIELD_PRIME = 2**255 - 19

# u-coordinates of points whose order divides 8, on the curve and on its twist.
_SMALL_ORDER_U = frozenset(
    {
        0,
        1,
        FIELD_PRIME - 1,
        325606250916557431795983626356110631294008115727848805560023387167927233504,
        39382357235489614581723060781553021112529911719440698176882885853963445705823,
    }
)


def is_canonical_x25519(encoded: bytes) -> bool:
    """True for a u-coordinate below the prime, with bit 255 clear, that has large order."""
    u = int.from_bytes(encoded, "little")
    return len(encoded) == 32 and u < FIELD_PRIME and u not in _SMALL_ORDER_U


def is_canonical_ed25519(encoded: bytes) -> bool:
    """True for a canonical encoding of a point on the curve that lies in its large subgroup."""
    return len(encoded) == 32 and crypto_core_ed25519_is_valid_point(encoded)
