"""Sealing a request to a gateway and its one response back: HPKE base mode with an exported secret.

``cryptography`` has HPKE without export, so the key schedule here is pyhpke's (an extra: ``onionpath[ohttp]``), whose
primitives are cryptography's. KEM X25519 (0x0020) and KDF HKDF-SHA256 are fixed; three AEADs may be negotiated.
Source: RFC 9180; RFC 9458 §4.3 and §4.4; decision record 0011.
"""

from __future__ import annotations

import enum
from typing import Any

import pyhpke
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand
from pyhpke.exceptions import PyHPKEError

from onionpath.crypto.keys import PublicBytes, SecretBytes
from onionpath.crypto.points import is_canonical_x25519
from onionpath.errors import BadLayerError, MalformedError
from onionpath.injected import Entropy

PUBLIC_SIZE = 32  # bytes: X25519
ENC_SIZE = 32  # bytes: an ephemeral X25519 public key
TAG_SIZE = 16  # bytes: all three AEADs
NONCE_SIZE = 12  # bytes: likewise

_KEM = pyhpke.CipherSuite.new(
    pyhpke.KEMId.DHKEM_X25519_HKDF_SHA256, pyhpke.KDFId.HKDF_SHA256, pyhpke.AEADId.AES128_GCM
).kem


class ObliviousAead(enum.IntEnum):
    """The AEADs of RFC 9180 §7.3 that both sides may choose from."""

    AES_128_GCM = 1
    AES_256_GCM = 2
    CHACHA20_POLY1305 = 3

    @property
    def key_size(self) -> int:
        """Bytes of a key; also of a response's nonce, since every key is longer than an AEAD's nonce."""
        return 16 if self is ObliviousAead.AES_128_GCM else 32

    @property
    def suite(self) -> pyhpke.CipherSuite:
        """The HPKE suite with this AEAD."""
        return pyhpke.CipherSuite.new(
            pyhpke.KEMId.DHKEM_X25519_HKDF_SHA256, pyhpke.KDFId.HKDF_SHA256, pyhpke.AEADId(int(self))
        )


class ResponseSecret(SecretBytes):
    """What a request's two ends share for its one response.

    Args:
        secret: exported from the request's HPKE context; ``aead.key_size`` bytes.
        enc: the request's ephemeral key, 32 bytes.
    """

    __slots__ = ("_aead", "_enc")

    def __init__(self, secret: bytes, *, aead: ObliviousAead, enc: bytes) -> None:
        super().__init__(secret)
        self._aead = aead
        self._enc = enc

    def seal(self, plaintext: bytes, *, entropy: Entropy) -> bytes:
        """A nonce of ``aead.key_size`` bytes, then the ciphertext, then tag 16."""
        # A replayed request leads to the same secret, so the nonce alone keeps two of its responses apart.
        nonce = entropy(self._aead.key_size)
        cipher, cipher_nonce = self._cipher(nonce)
        return nonce + cipher.encrypt(cipher_nonce, plaintext, None)

    def open(self, sealed: bytes) -> bytes:
        """Open what the other end sealed.

        Raises:
            BadLayerError: it does not open.
        """
        size = self._aead.key_size
        if len(sealed) < size + TAG_SIZE:
            raise BadLayerError("the response is shorter than an empty one")
        cipher, cipher_nonce = self._cipher(sealed[:size])
        try:
            return cipher.decrypt(cipher_nonce, sealed[size:], None)
        except InvalidTag as error:
            raise BadLayerError("the response's seal did not open") from error

    def _cipher(self, nonce: bytes) -> tuple[AESGCM | ChaCha20Poly1305, bytes]:
        key_material = HKDF.extract(SHA256(), self._enc + nonce, self._secret)
        key = HKDFExpand(SHA256(), self._aead.key_size, b"key").derive(key_material)
        cipher_nonce = HKDFExpand(SHA256(), NONCE_SIZE, b"nonce").derive(key_material)
        if self._aead is ObliviousAead.CHACHA20_POLY1305:
            return ChaCha20Poly1305(key), cipher_nonce
        return AESGCM(key), cipher_nonce


class ObliviousPublicKey(PublicBytes):
    """A gateway's key, to which anybody can seal a request; 32 bytes.

    Raises:
        MalformedError: the length is wrong, or the key is of small order or not in canonical form.
    """

    __slots__ = ("_key",)

    def __init__(self, encoded: bytes) -> None:
        if not is_canonical_x25519(encoded):
            raise MalformedError(f"a gateway's key is a canonical X25519 key of {PUBLIC_SIZE} bytes")
        super().__init__(encoded)
        self._key = _KEM.deserialize_public_key(self.encoded)

    def seal(
        self, plaintext: bytes, *, aead: ObliviousAead, info: bytes, export: bytes, entropy: Entropy
    ) -> tuple[bytes, bytes, ResponseSecret]:
        """Seal one request with a fresh ephemeral key of 32 bytes of ``entropy``.

        Returns:
            ``enc`` 32 bytes; the ciphertext with its tag 16; what opens the response.
        """
        enc, context = aead.suite.create_sender_context(self._key, info=info, eks=_key_pair(entropy(32)))
        return enc, context.seal(plaintext), _response_secret(context, aead, enc, export)


class ObliviousPrivateKey(SecretBytes):
    """A gateway's own key: 32 bytes.

    Raises:
        MalformedError: it is not 32 bytes.
    """

    __slots__ = ("_key", "public")

    def __init__(self, secret: bytes) -> None:
        if len(secret) != 32:
            raise MalformedError(f"a gateway's private key has 32 bytes, not {len(secret)}")
        super().__init__(secret)
        pair = _key_pair(secret)
        self._key = pair.private_key
        self.public = ObliviousPublicKey(pair.public_key.to_public_bytes())

    @classmethod
    def generate(cls, entropy: Entropy) -> ObliviousPrivateKey:
        """A new key from 32 unpredictable bytes."""
        return cls(entropy(32))

    def open(
        self, enc: bytes, sealed: bytes, *, aead: ObliviousAead, info: bytes, export: bytes
    ) -> tuple[bytes, ResponseSecret]:
        """Open a request.

        Returns:
            The plaintext, and what seals its response.

        Raises:
            BadLayerError: it does not open. Wrong key, wrong ``info`` and damage look alike on purpose.
        """
        try:
            context = aead.suite.create_recipient_context(enc, self._key, info=info)
            plaintext = context.open(sealed)
        except (PyHPKEError, ValueError) as error:
            raise BadLayerError("the request's seal did not open") from error
        return plaintext, _response_secret(context, aead, enc, export)


def _key_pair(secret: bytes) -> Any:
    private = X25519PrivateKey.from_private_bytes(secret)
    load = pyhpke.KEMKey.from_pyca_cryptography_key
    return pyhpke.KEMKeyPair(load(private), load(private.public_key()))


def _response_secret(context: Any, aead: ObliviousAead, enc: bytes, export: bytes) -> ResponseSecret:
    return ResponseSecret(context.export(export, aead.key_size), aead=aead, enc=enc)
