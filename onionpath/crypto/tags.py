"""Replay tags and digests: keyed and plain BLAKE2b. Source: RFC 7693."""

from __future__ import annotations

from hashlib import blake2b

from onionpath.crypto.keys import SecretBytes


class TagKey(SecretBytes):
    """A relay's secret under which it tags what it has seen; nobody else can aim at a tag."""

    __slots__ = ()

    def tag(self, seed: bytes) -> int:
        """A number from 1 to 2**64 - 1 that stands for this seed; 0 is left to mean "none"."""
        return int.from_bytes(blake2b(seed, digest_size=8, key=self._secret).digest(), "little") or 1


def digest(content: bytes) -> bytes:
    """The 32-byte BLAKE2b digest by which descriptors and documents are named."""
    return blake2b(content, digest_size=32, person=b"onionpath/1 dig.").digest()
