"""The authorities of a network change; readers follow step by step, and nobody else can lead them."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onionpath.crypto.identity import IdentityKey
from onionpath.directory.address import Address
from onionpath.directory.directory import Directory, assemble, decode_directory, decode_seen
from onionpath.directory.document import NewerRootError, OldRootError, UnverifiedDocument
from onionpath.directory.envelope import sign
from onionpath.directory.parameters import Parameters
from onionpath.directory.succession import (
    PAYLOAD_TYPE,
    Lineage,
    SuccessionError,
    newest,
    resume,
    sign_succession,
    verify_succession,
)
from onionpath.directory.trust import Authority, TrustRoot
from onionpath.errors import MalformedError, SignatureThresholdError, UsageError
from onionpath.injected import UnixTime
from onionpath.onion.statuses import ReplyStatus
from onionpath.service.calls import Call
from onionpath.service.directory import DirectoryService, Publication
from onionpath.service.directory_fetch import DirectoryFetch
from tests.directory.networks import NOW, PERIOD_S, Network, bytes_of, identity, network, root

LATER = UnixTime(NOW + PERIOD_S)


def version(number: int, *, authorities: int = 3) -> TrustRoot:
    """Each version has authorities of its own, so that no signature counts for two of them."""
    return replace(
        root(),
        authorities=tuple(
            Authority(
                identity("authority", number, each).public,
                Address(f"9.{number}.{each}.1", 443),
                bytes_of("a link", number, each),
            )
            for each in range(authorities)
        ),
        threshold=authorities // 2 + 1,
        version=number,
    )


def keys(number: int, count: int = 2) -> list[IdentityKey]:
    return [identity("authority", number, each) for each in range(count)]


def step(number: int) -> bytes:
    """From this version to the next."""
    return sign_succession(version(number), version(number + 1), keys(number) + keys(number + 1))


def published(number: int, *, later: int = 0) -> Network:
    """A network whose document the authorities of this version have signed."""
    return network(
        trust=version(number),
        keys=keys(number),
        root_version=number,
        number=int(NOW // PERIOD_S) + later,
    )


def directory(number: int, *, later: int = 0) -> Directory:
    """What a reader has that came from version 1."""
    lineage = Lineage(version(1)).follow(step(each) for each in range(1, number))
    ours = published(number, later=later)
    return assemble(ours.verified(), ours.descriptors, lineage=lineage)


def test_a_succession_leads_to_the_next_version() -> None:
    assert version(2) == verify_succession(step(1), version(1))


def test_steps_are_followed_in_order() -> None:
    lineage = Lineage(version(1)).follow([step(1), step(2)])

    assert Lineage(version(3), (step(1), step(2))) == lineage
    assert 1 == lineage.first_version


@pytest.mark.parametrize("steps", [[2], [1, 1], [1, 3], [2, 1]])
def test_no_step_is_skipped_repeated_or_taken_backwards(steps: list[int]) -> None:
    with pytest.raises((SignatureThresholdError, SuccessionError)):
        Lineage(version(1)).follow(step(each) for each in steps)


def test_a_step_that_the_same_authorities_sign_cannot_be_skipped_either() -> None:
    """Their signatures count in every version, so the versions themselves must be compared."""
    one, two, three = (replace(version(1), version=number) for number in (1, 2, 3))
    second = sign_succession(two, three, keys(1))

    with pytest.raises(SuccessionError, match="version 3 does not follow version 1"):
        verify_succession(second, one)


def test_a_step_from_another_root_of_the_same_version_is_refused() -> None:
    ours = version(1)
    other = replace(ours, threshold=3)
    forked = sign_succession(other, version(2), keys(1, 3) + keys(2))

    with pytest.raises(SuccessionError, match="another trust root"):
        verify_succession(forked, ours)


@pytest.mark.parametrize(
    "changes",
    [
        {"network_id": bytes(32)},
        {"name": "other"},
        {"parameters": Parameters(hops=2)},
        {"parameters": Parameters(period_s=60)},
        {"version": 4},
    ],
    ids=str,
)
def test_a_step_changes_the_authorities_and_nothing_else(changes: dict[str, object]) -> None:
    after = replace(version(2), **changes)  # type: ignore[arg-type]  # of any type

    with pytest.raises(UsageError):
        sign_succession(version(1), after, keys(1) + keys(2))


def test_enough_of_64_authorities_can_sign_one_step() -> None:
    before, after = version(1, authorities=32), version(2, authorities=32)
    envelope = sign_succession(before, after, keys(1, 32) + keys(2, 32))

    assert after == verify_succession(envelope, before)


def test_a_newer_file_skips_the_steps_that_led_to_it() -> None:
    steps = [step(1), step(2)]

    assert version(3) == resume(version(1), 1, steps).root
    assert version(3) == resume(version(2), 1, steps).root
    assert Lineage(version(3)) == resume(version(3), 1, steps)
    assert version(4) == resume(version(4), 1, steps).root


def test_steps_that_begin_after_our_file_are_refused() -> None:
    with pytest.raises(SuccessionError):
        resume(version(1), 2, [step(2)])


def test_a_reader_is_given_the_steps_that_it_lacks() -> None:
    lineage = Lineage(version(2)).follow([step(2), step(3)])

    assert (step(2), step(3)) == lineage.after(2)
    assert (step(3),) == lineage.after(3)
    assert () == lineage.after(4) == lineage.after(60)
    # From version 1 we know no way.
    assert () == lineage.after(1)


def test_of_two_lineages_the_higher_version_counts_and_then_the_longer_memory() -> None:
    followed = Lineage(version(1)).follow([step(1)])

    assert followed is newest(Lineage(version(1)), followed, None)
    assert followed is newest(Lineage(version(2)), followed)


def test_a_document_of_another_version_than_ours_is_refused_by_name() -> None:
    same = replace(version(1), version=2)

    with pytest.raises(NewerRootError):
        UnverifiedDocument(network(trust=version(1), keys=keys(1), root_version=2).envelope).verify(
            version(1), now=NOW, seen=None
        )
    with pytest.raises(OldRootError):
        UnverifiedDocument(published(1).envelope).verify(same, now=NOW, seen=None)


def test_a_snapshot_keeps_the_steps() -> None:
    snapshot = directory(3).encode()
    again = decode_directory(snapshot, version(1), now=NOW, seen=None)

    assert Lineage(version(3), (step(1), step(2))) == again.lineage
    seen = decode_seen(snapshot, version(1))
    assert again.lineage == seen.lineage


def test_a_snapshot_without_steps_needs_the_newer_file() -> None:
    snapshot = assemble(published(2).verified(), published(2).descriptors).encode()

    with pytest.raises(SuccessionError):
        decode_directory(snapshot, version(1), now=NOW, seen=None)
    assert published(2).document == decode_directory(snapshot, version(2), now=NOW, seen=None).document


async def fetch(served: Directory, fetching: DirectoryFetch, *, now: UnixTime = NOW) -> Directory:
    service = DirectoryService()
    service.replace(Publication.of(served))
    while True:
        call = Call(2, fetching.next_call(), bytes(16), 1_044, 1, UnixTime(now + 10))
        reply = await service.answer(call)
        assert reply.status is ReplyStatus.ANSWERED
        result = fetching.take(reply.body, now=now)
        if result is not None:
            return result


async def test_a_reader_with_the_first_file_follows_to_the_present() -> None:
    fetched = await fetch(directory(3), DirectoryFetch(version(1)))

    assert published(3).document == fetched.document
    assert Lineage(version(3), (step(1), step(2))) == fetched.lineage


async def test_a_reader_that_followed_once_does_not_go_back() -> None:
    """Even with its directory expired: otherwise keys that were retired for being stolen would count again."""
    old, new = directory(1, later=1), directory(2)
    seen = decode_seen(new.encode(), version(1))

    for fetching in (DirectoryFetch(version(1), known=new), DirectoryFetch(version(1), seen=seen)):
        with pytest.raises(SignatureThresholdError):
            await fetch(old, fetching, now=LATER)


async def test_who_serves_a_newer_document_without_the_steps_is_not_believed() -> None:
    served = assemble(published(2).verified(), published(2).descriptors)

    with pytest.raises(SignatureThresholdError):
        await fetch(served, DirectoryFetch(version(1)))


@given(st.data())
def test_a_succession_with_any_byte_changed_is_refused(data: st.DataObject) -> None:
    envelope = bytearray(step(1))
    position = data.draw(st.integers(0, len(envelope) - 1))
    envelope[position] ^= data.draw(st.integers(1, 255))

    with pytest.raises((MalformedError, SignatureThresholdError)):
        verify_succession(bytes(envelope), version(1))


@given(st.binary(max_size=300))
def test_arbitrary_signed_bytes_raise_nothing_but_our_errors(payload: bytes) -> None:
    with pytest.raises(MalformedError):
        verify_succession(sign(PAYLOAD_TYPE, payload, keys(1)), version(1))
