"""The self-signed certificate of a link, and the hash by which its key is pinned.

P-256, because BoringSSL clients refuse Ed25519 certificates. Nothing in the certificate but its public key is
trusted: the hash of that key stands in the relay's signed descriptor.
"""

from __future__ import annotations

import datetime
import hashlib
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from onionpath.errors import MalformedError

HASH_SIZE = 32


class LinkCertificate(NamedTuple):
    """PEM texts for ``ssl.SSLContext.load_cert_chain``, and the SHA-256 of the public key."""

    certificate_pem: bytes
    key_pem: bytes
    key_hash: bytes

    def __repr__(self) -> str:
        return f"<LinkCertificate {self.key_hash.hex()[:8]}>"

    def __reduce__(self) -> Any:
        raise TypeError("LinkCertificate holds a secret key and is not pickled")


def make_link_certificate() -> LinkCertificate:
    """A new P-256 key and a certificate for it that never expires and names nobody."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "link")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # Fixed dates: a certificate should not tell when its relay was installed. The end is RFC 5280's "none".
        .not_valid_before(datetime.datetime(2020, 1, 1))
        .not_valid_after(datetime.datetime(9999, 12, 31, 23, 59, 59))
        .sign(key, hashes.SHA256())
    )
    return LinkCertificate(
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
        certificate_key_hash(certificate.public_bytes(serialization.Encoding.DER)),
    )


def certificate_key_hash(der: bytes) -> bytes:
    """SHA-256 of the certificate's SubjectPublicKeyInfo (32 bytes).

    Raises:
        MalformedError: these bytes are no certificate.
    """
    try:
        key = x509.load_der_x509_certificate(der).public_key()
    except Exception as error:  # the parser has many exception types, and each means the same here
        raise MalformedError("the peer's certificate cannot be read") from error
    spki = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(spki).digest()


def pem_key_hash(certificate_pem: bytes) -> bytes:
    """``certificate_key_hash`` of a certificate as it lies on disk."""
    try:
        der = x509.load_pem_x509_certificate(certificate_pem).public_bytes(serialization.Encoding.DER)
    except Exception as error:  # an unknown version, among others, is not a ValueError
        raise MalformedError("this file holds no certificate") from error
    return certificate_key_hash(der)
