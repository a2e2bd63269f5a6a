from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onionpath.directory.descriptor import sign_descriptor
from onionpath.directory.directory import assemble, decode_directory, decode_parts, decode_seen, encode_parts
from onionpath.errors import (
    DirectoryError,
    MalformedError,
    OnionPathError,
    RollbackError,
    StaleDirectoryError,
)
from onionpath.injected import UnixTime
from tests.directory.networks import NOW, bytes_of, descriptor, door, identity, network, packet_key

GOOD = network()


def test_a_directory_has_every_relay_of_the_document() -> None:
    directory = GOOD.directory()

    assert {identity(name).relay_id for name in range(5)} == set(directory.relays)
    assert {1000} == {relay.weight for relay in directory.relays.values()}
    assert 0 == directory.missing


def test_missing_descriptors_are_left_out_and_counted() -> None:
    directory = assemble(GOOD.verified(), GOOD.descriptors[:3])

    assert (3, 2) == (len(directory.relays), directory.missing)


def test_less_than_60_percent_of_the_weight_is_no_directory() -> None:
    """Otherwise whoever withholds descriptors chooses our relays for us."""
    with pytest.raises(DirectoryError, match="40 %"):
        assemble(GOOD.verified(), GOOD.descriptors[:2])


def test_a_newer_descriptor_than_the_listed_one_is_not_used() -> None:
    """Mixing two times would make a directory that no authority signed."""
    newer = sign_descriptor(descriptor(0, version="9"), identity(0))
    directory = assemble(GOOD.verified(), [newer, *GOOD.descriptors[1:]])

    assert identity(0).relay_id not in directory.relays
    assert 1 == directory.missing


def test_a_link_key_under_two_names_is_refused() -> None:
    twice = network([descriptor(0), descriptor(1, link_key_hash=bytes_of("link", 0))])

    with pytest.raises(DirectoryError, match="two names"):
        twice.directory()


def test_a_packet_key_under_two_names_is_refused() -> None:
    epoch = descriptor(0).packet_keys[1].epoch
    twice = network(
        [descriptor(0), descriptor(1, packet_keys=(descriptor(1).packet_keys[0], packet_key(0, epoch)))]
    )

    with pytest.raises(DirectoryError, match="two names"):
        twice.directory()


@pytest.mark.parametrize("shared", ["key", "certificate_hash"])
def test_a_session_key_or_certificate_under_two_names_is_refused(shared: str) -> None:
    """Whoever seals to one of the two relays would not know which of them can open it."""
    first, second = door(0), door(1)
    rival = replace(second, **{shared: getattr(first, shared)})

    with pytest.raises(DirectoryError, match="two names"):
        network([descriptor(0, session=first), descriptor(1, session=rival)]).directory()


def test_a_descriptor_of_another_network_is_refused() -> None:
    with pytest.raises(DirectoryError):
        network([descriptor(0, network_id=bytes(32))]).directory()


def test_a_descriptor_listed_under_another_name_is_refused() -> None:
    listing = GOOD.document.relays[0]
    renamed = replace(GOOD.document, relays=(replace(listing, relay_id=identity("nobody").relay_id),))

    with pytest.raises(DirectoryError):
        assemble(renamed, GOOD.descriptors)


def test_descriptors_that_are_known_need_not_come_again() -> None:
    assert GOOD.directory() == assemble(GOOD.verified(), [], known=GOOD.directory())


def test_a_snapshot_gives_back_the_directory() -> None:
    directory = GOOD.directory()

    assert directory == decode_directory(directory.encode(), GOOD.root, now=NOW, seen=directory.seen)


def test_a_snapshot_is_verified_like_a_strangers_message() -> None:
    snapshot = GOOD.directory().encode()
    with pytest.raises(StaleDirectoryError):
        decode_directory(snapshot, GOOD.root, now=UnixTime(NOW + 86_400), seen=None)
    newer = replace(GOOD.directory().seen, number=GOOD.document.number + 1)
    with pytest.raises(RollbackError):
        decode_directory(snapshot, GOOD.root, now=NOW, seen=newer)


def test_an_expired_snapshot_still_proves_what_was_seen() -> None:
    assert GOOD.directory().seen == decode_seen(GOOD.directory().encode(), GOOD.root)


def test_a_truncated_snapshot_is_refused() -> None:
    snapshot = GOOD.directory().encode()

    with pytest.raises(MalformedError):
        decode_directory(snapshot[:-1], GOOD.root, now=NOW, seen=None)


@given(
    st.binary(max_size=200).flatmap(lambda data: st.sampled_from([data, b"onionpath/1 directory\n" + data]))
)
def test_arbitrary_snapshots_raise_nothing_but_our_errors(data: bytes) -> None:
    with pytest.raises(OnionPathError):
        decode_directory(data, GOOD.root, now=NOW, seen=None)


@given(st.lists(st.binary(max_size=50), max_size=8))
def test_parts_come_out_as_they_went_in(parts: list[bytes]) -> None:
    assert parts == decode_parts(encode_parts(parts), max_parts=8, max_size=50)


def test_too_many_or_too_long_parts_are_refused() -> None:
    with pytest.raises(MalformedError):
        decode_parts(encode_parts([b"", b""]), max_parts=1, max_size=1)
    with pytest.raises(MalformedError):
        decode_parts(encode_parts([b"ab"]), max_parts=1, max_size=1)
