"""Key configurations: what a gateway publishes of its keys, and what a client takes from it.

Source: RFC 9458 §3; docs/specs/ohttp.md §2.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from onionpath.crypto.oblivious import PUBLIC_SIZE, ObliviousAead, ObliviousPublicKey
from onionpath.errors import MalformedError

MEDIA_TYPE = "application/ohttp-keys"
KEM_X25519, KDF_HKDF_SHA256 = 0x0020, 0x0001

# A gateway in rotation publishes two or three keys; a list beyond this is no list of keys.
MAX_LIST_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True)
class KeyConfiguration:
    """One of a gateway's keys, and the AEADs that it opens with, in its order of preference."""

    key_id: int
    public: ObliviousPublicKey
    aeads: tuple[ObliviousAead, ...] = tuple(ObliviousAead)

    def encode(self) -> bytes:
        """The configuration without the length before it: 41 bytes with one AEAD, 4 more for each other."""
        algorithms = b"".join(struct.pack(">HH", KDF_HKDF_SHA256, aead) for aead in self.aeads)
        head = struct.pack(">BH", self.key_id, KEM_X25519)
        return head + self.public.encoded + struct.pack(">H", len(algorithms)) + algorithms


def encode_key_configurations(configurations: tuple[KeyConfiguration, ...]) -> bytes:
    """The body of ``application/ohttp-keys``: each configuration after its length of 2 bytes."""
    encoded = [configuration.encode() for configuration in configurations]
    return b"".join(struct.pack(">H", len(each)) + each for each in encoded)


def decode_key_configurations(data: bytes) -> tuple[KeyConfiguration, ...]:
    """Read the body of ``application/ohttp-keys``.

    Configurations with a KEM, and algorithms, that we don't speak are passed over, as RFC 9458 §3.2 wants.

    Raises:
        MalformedError: it is not well formed, names one key id twice, or holds nothing that we speak.
    """
    if len(data) > MAX_LIST_BYTES:
        raise MalformedError("a list of key configurations is too long")
    encoded = _split(data)
    read = [configuration for each in encoded if (configuration := _decode(each)) is not None]
    if len({configuration.key_id for configuration in read}) < len(read):
        raise MalformedError("a list of key configurations names one key id twice")
    if not read:
        raise MalformedError("a list of key configurations holds none that we speak")
    return tuple(read)


def _split(data: bytes) -> list[bytes]:
    encoded = []
    while data:
        size = int.from_bytes(data[:2], "big")
        if len(data) < 2 + size:
            raise MalformedError("a list of key configurations is cut off")
        encoded.append(data[2 : 2 + size])
        data = data[2 + size :]
    return encoded


def _decode(data: bytes) -> KeyConfiguration | None:
    if len(data) < 3:
        raise MalformedError("a key configuration is cut off")
    key_id, kem = struct.unpack_from(">BH", data)
    if kem != KEM_X25519:
        # Only the KEM tells how long the key is, so nothing more of it can be read.
        return None
    public, algorithms = data[3 : 3 + PUBLIC_SIZE], data[3 + PUBLIC_SIZE + 2 :]
    stated = int.from_bytes(data[3 + PUBLIC_SIZE : 3 + PUBLIC_SIZE + 2], "big")
    if len(algorithms) != stated or not algorithms or stated % 4:
        raise MalformedError("a key configuration's algorithms are not as long as it says")
    aeads = _aeads(algorithms)
    return KeyConfiguration(key_id, ObliviousPublicKey(public), aeads) if aeads else None


def _aeads(algorithms: bytes) -> tuple[ObliviousAead, ...]:
    known = {int(aead) for aead in ObliviousAead}
    pairs = struct.iter_unpack(">HH", algorithms)
    return tuple(ObliviousAead(aead) for kdf, aead in pairs if kdf == KDF_HKDF_SHA256 and aead in known)
