"""What our keys have in common: secret ones don't show themselves and compare in constant time, public ones do."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any


class SecretBytes:
    """Immutable secret bytes whose ``repr``, ``str`` and pickling give nothing away.

    Python cannot wipe immutable bytes; this class promises silence, not erasure.
    """

    __slots__ = ("_secret",)

    def __init__(self, secret: bytes) -> None:
        self._secret = bytes(secret)

    def reveal(self) -> bytes:
        """The secret itself, for the cryptographic call or the key file."""
        return self._secret

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {fingerprint(self._secret, type(self).__name__)}>"

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and hmac.compare_digest(self._secret, other._secret)

    def __hash__(self) -> int:
        return hash((type(self), hashlib.sha256(self._secret).digest()))

    def __reduce__(self) -> Any:
        raise TypeError(f"{type(self).__name__} is secret and is not pickled")


class PublicBytes:
    """A key that anybody may see: equal to those of its kind with the same bytes."""

    __slots__ = ("encoded",)

    def __init__(self, encoded: bytes) -> None:
        self.encoded = bytes(encoded)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.encoded == self.encoded

    def __hash__(self) -> int:
        return hash((type(self), self.encoded))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {hashlib.sha256(self.encoded).hexdigest()[:8]}>"


def fingerprint(secret: bytes, purpose: str) -> str:
    """Eight hex digits that tell two keys apart and say nothing else about them."""
    return hashlib.sha256(b"onionpath/1 fingerprint" + purpose.encode() + b"\0" + secret).hexdigest()[:8]
