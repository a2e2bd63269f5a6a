"""The attacks that The Update Framework lists against repositories, each against our directory (P9)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from onionpath.directory.descriptor import sign_descriptor
from onionpath.directory.directory import Directory, assemble, decode_directory
from onionpath.directory.document import (
    MAX_DOCUMENT_SIZE,
    PAYLOAD_TYPE,
    EquivocationError,
    NewerRootError,
    OldRootError,
    SeenDocument,
    UnverifiedDocument,
    encode_document,
    sign_document,
)
from onionpath.directory.envelope import sign
from onionpath.directory.evidence import Evidence, verify_evidence
from onionpath.directory.succession import SuccessionError, sign_succession, verify_succession
from onionpath.errors import (
    DirectoryError,
    MalformedError,
    RollbackError,
    SignatureThresholdError,
    StaleDirectoryError,
    WrongNetworkError,
)
from onionpath.injected import UnixTime
from onionpath.service.calls import Call
from onionpath.service.directory import DirectoryService, Publication
from onionpath.service.directory_fetch import DirectoryFetch
from onionpath.service.directory_wire import MIN_PART, DirectoryReply, Outcome
from tests.directory.networks import (
    NOW,
    PERIOD_S,
    Network,
    authority_keys,
    bytes_of,
    descriptor,
    identity,
    network,
    root,
)
from tests.directory.test_succession import keys, step, version

NUMBER = int(NOW // PERIOD_S)
LATER = UnixTime(NOW + PERIOD_S)
GOOD = network()
NEXT = network(number=NUMBER + 1)
# Signed by the same authorities, of the same number, and another network of relays.
TWIN = network([descriptor(name) for name in range(10, 15)])


async def fetched(served: Network, fetching: DirectoryFetch, *, now: UnixTime = NOW) -> Directory:
    """What a fetch makes of a relay that serves this."""
    service = DirectoryService()
    service.replace(Publication.of(served.directory()))
    while True:
        reply = await service.answer(Call(2, fetching.next_call(), bytes(16), 8_032, 1, UnixTime(now + 9)))
        directory = fetching.take(reply.body, now=now)
        if directory is not None:
            return directory


def verify(envelope: bytes, *, now: UnixTime = NOW, seen: SeenDocument | None = None) -> None:
    UnverifiedDocument(envelope).verify(root(), now=now, seen=seen)


def content(total: int, part: bytes, offset: int = 0) -> bytes:
    return DirectoryReply(Outcome.CONTENT, total, offset, 1, part).encode()


async def test_arbitrary_content() -> None:
    """Relays that nobody listed, in a document that only their inventor has signed."""
    with pytest.raises(SignatureThresholdError):
        await fetched(GOOD, DirectoryFetch(replace(root(), authorities=version(1).authorities, threshold=2)))


async def test_rollback() -> None:
    with pytest.raises(RollbackError):
        await fetched(GOOD, DirectoryFetch(root(), seen=SeenDocument.of(NEXT.document)), now=LATER)


def test_rollback_by_a_disk_that_was_set_back() -> None:
    with pytest.raises(RollbackError):
        decode_directory(GOOD.directory().encode(), root(), now=LATER, seen=SeenDocument.of(NEXT.document))


async def test_freeze() -> None:
    """A relay that says for ever that nothing has changed."""
    known = GOOD.directory()
    late = UnixTime(known.document.valid_until + 30)

    with pytest.raises(StaleDirectoryError):
        await fetched(GOOD, DirectoryFetch(root(), known=known), now=late)


@pytest.mark.parametrize("ahead", [1, 1_000, 1_000_000])
def test_fast_forward(ahead: int) -> None:
    """Even with all keys nobody signs a number that honest documents reach only much later: it is not yet valid."""
    with pytest.raises(StaleDirectoryError, match="future"):
        verify(network(number=NUMBER + ahead).envelope)


def test_fast_forward_by_a_number_that_does_not_fit_its_time() -> None:
    payload = encode_document(GOOD.document).replace(
        b'"number":%d' % NUMBER, b'"number":%d' % (NUMBER + 9_000)
    )

    with pytest.raises(MalformedError, match="period"):
        verify(sign(PAYLOAD_TYPE, payload, authority_keys(1)))


def test_mix_and_match() -> None:
    """A relay's descriptor of another period, in the place of the one that the document names."""
    other = sign_descriptor(descriptor(0, version="old", published_at=UnixTime(NOW - 9_000)), identity(0))
    directory = assemble(GOOD.verified(), [other, *GOOD.descriptors[1:]])

    assert identity(0).relay_id not in directory.relays


