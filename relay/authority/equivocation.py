"""Evidence that an authority signed two things of which it may sign one.

Whoever has the trust root can check it and needs to believe nobody. Spec: docs/specs/authorities.md §7.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from onionpath.directory.countersigned import Countersigned, open_countersigned
from onionpath.directory.document import MAX_DOCUMENT_SIZE, decode_document
from onionpath.directory.document import PAYLOAD_TYPE as DOCUMENT_TYPE
from onionpath.directory.trust import TrustRoot
from onionpath.errors import DirectoryError, MalformedError, SignatureThresholdError
from relay.authority.votes import MAX_VOTE_SIZE, VOTE_TYPE, decode_vote


@dataclass(frozen=True, slots=True)
class Equivocation:
    """Two envelopes of one kind, and one number or opening, whose payloads differ.

    Args:
        payload_type: of both: votes or documents.
    """

    payload_type: str
    first: bytes = field(repr=False)
    second: bytes = field(repr=False)


def verify_evidence(evidence: Equivocation, root: TrustRoot) -> frozenset[bytes]:
    """The public keys of the authorities whose guilt it proves; never empty.

    Raises:
        MalformedError: an envelope has a wrong form, or the two don't exclude each other.
        SignatureThresholdError: no authority has signed both.
    """
    match evidence.payload_type:
        case str(kind) if kind == VOTE_TYPE:
            guilty = _double_votes(*_open(evidence, root, MAX_VOTE_SIZE), root)
        case str(kind) if kind == DOCUMENT_TYPE:
            guilty = _double_signers(*_open(evidence, root, MAX_DOCUMENT_SIZE), root)
        case _:
            raise MalformedError("this is evidence about neither votes nor documents")
    if not guilty:
        raise SignatureThresholdError("no authority has signed both")
    return guilty


def is_evidence(pair: Equivocation, root: TrustRoot) -> bool:
    """Whether it proves anybody's guilt."""
    try:
        return bool(verify_evidence(pair, root))
    except (MalformedError, DirectoryError):
        return False


def _open(evidence: Equivocation, root: TrustRoot, max_size: int) -> tuple[Countersigned, Countersigned]:
    first, second = (
        open_countersigned(
            envelope, payload_type=evidence.payload_type, signers=root.signers, max_size=max_size
        )
        for envelope in (evidence.first, evidence.second)
    )
    if first.payload == second.payload:
        raise MalformedError("the two envelopes say the same")
    return first, second


def _double_votes(first: Countersigned, second: Countersigned, root: TrustRoot) -> frozenset[bytes]:
    votes = decode_vote(first.payload), decode_vote(second.payload)
    _check_same(*((vote.network_id, vote.opening, vote.author) for vote in votes))
    _check_same(votes[0].network_id, root.network_id)
    author = votes[0].author
    # Others have only countersigned, and may sign both.
    return frozenset({author} & first.signatures.keys() & second.signatures.keys())


def _double_signers(first: Countersigned, second: Countersigned, root: TrustRoot) -> frozenset[bytes]:
    documents = decode_document(first.payload), decode_document(second.payload)
    _check_same(*((document.network_id, document.number) for document in documents))
    _check_same(documents[0].network_id, root.network_id)
    return frozenset(first.signatures.keys() & second.signatures.keys())


def _check_same(one: object, other: object) -> None:
    if one != other:
        raise MalformedError("the two envelopes are not of one network, number, opening and author")
