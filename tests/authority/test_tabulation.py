from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onionpath.crypto.identity import RelayId
from onionpath.directory.descriptor import descriptor_digest
from onionpath.directory.document import Document, encode_document
from onionpath.directory.vote import Vote
from onionpath.injected import UnixTime
from relay.authority.ballots import Ballot, Choice, ballot_digest
from relay.authority.capacities import UNMEASURED_BYTES_PER_S, agreed_capacity, weigh_capacities
from relay.authority.families import mutual_families
from relay.authority.tabulation import Counted, tabulate
from tests.authority.worlds import ballot_of, known
from tests.directory.networks import NETWORK_ID, bytes_of, descriptor, identity, root

ROOT = root(5, 3)


def counted(author: int, ballot: Ballot, *, last: int = 0) -> Counted:
    last_digest = bytes_of("document", last) if last else bytes(32)
    vote = Vote(
        network_id=NETWORK_ID,
        root_version=1,
        number=480_000,
        recovery_at=0,
        author=identity("authority", author).public,
        last_number=last,
        last_digest=last_digest,
        ballot=ballot_digest(ballot.encode()),
        salt=bytes_of("salt", author),
    )
    return Counted(vote, ballot)


def descriptors() -> dict[bytes, object]:
    every = [known(name, version) for name in range(6) for version in ("0.1", "0.2")]
    return {descriptor_digest(one.envelope): one.descriptor for one in every}


def draft(*ballots: Ballot, lasts: tuple[int, ...] = ()) -> Document:
    numbers = lasts or (0,) * len(ballots)
    votes = [counted(author, ballot, last=numbers[author]) for author, ballot in enumerate(ballots)]
    document = tabulate(votes, descriptors(), ROOT, documents=nothing)  # type: ignore[arg-type]
    assert document is not None
    return document


def nothing(name: bytes) -> None:
    """Where no document is known."""


def listed(document: Document) -> set[RelayId]:
    return {one.relay_id for one in document.relays}


def test_a_relay_is_listed_when_more_than_half_of_the_ballots_hold_it() -> None:
    both, one = ballot_of(known(0), known(1)), ballot_of(known(0))

    assert {identity(0).relay_id, identity(1).relay_id} == listed(draft(both, both, both, one, one))
    assert {identity(0).relay_id} == listed(draft(both, both, one, one, one))


def test_half_of_the_ballots_is_not_enough() -> None:
    both, one = ballot_of(known(0), known(1)), ballot_of(known(0))
    votes = [counted(author, ballot) for author, ballot in enumerate((both, both, one, one))]
    document = tabulate(votes, descriptors(), root(5, 4), documents=nothing)  # type: ignore[arg-type]

    assert document is not None
    assert {identity(0).relay_id} == listed(document)


def test_the_descriptor_that_most_ballots_name_is_listed() -> None:
    old, new = ballot_of(known(0, "0.1")), ballot_of(known(0, "0.2"))

    for ballots in ((old, old, old, new), (new, old, old, old)):
        assert descriptor_digest(known(0, "0.1").envelope) == draft(*ballots).relays[0].descriptor


def test_a_descriptor_that_only_a_possible_minority_of_liars_names_is_none() -> None:
    """It may be one that nobody can fetch."""
    old, new = ballot_of(known(0, "0.1")), ballot_of(known(0, "0.2"))
    votes = [counted(author, ballot) for author, ballot in enumerate((old, old, new, new))]

    assert tabulate(votes, descriptors(), ROOT, documents=nothing) is None  # type: ignore[arg-type]


def test_of_two_that_are_named_as_often_the_younger_one_is_listed() -> None:
    trust = root(4, 3)
    old = replace(known(0), descriptor=replace(known(0).descriptor, published_at=UnixTime(1)))
    held = {descriptor_digest(one.envelope): one.descriptor for one in (old, known(0, "0.2"))}
    votes = [counted(author, ballot_of(known(0, f"0.{1 + author % 2}"))) for author in range(4)]
    document = tabulate(votes, held, trust, documents=nothing)

    assert document is not None
    assert descriptor_digest(known(0, "0.2").envelope) == document.relays[0].descriptor


