"""Sealing one layer in Session's way: X25519 with a fresh key of the client, then AES-256-GCM or XChaCha20-Poly1305.

Weaker than a hybrid seal: nothing here withstands a quantum computer, and nothing beside the layer is authenticated.
What is refused although other implementations take it: AES-CBC (it has no tag), keys of small order, and second
spellings of a key. Source: docs/specs/session-onion.md §3; RFC 7748; NIST SP 800-38D; draft-irtf-cfrg-xchacha-03.
"""

from __future__ import annotations

import hmac
from enum import Enum
from hashlib import blake2b

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_decrypt,
    crypto_aead_xchacha20poly1305_ietf_encrypt,
)
from nacl.exceptions import CryptoError

from onionpath.crypto.keys import PublicBytes, SecretBytes
from onionpath.crypto.points import is_canonical_x25519
from onionpath.errors import BadLayerError, MalformedError
from onionpath.injected import Entropy

PUBLIC_SIZE = 32  # bytes: X25519
TAG_SIZE = 16  # bytes: both ciphers


class Cipher(Enum):
    """The two ciphers that real clients use; the value is the name on the wire."""

    AES_GCM = "aes-gcm"
    XCHACHA20 = "xchacha20"

    @property
    def nonce_size(self) -> int:
        """Bytes before the ciphertext."""
        return 12 if self is Cipher.AES_GCM else 24

    @property
    def overhead(self) -> int:
        """Bytes by which a sealed layer is longer."""
        return self.nonce_size + TAG_SIZE


class LayerSecret(SecretBytes):
    """The key of one layer and of the one reply to it; both ends of the layer derive it."""

    __slots__ = ("_cipher",)

    def __init__(self, secret: bytes, cipher: Cipher) -> None:
        super().__init__(secret)
        self._cipher = cipher

    @property
    def seed(self) -> bytes:
        """32 bytes that stand for the layer in a replay memory.

        They are made of the derived key and not of the ephemeral key beside the layer: adding a point of small order
        to that one gives another spelling under which AES-GCM's key, and therefore the layer, stays the same.
        """
        return blake2b(self._secret, digest_size=32, person=b"onionpath/1 ses.").digest()

    def seal(self, plaintext: bytes, *, entropy: Entropy) -> bytes:
        """A nonce of ``cipher.nonce_size`` bytes, then the ciphertext, then tag 16."""
        # The nonce must be random: the layer and its reply are sealed under the same key.
        nonce = entropy(self._cipher.nonce_size)
        if self._cipher is Cipher.AES_GCM:
            return nonce + AESGCM(self._secret).encrypt(nonce, plaintext, None)
        return nonce + crypto_aead_xchacha20poly1305_ietf_encrypt(plaintext, None, nonce, self._secret)

    def open(self, sealed: bytes) -> bytes:
        """Open what either end has sealed.

        Raises:
            BadLayerError: it does not open. Wrong key, wrong cipher and damage look alike on purpose.
        """
        if len(sealed) < self._cipher.overhead:
            raise BadLayerError("a sealed layer is shorter than its nonce and tag")
        nonce, rest = sealed[: self._cipher.nonce_size], sealed[self._cipher.nonce_size :]
        try:
            if self._cipher is Cipher.AES_GCM:
                return AESGCM(self._secret).decrypt(nonce, rest, None)
            return crypto_aead_xchacha20poly1305_ietf_decrypt(rest, None, nonce, self._secret)
        except (InvalidTag, CryptoError) as error:
            raise BadLayerError("the seal did not open") from error


class SessionPublicKey(PublicBytes):
    """A key that anybody can seal a layer to; 32 bytes.

    Raises:
        MalformedError: the length is wrong, or the key is of small order or not in canonical form.
    """

    __slots__ = ("_key",)

    def __init__(self, encoded: bytes) -> None:
        if not is_canonical_x25519(encoded):
            raise MalformedError(f"a Session key is a canonical X25519 key of {PUBLIC_SIZE} bytes")
        super().__init__(encoded)
        self._key = X25519PublicKey.from_public_bytes(self.encoded)


class SessionPrivateKey(SecretBytes):
    """The other half: of a relay, of a server, or a client's for a single layer.

    Raises:
        MalformedError: it is not 32 bytes.
    """

    __slots__ = ("_key", "public")

    def __init__(self, secret: bytes) -> None:
        if len(secret) != 32:
            raise MalformedError(f"a Session private key has 32 bytes, not {len(secret)}")
        super().__init__(secret)
        self._key = X25519PrivateKey.from_private_bytes(secret)
        self.public = SessionPublicKey(self._key.public_key().public_bytes_raw())

    @classmethod
    def generate(cls, entropy: Entropy) -> SessionPrivateKey:
        """A new key from 32 unpredictable bytes."""
        return cls(entropy(32))

    def secret_to(self, receiver: SessionPublicKey, cipher: Cipher) -> LayerSecret:
        """The secret of a layer that this key, fresh and used for no other layer, sends."""
        return _derive(self._shared(receiver), self.public, receiver, cipher)

    def secret_from(self, sender: SessionPublicKey, cipher: Cipher) -> LayerSecret:
        """The secret of a layer that has come with this ephemeral key."""
        return _derive(self._shared(sender), sender, self.public, cipher)

    def _shared(self, other: SessionPublicKey) -> bytes:
        # No canonical key of large order leads to the all-zero secret, which the library would refuse as well.
        return self._key.exchange(other._key)


def _derive(
    shared: bytes, sender: SessionPublicKey, receiver: SessionPublicKey, cipher: Cipher
) -> LayerSecret:
    if cipher is Cipher.AES_GCM:
        # The constant is the format's own; the key is bound to neither end.
        return LayerSecret(hmac.digest(b"LOKI", shared, "sha256"), cipher)
    bound = shared + sender.encoded + receiver.encoded
    return LayerSecret(blake2b(bound, digest_size=32).digest(), cipher)
