"""Envelopes that collect signatures: the same bytes, signed by one authority after another.

It is the envelope of docs/specs/directory.md §2, with the signatures kept apart so that more can join them.
Only signatures of known authorities that verify are kept, and nothing is read that none of them signed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import msgspec

from onionpath.crypto.identity import PUBLIC_SIZE, SIGNATURE_SIZE, IdentityKey, is_signed_by
from onionpath.directory.canonical import Form, decode_canonical, encode_canonical
from onionpath.directory.envelope import MAX_SIGNATURES, pae
from onionpath.errors import MalformedError, SignatureThresholdError

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
        """The same with the signatures of another envelope over these bytes."""
        return self._joined(other.signatures)

    def with_valid(self, signatures: Mapping[bytes, bytes], signers: Collection[bytes]) -> Countersigned:
        """The same with those of the signatures that are new, valid, and by ``signers``."""
        message = pae(self.payload_type, self.payload)
        return self._joined(
            {
                key: signature
                for key, signature in signatures.items()
                if key in signers and key not in self.signers and is_signed_by(key, signature, message)
            }
        )

    def encode(self) -> bytes:
        """The envelope, its signatures in ascending order of key."""
        return encode_canonical(
            _Envelope(
                payload=self.payload,
                payload_type=self.payload_type,
                signatures=signature_forms(self.signatures),
            )
        )

    def _joined(self, more: Mapping[bytes, bytes]) -> Countersigned:
        return (
            self if not more else Countersigned(self.payload_type, self.payload, {**more, **self.signatures})
        )


class SignatureForm(Form, frozen=True):
    """One signature as it is written."""

    keyid: str
    sig: bytes


class _Envelope(Form, frozen=True):
    payload: bytes
    payload_type: str = msgspec.field(name="payloadType")
    signatures: tuple[SignatureForm, ...]


def signature_forms(signatures: Mapping[bytes, bytes]) -> tuple[SignatureForm, ...]:
    """The written form of signatures by key, ascending."""
    return tuple(SignatureForm(key.hex(), signatures[key]) for key in sorted(signatures))


def parse_signatures(forms: tuple[SignatureForm, ...]) -> dict[bytes, bytes]:
    """Signatures by key, none of them verified.

    Raises:
        MalformedError: too many, not ascending, or not of the form of Ed25519.
    """
    keyids = [form.keyid for form in forms]
    if len(forms) > MAX_SIGNATURES or keyids != sorted(set(keyids)):
        raise MalformedError("signatures are too many, repeated or out of order")
    return dict(_parse_signature(form) for form in forms)


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
    form = decode_canonical(_Envelope, envelope, what="the envelope", max_size=max_size)
    if form.payload_type != payload_type:
        raise MalformedError(f"the envelope does not hold {payload_type}")
    signatures = parse_signatures(form.signatures)
    same = next((one for one in known if one.payload == form.payload), None)
    base = same or Countersigned(payload_type, form.payload, NO_SIGNATURES)
    opened = base.with_valid(signatures, signers)
    if not opened.signatures:
        raise SignatureThresholdError("no known authority has signed this")
    return opened


def _parse_signature(form: SignatureForm) -> tuple[bytes, bytes]:
    try:
        key = bytes.fromhex(form.keyid)
    except ValueError as error:
        raise MalformedError("a keyid is not hexadecimal") from error
    # One key has one spelling: fromhex also takes capitals and spaces.
    if key.hex() != form.keyid or len(key) != PUBLIC_SIZE or len(form.sig) != SIGNATURE_SIZE:
        raise MalformedError("a signature does not have the form of an Ed25519 signature")
    return key, form.sig