def test_fewer_votes_than_the_threshold_make_no_draft() -> None:
    votes = [counted(author, ballot_of(known(0))) for author in range(2)]

    assert tabulate(votes, descriptors(), ROOT, documents=nothing) is None  # type: ignore[arg-type]


def test_two_relays_with_one_key_are_not_both_listed() -> None:
    """Every reader would refuse the document; each of two majorities may share an authority that lies."""
    rival = descriptor(1, link_key_hash=descriptor(0).link_key_hash)
    held = {bytes([name]) * 32: value for name, value in enumerate((descriptor(0), rival))}
    ballot = Ballot({value.relay_id: Choice(digest) for digest, value in held.items()})
    document = tabulate([counted(author, ballot) for author in range(5)], held, ROOT, documents=nothing)

    assert document is not None
    assert {min(descriptor(0).relay_id, rival.relay_id)} == listed(document)


def test_the_chain_goes_on_from_the_newest_document_that_a_vote_names() -> None:
    ballot = ballot_of(known(0))

    assert bytes_of("document", 9) == draft(ballot, ballot, ballot, lasts=(0, 9, 7)).previous


@given(st.integers(0, 2**32))
def test_the_order_of_votes_does_not_matter(seed: int) -> None:
    choice = Random(seed)
    seen = [[known(name, choice.choice(("0.1", "0.2"))) for name in range(4)] for _ in range(5)]
    votes = [
        counted(author, ballot_of(*each, capacity=choice.randrange(1, 1000)))
        for author, each in enumerate(seen)
    ]
    shuffled = choice.sample(votes, len(votes))
    one, other = (tabulate(each, descriptors(), ROOT, documents=nothing) for each in (votes, shuffled))  # type: ignore[arg-type]

    assert (one and encode_document(one)) == (other and encode_document(other))


@pytest.mark.parametrize(
    ("capacity", "measures", "votes"),
    [
        (UNMEASURED_BYTES_PER_S, [], 5),
        (UNMEASURED_BYTES_PER_S, [900, 900], 5),
        (900, [900, 900], 3),
        (20, [10, 20, 10**12], 5),
        (20, [30, 20, 10, 40], 9),
    ],
)
def test_a_capacity_is_the_low_median_of_enough_measures(
    capacity: int, measures: list[int], votes: int
) -> None:
    assert capacity == agreed_capacity(measures, votes=votes)


@settings(max_examples=15)
@given(st.lists(st.integers(1, 2**40), min_size=40, max_size=60), st.integers(1, 30))
def test_no_relay_and_no_family_has_more_than_its_share(capacities: list[int], family: int) -> None:
    """Unless that cannot be; then all are equal."""
    names = [identity(name).relay_id for name in range(len(capacities))]
    first = descriptor(0)
    relays = [
        replace(
            first,
            relay_id=name,
            family=tuple(
                sorted(other for other in names[:family] if other != name and name in names[:family])
            ),
        )
        for name in names
    ]
    weights = weigh_capacities(dict(zip(names, capacities, strict=True)), relays)
    total = sum(weights.values())

    assert all(0 <= weight <= 1_000_000 for weight in weights.values())
    if len(set(weights.values())) > 1:
        assert 20 * max(weights.values()) <= total
        assert all(10 * sum(weights[one] for one in each) <= total for each in mutual_families(relays))


def test_in_a_small_network_weights_follow_capacities() -> None:
    names = [identity(name).relay_id for name in range(3)]
    weights = weigh_capacities(
        dict(zip(names, (50, 100, 1), strict=True)), [descriptor(name) for name in range(3)]
    )

    assert [500_000, 1_000_000, 10_000] == [weights[name] for name in names]
