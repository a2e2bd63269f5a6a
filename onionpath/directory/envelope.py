"""DSSE envelopes: exact bytes and who has signed them.

The payload leaves this module only after enough signatures over it verified, so nobody can parse what nobody
signed.
Source: the DSSE specification, version 1.0 (secure-systems-lab/dsse); docs/specs/directory.md §2.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

from onionpath.crypto.identity import PUBLIC_SIZE, SIGNATURE_SIZE, IdentityKey, is_signed_by
from onionpath.directory.canonical import Form, decode_canonical, encode_canonical
from onionpath.errors import MalformedError, SignatureThresholdError

MAX_SIGNATURES = 32


class SignatureForm(Form, frozen=True):
    """One signature as it is written."""

    keyid: str
    sig: bytes


class _Envelope(Form, frozen=True):
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
    return join(payload_type, payload, [SignatureForm(key.public.hex(), key.sign(message)) for key in keys])


def join(payload_type: str, payload: bytes, signatures: Sequence[SignatureForm]) -> bytes:
    """An envelope with these signatures, whatever they are worth."""
    return encode_canonical(
        _Envelope(payload=payload, payload_type=payload_type, signatures=tuple(signatures))
    )


def signatures_of(envelope: bytes, *, payload_type: str, max_size: int) -> tuple[SignatureForm, ...]:
    """The signatures of an envelope that was verified before.

    Raises:
        MalformedError: no envelope of this type.
    """
    return _parse(envelope, payload_type=payload_type, max_size=max_size).signatures


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
    form = _parse(envelope, payload_type=payload_type, max_size=max_size, max_signatures=max_signatures)
    valid = _valid_signers(form, signers)
    if len(valid) < threshold:
        raise SignatureThresholdError(f"{len(valid)} of the {threshold} signatures that are needed are valid")
    return form.payload


def signers_of(
    envelope: bytes, *, payload_type: str, signers: Collection[bytes], max_size: int
) -> frozenset[bytes]:
    """Which of these keys have signed an envelope.

    Raises:
        MalformedError: no envelope of this type.
    """
    return _valid_signers(_parse(envelope, payload_type=payload_type, max_size=max_size), signers)


def open_self_signed(envelope: bytes, *, payload_type: str, max_size: int) -> tuple[bytes, bytes]:
    """The one signer (32 bytes) and the payload; the caller compares the signer with the name inside.

    Raises:
        MalformedError: no envelope of this type, or not exactly one signature.
        SignatureThresholdError: the signature is wrong.
    """
    form = _parse(envelope, payload_type=payload_type, max_size=max_size)
    if len(form.signatures) != 1:
        raise MalformedError(f"one signature is expected, not {len(form.signatures)}")
    public, signature = _key_and_signature(form.signatures[0])
    if not is_signed_by(public, signature, pae(form.payload_type, form.payload)):
        raise SignatureThresholdError("the signature is wrong")
    return public, form.payload


def _parse(
    envelope: bytes, *, payload_type: str, max_size: int, max_signatures: int = MAX_SIGNATURES
) -> _Envelope:
    form = decode_canonical(_Envelope, envelope, what="the envelope", max_size=max_size)
    if form.payload_type != payload_type:
        raise MalformedError(f"the envelope does not hold {payload_type}")
    if not 1 <= len(form.signatures) <= max_signatures:
        raise MalformedError(f"an envelope has 1 to {max_signatures} signatures, not {len(form.signatures)}")
    return form


def _valid_signers(form: _Envelope, signers: Collection[bytes]) -> frozenset[bytes]:
    message = pae(form.payload_type, form.payload)
    # A set of decoded keys, so that a key written twice still has one vote.
    return frozenset(
        public
        for public, signature in map(_key_and_signature, form.signatures)
        if public in signers and is_signed_by(public, signature, message)
    )


def _key_and_signature(form: SignatureForm) -> tuple[bytes, bytes]:
    try:
        public = bytes.fromhex(form.keyid)
    except ValueError as error:
        raise MalformedError("a keyid is not hexadecimal") from error
    # One key has one spelling: fromhex also takes capitals and spaces.
    if public.hex() != form.keyid or len(public) != PUBLIC_SIZE or len(form.sig) != SIGNATURE_SIZE:
        raise MalformedError("a signature does not have the form of an Ed25519 signature")
    return public, form.sig