async def test_equivocation() -> None:
    seen = SeenDocument.of(GOOD.verified())

    with pytest.raises(EquivocationError) as caught:
        await fetched(TWIN, DirectoryFetch(root(), seen=seen))
    assert (GOOD.envelope, TWIN.envelope) == caught.value.pair


async def test_equivocation_towards_a_reader_who_asks_two_relays() -> None:
    beside = await fetched(GOOD, DirectoryFetch(root()))

    with pytest.raises(EquivocationError) as caught:
        await fetched(TWIN, DirectoryFetch(root(), beside=beside))
    proof = verify_evidence(Evidence.of_documents(caught.value.pair), root())
    assert (NUMBER, (identity("authority", 0).public,)) == (proof.number, proof.guilty)


async def test_a_relay_that_keeps_the_newest_back_from_a_reader_who_asks_two() -> None:
    for first, second in ((GOOD, NEXT), (NEXT, GOOD)):
        beside = await fetched(first, DirectoryFetch(root()), now=LATER)
        directory = await fetched(second, DirectoryFetch(root(), beside=beside), now=LATER)

        assert NEXT.directory() == directory


async def test_a_relay_that_denies_a_document_which_another_one_gave() -> None:
    known = GOOD.directory()
    beside = await fetched(NEXT, DirectoryFetch(root(), known=known), now=LATER)

    assert beside is await fetched(GOOD, DirectoryFetch(root(), known=known, beside=beside), now=LATER)


async def test_the_second_of_two_relays_that_agree_is_asked_for_no_descriptor() -> None:
    beside = await fetched(GOOD, DirectoryFetch(root()))

    assert beside is await fetched(GOOD, DirectoryFetch(root(), beside=beside))


@pytest.mark.parametrize(
    "pair",
    [(GOOD.envelope, GOOD.envelope), (GOOD.envelope, NEXT.envelope)],
    ids=["the same twice", "two numbers"],
)
def test_false_evidence_against_authorities(pair: tuple[bytes, bytes]) -> None:
    with pytest.raises(MalformedError):
        verify_evidence(Evidence.of_documents(pair), root())


def test_forged_evidence_against_authorities() -> None:
    forged = network(keys=[identity("stranger")], previous=bytes_of("other")).envelope

    with pytest.raises(SignatureThresholdError):
        verify_evidence(Evidence.of_documents((GOOD.envelope, forged)), root())


def test_authorities_that_signed_one_of_two_documents_are_not_accused() -> None:
    trust = root(5, 3)
    one = sign_document(GOOD.document, authority_keys(3))
    other = sign_document(replace(GOOD.document, previous=bytes_of("other")), authority_keys(5)[2:])

    assert (identity("authority", 2).public,) == verify_evidence(
        Evidence.of_documents((one, other)), trust
    ).guilty


def test_endless_data() -> None:
    with pytest.raises(MalformedError, match="longer than"):
        DirectoryFetch(root()).take(content(MAX_DOCUMENT_SIZE + 1, bytes(5_000)), now=NOW)
    with pytest.raises(MalformedError, match="contradicts"):
        DirectoryFetch(root()).take(content(5_000, bytes(5_001)), now=NOW)


def test_slow_retrieval() -> None:
    """Each answer brings 1,024 bytes or the end; how long one may take is the deadline of whoever carries it."""
    with pytest.raises(MalformedError, match="progress"):
        DirectoryFetch(root()).take(content(5_000, bytes(MIN_PART - 1)), now=NOW)


@pytest.mark.parametrize("copies", [2, 3])
def test_repeated_keys(copies: int) -> None:
    """One authority that signs often is still one."""
    envelope = sign_document(GOOD.document, authority_keys(1) * copies)

    with pytest.raises(SignatureThresholdError, match="1 of the 2"):
        UnverifiedDocument(envelope).verify(root(3, 2), now=NOW, seen=None)


