"""Differences lead to the very bytes that were signed, or fail."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onionpath.crypto.identity import RelayId
from onionpath.directory.canonical import encode_canonical
from onionpath.directory.difference import apply_difference, difference
from onionpath.directory.directory import Directory
from onionpath.directory.document import Document, Listing, ListingForm, UnverifiedDocument, sign_document
from onionpath.errors import MalformedError, MissingDirectoryError, SignatureThresholdError
from onionpath.injected import UnixTime
from onionpath.service.calls import Call
from onionpath.service.directory import DirectoryService, Publication
from onionpath.service.directory_fetch import DirectoryFetch
from onionpath.service.directory_wire import (
    DifferenceCall,
    DirectoryCall,
    DirectoryReply,
    DocumentCall,
    Outcome,
    decode_call,
    part_of,
)
from tests.directory.networks import (
    NOW,
    PERIOD_S,
    Network,
    authority_keys,
    bytes_of,
    descriptor,
    identity,
    network,
)

NUMBER = int(NOW // PERIOD_S)
LATER = UnixTime(NOW + PERIOD_S)
NAMES = range(12)
KNOWN = network([descriptor(name) for name in NAMES])
NEWER = network(
    [descriptor(name) for name in [*range(1, 11), 20]], weights=[7] + [1000] * 10, number=NUMBER + 1
)


def later(relays: list[Listing], **changes: object) -> Document:
    """A signed document of the next period with these relays."""
    start = (NUMBER + 1) * PERIOD_S
    document = replace(
        KNOWN.document,
        number=NUMBER + 1,
        valid_from=UnixTime(start),
        fresh_until=UnixTime(start + PERIOD_S),
        valid_until=UnixTime(start + 3 * PERIOD_S),
        relays=tuple(sorted(relays, key=lambda one: one.relay_id)),
        **changes,  # type: ignore[arg-type]  # of any type
    )
    return replace(document, envelope=sign_document(document, authority_keys(1)))


@settings(max_examples=40)
@given(
    st.sets(st.integers(0, 11), max_size=11),
    st.dictionaries(st.integers(0, 11), st.integers(1, 9), max_size=5),
    st.sets(st.integers(20, 25)),
    st.binary(min_size=32, max_size=32),
)
def test_a_difference_gives_the_very_bytes_that_were_signed(
    gone: set[int], weights: dict[int, int], new: set[int], previous: bytes
) -> None:
    listed = KNOWN.document.relays
    relays = [
        replace(one, weight=weights.get(name, one.weight), swarm=weights.get(name))
        for name, one in enumerate(listed)
        if name not in gone
    ]
    relays += [Listing(identity(name).relay_id, bytes_of(name), name) for name in new]
    newer = later(relays, previous=previous)

    assert newer.envelope == apply_difference(difference(KNOWN.verified(), newer), KNOWN.document)


def test_a_difference_from_another_document_is_refused() -> None:
    made = difference(KNOWN.verified(), NEWER.verified())
    twin = replace(KNOWN.document, previous=bytes_of("other"))

    with pytest.raises(MalformedError, match="that we have"):
        apply_difference(made, twin)


def wrong(defect: str) -> bytes:
    """A difference with one thing in it that no honest relay says."""
    made = difference(KNOWN.verified(), NEWER.verified())
    keyed = made.partition(b'"removed":["')[2]
    first, second = keyed[:44], keyed[47:91]
    listing = made.partition(b'"relays":[')[2].partition(b"}")[0] + b"}"
    return {
        "a removal twice": made.replace(first, second, 1),
        "removals out of order": made.replace(first, b"=" * 44)
        .replace(second, first)
        .replace(b"=" * 44, second),
        "a listing twice": made.replace(listing, listing + b"," + listing),
        "a stranger removed": made.replace(first, b"A" * 43 + b"="),
        "a key too many": made.replace(b'{"known"', b'{"extra":1,"known"'),
        "a byte behind": made + b"\n",
        "cut off": made[:-1],
    }[defect]


@pytest.mark.parametrize(
    "defect",
    [
        "a removal twice",
        "removals out of order",
        "a listing twice",
        "a stranger removed",
        "a key too many",
        "a byte behind",
        "cut off",
    ],
)
def test_a_difference_with_one_defect_is_refused(defect: str) -> None:
    assert wrong(defect) != difference(KNOWN.verified(), NEWER.verified())

    with pytest.raises(MalformedError):
        apply_difference(wrong(defect), KNOWN.document)


def test_a_listing_that_does_not_change_is_refused() -> None:
    same = later(list(KNOWN.document.relays))
    listing = encode_canonical(ListingForm.of(same.relays[0]))
    made = difference(KNOWN.verified(), same).replace(b'"relays":[]', b'"relays":[' + listing + b"]")

    with pytest.raises(MalformedError, match="changes nothing"):
        apply_difference(made, KNOWN.document)


def test_a_forged_difference_makes_a_document_that_nobody_signed() -> None:
    made = difference(KNOWN.verified(), NEWER.verified())
    forged = made.replace(b'"weight":7,', b'"weight":8,')
    assert forged != made

    with pytest.raises(SignatureThresholdError):
        UnverifiedDocument(apply_difference(forged, KNOWN.document)).verify(KNOWN.root, now=LATER, seen=None)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_raise_nothing_but_our_errors(data: bytes) -> None:
    with pytest.raises(MalformedError):
        apply_difference(data, KNOWN.document)


def serving(newest: Network, *before: Network) -> DirectoryService:
    """A relay that has had these documents, the oldest first."""
    service = DirectoryService()
    for each in [*before, newest]:
        service.replace(Publication.of(each.directory(), earlier=service.publication))
    return service


async def fetch(service: DirectoryService, known: Directory) -> tuple[Directory, list[DirectoryCall]]:
    fetching = DirectoryFetch(KNOWN.root, known=known)
    asked: list[DirectoryCall] = []
    while True:
        body = fetching.next_call()
        asked.append(decode_call(body))
        reply = await service.answer(Call(2, body, bytes(16), 8_032, 1, UnixTime(NOW + 99)))
        directory = fetching.take(reply.body, now=LATER)
        if directory is not None:
            return directory, asked


def kinds(asked: list[DirectoryCall]) -> set[type]:
    return {type(call) for call in asked[:-1]}


async def test_a_reader_of_an_earlier_document_gets_the_difference() -> None:
    directory, asked = await fetch(serving(NEWER, KNOWN), KNOWN.directory())

    assert NEWER.directory() == directory
    assert {DifferenceCall} == kinds(asked)


async def test_differences_lead_from_the_last_three_documents() -> None:
    older = [network([descriptor(name) for name in NAMES], number=NUMBER - back) for back in (3, 2, 1)]
    publication = serving(NEWER, *older, KNOWN).publication

    assert publication is not None
    assert {NUMBER, NUMBER - 1, NUMBER - 2} == publication.differences.keys()


async def test_without_a_difference_the_whole_is_fetched() -> None:
    directory, asked = await fetch(serving(NEWER), KNOWN.directory())

    assert NEWER.directory() == directory
    assert {DifferenceCall, DocumentCall} == kinds(asked)


async def test_a_difference_that_would_be_longer_than_the_whole_is_not_offered() -> None:
    strangers = network([descriptor(name) for name in range(30, 32)], number=NUMBER + 1)

    publication = serving(strangers, KNOWN).publication
    assert publication is not None
    assert {} == publication.differences


async def test_after_a_forged_difference_the_whole_is_fetched_from_the_same_relay() -> None:
    """A relay may err, or know another document of our number; only the whole shows who is wrong."""
    fetching = DirectoryFetch(KNOWN.root, known=KNOWN.directory())
    forged = b"{}" + bytes(1_100)
    fetching.take(part_of(forged, offset=0, capacity=4_000, number=NUMBER + 1).encode(), now=LATER)

    assert DocumentCall(known=NUMBER) == decode_call(fetching.next_call())


@pytest.mark.parametrize(
    ("outcome", "error"), [(Outcome.MISSING, MissingDirectoryError), (Outcome.REFUSED, MalformedError)]
)
def test_an_answer_that_is_no_difference_ends_the_fetch(outcome: Outcome, error: type[Exception]) -> None:
    with pytest.raises(error):
        DirectoryFetch(KNOWN.root, known=KNOWN.directory()).take(DirectoryReply(outcome).encode(), now=LATER)


@pytest.mark.slow
def test_a_difference_of_a_large_network_is_a_fraction_of_the_whole(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The figures of the specification, §11.4."""
    relays = [
        Listing(RelayId(identity("many", name).relay_id), bytes_of("d", name), 1000) for name in range(2_000)
    ]
    known = later(relays)
    changed = [replace(one, descriptor=bytes_of("new", one.relay_id)) for one in relays[:20]]
    joined = [
        Listing(identity("many", name).relay_id, bytes_of("d", name), 1000) for name in range(2_000, 2_010)
    ]
    newer = later([*changed, *relays[20:-10], *joined], previous=known.digest)
    made = difference(known, newer)

    with capsys.disabled():
        print(f"\nwhole {len(newer.envelope):,} bytes, difference {len(made):,} bytes")
    assert newer.envelope == apply_difference(made, known)
    assert 50 * len(made) < len(newer.envelope)
