"""DSSE envelopes: exact bytes and who has signed them.

Nobody parses a payload before enough signatures over it verified: what is only read says ``Unverified``.
Source: the DSSE specification, version 1.0 (secure-systems-lab/dsse); docs/specs/directory.md §2.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import msgspec

from onionpath.crypto.identity import PUBLIC_SIZE, SIGNATURE_SIZE, IdentityKey, is_signed_by
from onionpath.directory.canonical import Form, decode_canonical, encode_canonical
from onionpath.errors import MalformedError, SignatureThresholdError

MAX_SIGNATURES = 32


class SignatureForm(Form, frozen=True):
    """One signature as it is written."""

    keyid: str
    sig: bytes


class _EnvelopeForm(Form, frozen=True):
    payload: bytes
    payload_type: str = msgspec.field(name="payloadType")
    signatures: tuple[SignatureForm, ...]


def pae(payload_type: str, payload: bytes) -> bytes:
    """The bytes that are signed: the type and the payload, each after its length in decimal."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def sign(payload_type: str, payload: bytes, keys: Sequence[IdentityKey]) -> bytes:
    """An envelope with one signature by each key."""
    message = pae(payload_type, payload)
    return join(payload_type, payload, {key.public: key.sign(message) for key in keys})


def join(payload_type: str, payload: bytes, signatures: Mapping[bytes, bytes]) -> bytes:
    """An envelope with these signatures, by key, whatever they are worth."""
    return encode_canonical(
        _EnvelopeForm(payload=payload, payload_type=payload_type, signatures=signature_forms(signatures))
    )


def signature_forms(signatures: Mapping[bytes, bytes]) -> tuple[SignatureForm, ...]:
    """The written form of signatures by key, ascending."""
    return tuple(SignatureForm(key.hex(), signatures[key]) for key in sorted(signatures))


def parse_signatures(
    forms: Sequence[SignatureForm], *, max_signatures: int = MAX_SIGNATURES
) -> dict[bytes, bytes]:
    """Signatures by key, none of them verified.

    Raises:
        MalformedError: too many, not ascending by key, or not of the form of Ed25519.
    """
    if len(forms) > max_signatures:
        raise MalformedError(f"at most {max_signatures} signatures are allowed, not {len(forms)}")
    if any(one.keyid >= two.keyid for one, two in pairwise(forms)):
        raise MalformedError("signatures are repeated or out of order")
    return dict(map(_parse_signature, forms))


@dataclass(frozen=True, slots=True)
class UnverifiedEnvelope:
    """What an envelope says: a payload, and signatures over it by key, of which none was verified."""

    payload_type: str
    payload: bytes = field(repr=False)
    signatures: Mapping[bytes, bytes] = field(repr=False)

    def valid(self, signers: Collection[bytes]) -> dict[bytes, bytes]:
        """Those of the signatures that are by ``signers`` and verify."""
        message = pae(self.payload_type, self.payload)
        return {
            key: signature
            for key, signature in self.signatures.items()
            if key in signers and is_signed_by(key, signature, message)
        }


def read_envelope(
    envelope: bytes, *, payload_type: str, max_size: int, max_signatures: int = MAX_SIGNATURES
) -> UnverifiedEnvelope:
    """Read an envelope, and verify nothing.

    Args:
        max_size: bytes of the envelope; a longer one is refused unread.

    Raises:
        MalformedError: no envelope of this type.
    """
    form = decode_canonical(_EnvelopeForm, envelope, what="the envelope", max_size=max_size)
    if form.payload_type != payload_type:
        raise MalformedError(f"the envelope does not hold {payload_type}")
    if not form.signatures:
        raise MalformedError("the envelope has no signatures")
    signatures = parse_signatures(form.signatures, max_signatures=max_signatures)
    return UnverifiedEnvelope(payload_type, form.payload, signatures)


def open_signed(
    envelope: bytes,
    *,
    payload_type: str,
    signers: Collection[bytes],
    threshold: int,
    max_size: int,
    max_signatures: int = MAX_SIGNATURES,
) -> bytes:
    """The payload, if at least ``threshold`` of ``signers`` have signed it.

    Args:
        signers: Ed25519 public keys; a signature by any other key is ignored.
        max_size: bytes of the envelope; a longer one is refused unread.
        max_signatures: an envelope with more is refused before any is verified.

    Raises:
        MalformedError: no envelope of this type.
        SignatureThresholdError: too few of them have signed.
    """
    read = read_envelope(
        envelope, payload_type=payload_type, max_size=max_size, max_signatures=max_signatures
    )
    valid = read.valid(signers)
    if len(valid) < threshold:
        raise SignatureThresholdError(f"{len(valid)} of the {threshold} signatures that are needed are valid")
    return read.payload


def open_self_signed(envelope: bytes, *, payload_type: str, max_size: int) -> tuple[bytes, bytes]:
    """The one signer (32 bytes) and the payload; the caller compares the signer with the name inside.

    Raises:
        MalformedError: no envelope of this type, or not exactly one signature.
        SignatureThresholdError: the signature is wrong.
    """
    read = read_envelope(envelope, payload_type=payload_type, max_size=max_size)
    if len(read.signatures) != 1:
        raise MalformedError(f"one signature is expected, not {len(read.signatures)}")
    (public,) = read.signatures
    if not read.valid([public]):
        raise SignatureThresholdError("the signature is wrong")
    return public, read.payload


def _parse_signature(form: SignatureForm) -> tuple[bytes, bytes]:
    try:
        public = bytes.fromhex(form.keyid)
    except ValueError as error:
        raise MalformedError("a keyid is not hexadecimal") from error
    # One key has one spelling: fromhex also takes capitals and spaces.
    if public.hex() != form.keyid or len(public) != PUBLIC_SIZE or len(form.sig) != SIGNATURE_SIZE:
        raise MalformedError("a signature does not have the form of an Ed25519 signature")
    return public, form.sig
