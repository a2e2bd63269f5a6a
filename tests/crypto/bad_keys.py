"""Encodings of curve points that no decoder may take, and the order of the group."""

from __future__ import annotations

from onionpath.crypto.points import FIELD_PRIME
from tests.crypto.test_keys import SMALL_ORDER_ED25519, U_ENCODINGS

GROUP_ORDER = 2**252 + 27742317777372353535851937790883648493


def _above_the_prime() -> list[bytes]:
    """Every coordinate from the prime on that fits 255 bits, with either value of the bit above them."""
    return [
        (FIELD_PRIME + above | top << 255).to_bytes(32, "little") for above in range(19) for top in (0, 1)
    ]


BAD_ED25519: dict[str, list[bytes]] = {
    "small order": SMALL_ORDER_ED25519,
    "not canonical": _above_the_prime(),
    "wrong length": [(b"\x55" * 64)[:size] for size in (0, 1, 31, 33, 64)],
}

# A second name of a good key: the library below ignores the top bit.
_ALIASES = [(9 | 1 << 255).to_bytes(32, "little"), b"\xff" * 32]
BAD_X25519: dict[str, list[bytes]] = {
    "small order": U_ENCODINGS,
    "not canonical": _above_the_prime() + _ALIASES,
    "wrong length": [(b"\x55" * 64)[:size] for size in (0, 1, 31, 33, 64)],
}
