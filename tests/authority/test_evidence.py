from dataclasses import replace

import pytest

from onionpath.crypto.identity import IdentityKey
from onionpath.directory.countersigned import Countersigned
from onionpath.directory.directory import encode_parts
from onionpath.directory.document import PAYLOAD_TYPE as DOCUMENT_TYPE
from onionpath.directory.document import sign_document
from onionpath.directory.evidence import MAGIC, Evidence, decode_evidence, verify_evidence
from onionpath.directory.vote import VOTE_TYPE, Vote, sign_vote
from onionpath.errors import MalformedError, SignatureThresholdError
from tests.directory.networks import NETWORK_ID, authority_keys, bytes_of, identity, network, root

ROOT = root(3, 2)
FIRST, SECOND, THIRD = authority_keys(3)


def vote(
    author: IdentityKey = FIRST, *, ballot: int = 0, number: int = 7, recovery_at: int = 0
) -> Countersigned:
    value = Vote(
        network_id=NETWORK_ID,
        root_version=1,
        number=number,
        recovery_at=recovery_at,
        author=author.public,
        last_number=0,
        last_digest=bytes(32),
        ballot=bytes_of("ballot", ballot),
        salt=bytes(32),
    )
    return sign_vote(value, author)


def votes(one: Countersigned, other: Countersigned) -> Evidence:
    return Evidence(VOTE_TYPE, one.encode(), other.encode())


def document(weight: int, *keys: IdentityKey, number: int | None = None) -> bytes:
    value = network().document
    first = replace(value.relays[0], weight=weight)
    return sign_document(replace(value, relays=(first, *value.relays[1:])), keys)


def test_two_votes_of_one_author_prove_its_guilt() -> None:
    assert (FIRST.public,) == verify_evidence(votes(vote(ballot=1), vote(ballot=2)), ROOT).guilty


def test_votes_of_two_openings_of_one_number_prove_nothing() -> None:
    pair = votes(vote(ballot=1, recovery_at=60), vote(ballot=2, recovery_at=120))

    with pytest.raises(MalformedError):
        verify_evidence(pair, ROOT)


def test_who_countersigned_both_is_not_guilty() -> None:
    pair = votes(vote(ballot=1).signed_by(SECOND), vote(ballot=2).signed_by(SECOND))

    assert (FIRST.public,) == verify_evidence(pair, ROOT).guilty


def test_two_documents_prove_the_guilt_of_whoever_signed_both() -> None:
    pair = Evidence(DOCUMENT_TYPE, document(1, FIRST, SECOND), document(2, SECOND, THIRD))

    assert (SECOND.public,) == verify_evidence(pair, ROOT).guilty


@pytest.mark.parametrize(
    "pair",
    [
        votes(vote(ballot=1), vote(ballot=1).signed_by(SECOND)),
        votes(vote(ballot=1), vote(ballot=2, number=8)),
        votes(vote(ballot=1), vote(SECOND, ballot=2)),
        Evidence(DOCUMENT_TYPE, vote(ballot=1).encode(), vote(ballot=2).encode()),
    ],
    ids=["the same vote", "other numbers", "other authors", "another type"],
)
def test_what_does_not_exclude_each_other_proves_nothing(pair: Evidence) -> None:
    with pytest.raises(MalformedError):
        verify_evidence(pair, ROOT)


@pytest.mark.parametrize(
    "pair",
    [
        Evidence(DOCUMENT_TYPE, document(1, FIRST), document(2, SECOND)),
        votes(vote(identity("stranger"), ballot=1), vote(identity("stranger"), ballot=2)),
    ],
    ids=["different signers", "a stranger"],
)
def test_two_signers_or_strangers_prove_nothing(pair: Evidence) -> None:
    with pytest.raises(SignatureThresholdError):
        verify_evidence(pair, ROOT)


def test_others_cannot_make_evidence_against_an_author() -> None:
    forged = replace(vote(ballot=2), signatures={}).signed_by(SECOND)

    with pytest.raises(SignatureThresholdError):
        verify_evidence(votes(vote(ballot=1), forged), ROOT)


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [b"one", b"other"],
        [b"application/test", b"one", b"other"],
        [VOTE_TYPE.encode(), b"one"],
        [VOTE_TYPE.encode(), b"one", b"other", b"third"],
    ],
    ids=["empty", "no type", "an unknown type", "one envelope", "three envelopes"],
)
def test_what_is_not_a_type_and_two_envelopes_is_no_evidence(parts: list[bytes]) -> None:
    with pytest.raises(MalformedError):
        decode_evidence(MAGIC + encode_parts(parts))


def test_a_file_of_evidence_reads_as_it_was_written() -> None:
    pair = votes(vote(ballot=1), vote(ballot=2))

    assert pair == decode_evidence(pair.encode())
