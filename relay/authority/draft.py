"""A document on its way: tabulated and signed by us, until enough others have signed the same bytes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from onionpath.crypto.identity import IdentityKey
from onionpath.crypto.tags import digest
from onionpath.directory.countersigned import NO_SIGNATURES, Countersigned, open_countersigned
from onionpath.directory.document import MAX_DOCUMENT_SIZE, Document, decode_document, encode_document
from onionpath.directory.document import PAYLOAD_TYPE as DOCUMENT_TYPE


@dataclass(frozen=True, slots=True)
class Draft:
    """What we signed, its digest (32 bytes), and the verified signatures over it."""

    number: int
    digest: bytes
    countersigned: Countersigned = field(repr=False)

    @classmethod
    def sign(cls, document: Document, key: IdentityKey) -> Draft:
        """The one draft of its number that this key ever signs; the caller sees to that."""
        payload = encode_document(document)
        countersigned = Countersigned(DOCUMENT_TYPE, payload, NO_SIGNATURES).signed_by(key)
        return cls(document.number, digest(payload), countersigned)

    @classmethod
    def decode(cls, envelope: bytes, signers: Collection[bytes]) -> Draft:
        """Read one's own from the diary.

        Raises:
            MalformedError, SignatureThresholdError: it is none.
        """
        countersigned = open_countersigned(
            envelope, payload_type=DOCUMENT_TYPE, signers=signers, max_size=MAX_DOCUMENT_SIZE
        )
        payload = countersigned.payload
        return cls(decode_document(payload).number, digest(payload), countersigned)

    @property
    def envelope(self) -> bytes:
        """The document's envelope, complete or not."""
        return self.countersigned.encode()

    @property
    def signatures(self) -> Mapping[bytes, bytes]:
        """By public key."""
        return self.countersigned.signatures

    def collect(self, signatures: Mapping[bytes, bytes], signers: Collection[bytes]) -> Draft:
        """The same with those that are new and valid."""
        return replace(self, countersigned=self.countersigned.with_valid(signatures, signers))
