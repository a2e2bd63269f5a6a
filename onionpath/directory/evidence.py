"""Evidence that an authority signed two things of which it may sign one: both envelopes, for anybody to check.

Nothing in it is secret, and it convinces everybody who has the trust root. Spec: docs/specs/directory.md §12.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from onionpath.crypto.tags import digest
from onionpath.directory.countersigned import Countersigned, open_countersigned
from onionpath.directory.directory import decode_parts, encode_parts
from onionpath.directory.document import MAX_DOCUMENT_SIZE, decode_document
from onionpath.directory.document import PAYLOAD_TYPE as DOCUMENT_TYPE
from onionpath.directory.trust import TrustRoot
from onionpath.directory.vote import MAX_VOTE_SIZE, VOTE_TYPE, Opening, decode_vote
from onionpath.errors import DirectoryError, MalformedError, SignatureThresholdError

MAGIC = b"onionpath/1 evidence\n"
MAX_EVIDENCE_SIZE = len(MAGIC) + 3 * 4 + len(DOCUMENT_TYPE) + 2 * MAX_DOCUMENT_SIZE
_MAX_SIZES = {DOCUMENT_TYPE: MAX_DOCUMENT_SIZE, VOTE_TYPE: MAX_VOTE_SIZE}


@dataclass(frozen=True, slots=True)
class Evidence:
    """Two envelopes of one kind that exclude each other, or are said to: ``verify_evidence`` finds out.

    Args:
        payload_type: of both: documents or votes.
    """

    payload_type: str
    first: bytes = field(repr=False)
    second: bytes = field(repr=False)

    @classmethod
    def of_documents(cls, pair: tuple[bytes, bytes]) -> Evidence:
        """The pair of an ``EquivocationError``."""
        return cls(DOCUMENT_TYPE, *pair)

    @property
    def digest(self) -> bytes:
        """Of both envelopes, in any order; 32 bytes."""
        return digest(b"".join(sorted((digest(self.first), digest(self.second)))))

    def encode(self) -> bytes:
        """The content of its file."""
        return MAGIC + encode_parts([self.payload_type.encode(), self.first, self.second])


@dataclass(frozen=True, slots=True)
class Equivocation:
    """What evidence proves.

    Args:
        payload_type: of what was signed twice: documents or votes.
        number: of both documents, or of the document that both votes are on.
        digests: of the two payloads.
        guilty: the public keys of the authorities that have signed both, ascending; never empty.
    """

    payload_type: str
    number: int
    digests: tuple[bytes, bytes]
    guilty: tuple[bytes, ...]


def decode_evidence(data: bytes) -> Evidence:
    """Read a file of evidence; what it proves is not known yet.

    Raises:
        MalformedError: wrong form.
    """
    if not data.startswith(MAGIC) or len(data) > MAX_EVIDENCE_SIZE:
        raise MalformedError("this is no evidence against authorities")
    parts = decode_parts(data[len(MAGIC) :], max_parts=3, max_size=MAX_DOCUMENT_SIZE)
    if len(parts) != 3:
        raise MalformedError("evidence is a type and two envelopes")
    kind = next((kind for kind in _MAX_SIZES if kind.encode() == parts[0]), None)
    if kind is None:
        raise MalformedError("this is evidence about neither documents nor votes")
    return Evidence(kind, parts[1], parts[2])


def verify_evidence(evidence: Evidence, root: TrustRoot) -> Equivocation:
    """What the evidence proves, to whoever believes this version of the trust root.

    Raises:
        MalformedError: an envelope has a wrong form, or the two do not contradict each other.
        SignatureThresholdError: no authority of this version has signed both.
    """
    first, second = (_open(evidence.payload_type, each, root) for each in (evidence.first, evidence.second))
    matter, other = _matter(first), _matter(second)
    is_one = matter == other and matter.network_id == root.network_id
    if not is_one or first.payload == second.payload:
        raise MalformedError("these two do not contradict each other")
    signed_both = first.signers & second.signers
    # Honest authorities countersign both votes of a liar; only their author may sign but one.
    guilty = signed_both & {matter.author} if matter.author is not None else signed_both
    if not guilty:
        raise SignatureThresholdError("no authority has signed both")
    digests = digest(first.payload), digest(second.payload)
    return Equivocation(evidence.payload_type, matter.opening.number, digests, tuple(sorted(guilty)))


def is_proof(evidence: Evidence, root: TrustRoot) -> bool:
    """Whether it proves anybody's guilt."""
    try:
        verify_evidence(evidence, root)
    except (MalformedError, DirectoryError):
        return False
    return True


def _open(payload_type: str, envelope: bytes, root: TrustRoot) -> Countersigned:
    return open_countersigned(
        envelope, payload_type=payload_type, signers=root.signers, max_size=_MAX_SIZES[payload_type]
    )


@dataclass(frozen=True, slots=True)
class _Matter:
    """On what an authority may sign only one thing; whoever signs it, unless there is an author."""

    network_id: bytes
    opening: Opening
    author: bytes | None


def _matter(signed: Countersigned) -> _Matter:
    if signed.payload_type == VOTE_TYPE:
        vote = decode_vote(signed.payload)
        return _Matter(vote.network_id, vote.opening, vote.author)
    document = decode_document(signed.payload)
    return _Matter(document.network_id, Opening(document.number), None)
