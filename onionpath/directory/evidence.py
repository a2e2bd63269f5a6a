"""Proof that authorities signed two documents of one number: both envelopes, for anybody to check.

Whoever catches an ``EquivocationError`` writes ``encode_evidence(error.pair)`` beside his snapshot; nothing in
it is secret, and it convinces everybody who has the trust root. Spec: docs/specs/directory.md §12.
"""

from __future__ import annotations

from dataclasses import dataclass

from onionpath.directory.countersigned import open_countersigned
from onionpath.directory.directory import decode_parts, encode_parts
from onionpath.directory.document import MAX_DOCUMENT_SIZE, PAYLOAD_TYPE, UnverifiedDocument
from onionpath.directory.trust import TrustRoot
from onionpath.errors import MalformedError

MAGIC = b"onionpath/1 evidence\n"
MAX_EVIDENCE_SIZE = len(MAGIC) + 2 * (4 + MAX_DOCUMENT_SIZE)


@dataclass(frozen=True, slots=True)
class Equivocation:
    """What a pair of documents proves.

    Args:
        number: that both have.
        digests: of the two documents.
        guilty: the public keys of the authorities that have signed both, ascending.
    """

    number: int
    digests: tuple[bytes, bytes]
    guilty: tuple[bytes, ...]


def encode_evidence(pair: tuple[bytes, bytes]) -> bytes:
    """The content of an evidence file."""
    return MAGIC + encode_parts(pair)


def verify_evidence(data: bytes, root: TrustRoot) -> Equivocation:
    """What the evidence proves, to whoever believes this version of the trust root.

    Raises:
        MalformedError: this is no evidence, or the two documents do not contradict each other.
        SignatureThresholdError, WrongNetworkError, NewerRootError, OldRootError: see
            ``UnverifiedDocument.authenticate``.
    """
    if not data.startswith(MAGIC) or len(data) > MAX_EVIDENCE_SIZE:
        raise MalformedError("this is no evidence against authorities")
    parts = decode_parts(data[len(MAGIC) :], max_parts=2, max_size=MAX_DOCUMENT_SIZE)
    if len(parts) != 2:
        raise MalformedError("evidence is two documents")
    one, other = (UnverifiedDocument(part).authenticate(root) for part in parts)
    if one.number != other.number or one.digest == other.digest:
        raise MalformedError("these two documents do not contradict each other")
    signed = [
        open_countersigned(
            part, payload_type=PAYLOAD_TYPE, signers=root.signers, max_size=MAX_DOCUMENT_SIZE
        ).signers
        for part in parts
    ]
    return Equivocation(one.number, (one.digest, other.digest), tuple(sorted(signed[0] & signed[1])))