def test_aliased_keys() -> None:
    """A key has one spelling, so that no alias of it counts as a second one."""
    twice = sign_document(GOOD.document, authority_keys(1) * 2)
    name = authority_keys(1)[0].public.hex().encode()
    head, _, rest = twice.rpartition(name)

    with pytest.raises(MalformedError):
        UnverifiedDocument(head + name.upper() + rest).verify(root(3, 2), now=NOW, seen=None)


def test_wrong_network() -> None:
    """The same authorities may run another network."""
    with pytest.raises(WrongNetworkError):
        verify(network(network_id=bytes_of("other network")).envelope)


def test_wrong_role_of_a_relay() -> None:
    """Whoever may sign a descriptor may sign nothing else."""
    with pytest.raises(MalformedError):
        verify(sign_descriptor(descriptor(1), identity(1)))
    with pytest.raises(SignatureThresholdError):
        verify(sign_document(GOOD.document, [identity(1)]))


@pytest.mark.parametrize("kind", ["succession", "vote", "descriptor"])
def test_wrong_role_of_an_authoritys_signature(kind: str) -> None:
    """What an authority has signed as something else never counts as a document."""
    payload = encode_document(GOOD.document)

    with pytest.raises(MalformedError):
        verify(sign(f"application/vnd.onionpath.{kind}.v1+json", payload, authority_keys(1)))


def test_wrong_role_of_a_document() -> None:
    with pytest.raises(MalformedError):
        verify_succession(GOOD.envelope, root())


def test_extraneous_fields() -> None:
    payload = encode_document(GOOD.document)
    for extended in (payload[:-1] + b',"next":1}', payload.replace(b'"hops":3', b'"hops":3,"via":"me"')):
        assert extended != payload
        with pytest.raises(MalformedError):
            verify(sign(PAYLOAD_TYPE, extended, authority_keys(1)))


def test_a_truncated_list() -> None:
    """Relays that are left out of the signed bytes, or whose descriptors are kept back."""
    short = replace(GOOD.document, relays=GOOD.document.relays[:2])
    signatures = GOOD.envelope.rpartition(b',"signatures":')[2]
    forged = sign_document(short, authority_keys(1)).rpartition(b',"signatures":')[0]
    with pytest.raises(SignatureThresholdError):
        verify(forged + b',"signatures":' + signatures)

    with pytest.raises(DirectoryError, match="40 %"):
        assemble(GOOD.verified(), GOOD.descriptors[:2])


def test_a_skipped_succession() -> None:
    with pytest.raises(SignatureThresholdError):
        verify_succession(step(2), version(1))


def test_a_skipped_succession_by_authorities_that_stayed() -> None:
    one, two, three = (replace(version(1), version=number) for number in (1, 2, 3))

    with pytest.raises(SuccessionError):
        verify_succession(sign_succession(two, three, keys(1)), one)


@pytest.mark.parametrize("signers", [1, 2])
def test_a_succession_signed_by_one_side_only(signers: int) -> None:
    """By the old ones alone it could name keys that nobody holds; by the new ones alone anybody could succeed."""
    envelope = sign_succession(version(1), version(2), keys(signers))

    with pytest.raises(SignatureThresholdError):
        verify_succession(envelope, version(1))


def test_a_succession_by_too_few_of_one_side() -> None:
    for few in (keys(1, 1) + keys(2), keys(1) + keys(2, 1)):
        with pytest.raises(SignatureThresholdError):
            verify_succession(sign_succession(version(1), version(2), few), version(1))


def test_rollback_of_the_trust_root() -> None:
    """Keys that were retired, perhaps because they were stolen, sign nothing any more; not even if some stayed."""
    retired = replace(root(), version=2)

    with pytest.raises(OldRootError):
        UnverifiedDocument(GOOD.envelope).verify(retired, now=NOW, seen=None)
    with pytest.raises(NewerRootError):
        UnverifiedDocument(network(root_version=2).envelope).verify(root(), now=NOW, seen=None)


def test_rollback_of_the_trust_root_by_a_succession() -> None:
    with pytest.raises(SuccessionError):
        verify_succession(step(1), version(2))
