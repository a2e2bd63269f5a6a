"""Encapsulated requests: a head that names key and algorithms, and a seal over Binary HTTP.

Head, 7 bytes: key id 1, KEM 2, KDF 2, AEAD 2. Then ``enc`` 32 bytes, the ciphertext, its tag 16.
Source: RFC 9458 §4.1 and §4.3; docs/specs/ohttp.md §2.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from onionpath.crypto.oblivious import (
    ENC_SIZE,
    TAG_SIZE,
    ObliviousAead,
    ObliviousPrivateKey,
    ResponseSecret,
)
from onionpath.errors import BadLayerError, UsageError
from onionpath.injected import Entropy
from onionpath.ohttp.keys import (
    KDF_HKDF_SHA256,
    KEM_X25519,
    KeyConfiguration,
    encode_key_configurations,
)

REQUEST_TYPE, RESPONSE_TYPE = "message/ohttp-req", "message/ohttp-res"
REQUEST_OVERHEAD = 7 + ENC_SIZE + TAG_SIZE
RESPONSE_OVERHEAD = 32 + TAG_SIZE  # at most: the nonce of a response is as long as the AEAD's key
_INFO, _EXPORT = b"message/bhttp request\0", b"message/bhttp response"


def seal_request(
    message: bytes, configuration: KeyConfiguration, *, entropy: Entropy
) -> tuple[bytes, ResponseSecret]:
    """Encapsulate one request with the first AEAD of the configuration.

    Returns:
        ``REQUEST_OVERHEAD`` bytes more than the message, and what opens the response.
    """
    aead = configuration.aeads[0]
    head = struct.pack(">BHHH", configuration.key_id, KEM_X25519, KDF_HKDF_SHA256, aead)
    enc, sealed, secret = configuration.public.seal(
        message, aead=aead, info=_INFO + head, export=_EXPORT, entropy=entropy
    )
    return head + enc + sealed, secret


@dataclass(frozen=True, slots=True, repr=False)
class OpenedRequest:
    """What a gateway has opened: the message, what seals the response, and ``enc``, which is no other request's."""

    message: bytes
    secret: ResponseSecret
    enc: bytes


@dataclass(frozen=True, slots=True)
class GatewayKey:
    """A key of ours, with the id and the AEADs under which clients know it."""

    key_id: int
    private: ObliviousPrivateKey
    aeads: tuple[ObliviousAead, ...] = tuple(ObliviousAead)

    def __post_init__(self) -> None:
        if not 0 <= self.key_id <= 255 or not self.aeads:
            raise UsageError("a gateway's key has an id from 0 to 255 and at least one AEAD")

    @property
    def configuration(self) -> KeyConfiguration:
        """Its public side."""
        return KeyConfiguration(self.key_id, self.private.public, self.aeads)


class GatewayKeys:
    """All keys that a gateway opens with.

    Args:
        published: offered to clients, the preferred one first.
        retired: still opened with, until the last client has fetched the new ones.

    Raises:
        UsageError: nothing is published, or two keys have one id.
    """

    def __init__(self, published: list[GatewayKey], retired: list[GatewayKey] | None = None) -> None:
        self._keys = {key.key_id: key for key in (*published, *(retired or ()))}
        if not published or len(self._keys) < len(published) + len(retired or ()):
            raise UsageError("a gateway publishes at least one key, and no two of its keys have one id")
        self.encoded = encode_key_configurations(tuple(key.configuration for key in published))

    def open(self, encapsulated: bytes) -> OpenedRequest:
        """Open a request with the key that it names.

        Raises:
            BadLayerError: it does not open. Unknown keys, other algorithms and damage look alike on purpose.
        """
        head, enc = encapsulated[:7], encapsulated[7 : 7 + ENC_SIZE]
        key = self._keys.get(head[0]) if len(encapsulated) >= REQUEST_OVERHEAD else None
        aead = _aead_of(head, key)
        if key is None or aead is None:
            raise BadLayerError("the request names a key or an algorithm that we don't have")
        message, secret = key.private.open(
            enc, encapsulated[7 + ENC_SIZE :], aead=aead, info=_INFO + head, export=_EXPORT
        )
        return OpenedRequest(message, secret, enc)


def _aead_of(head: bytes, key: GatewayKey | None) -> ObliviousAead | None:
    if key is None:
        return None
    _, kem, kdf, number = struct.unpack(">BHHH", head)
    if (kem, kdf) != (KEM_X25519, KDF_HKDF_SHA256):
        return None
    return next((aead for aead in key.aeads if aead == number), None)
