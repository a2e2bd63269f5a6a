"""Envelopes that collect signatures: the same bytes, signed by one after another.

Only signatures of known keys that verify are kept, and nothing is read that none of them signed.
Spec: docs/specs/directory.md §2.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from onionpath.crypto.identity import IdentityKey
from onionpath.directory.envelope import UnverifiedEnvelope, join, pae, read_envelope
from onionpath.errors import SignatureThresholdError

NO_SIGNATURES: Mapping[bytes, bytes] = {}


@dataclass(frozen=True, slots=True)
class Countersigned:
    """A payload and the verified signatures over it, by public key."""

    payload_type: str
    payload: bytes = field(repr=False)
    signatures: Mapping[bytes, bytes] = field(repr=False)

    @property
    def signers(self) -> frozenset[bytes]:
        """The public keys of whoever has signed it."""
        return frozenset(self.signatures)

    def signed_by(self, key: IdentityKey) -> Countersigned:
        """The same with one more signature."""
        return self._joined({key.public: key.sign(pae(self.payload_type, self.payload))})

    def merged(self, other: Countersigned) -> Countersigned:
        """The same with the signatures of another one over these bytes."""
        return self._joined(other.signatures)

    def with_valid(self, signatures: Mapping[bytes, bytes], signers: Collection[bytes]) -> Countersigned:
        """The same with those of the signatures that are new, valid, and by ``signers``."""
        new = {key: signature for key, signature in signatures.items() if key not in self.signatures}
        return self._joined(UnverifiedEnvelope(self.payload_type, self.payload, new).valid(signers))

    def encode(self) -> bytes:
        """The envelope."""
        return join(self.payload_type, self.payload, self.signatures)

    def _joined(self, more: Mapping[bytes, bytes]) -> Countersigned:
        return (
            self if not more else Countersigned(self.payload_type, self.payload, {**more, **self.signatures})
        )


def open_countersigned(
    envelope: bytes,
    *,
    payload_type: str,
    signers: Collection[bytes],
    max_size: int,
    known: Collection[Countersigned] = (),
) -> Countersigned:
    """The payload with all signatures of ``signers`` over it.

    Args:
        known: what was opened before, so that its signatures need not be verified again.

    Raises:
        MalformedError: no such envelope.
        SignatureThresholdError: none of them has signed it.
    """
    read = read_envelope(envelope, payload_type=payload_type, max_size=max_size)
    same = next((one for one in known if one.payload == read.payload), None)
    base = same or Countersigned(payload_type, read.payload, NO_SIGNATURES)
    opened = base.with_valid(read.signatures, signers)
    if not opened.signatures:
        raise SignatureThresholdError("nobody whose word counts here has signed this")
    return opened
