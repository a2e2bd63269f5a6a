"""What holds for every onion format, whatever its bytes are: the four verbs, and what nobody on the way may do."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onionpath.crypto.tags import TagKey
from onionpath.errors import PeerError, UsageError
from onionpath.injected import UnixTime
from onionpath.onion.replay import DEFAULT_SLOT_S, MemoryTables, Remembered, ReplayMemory
from tests.contract.formats import FORMATS, Format
from tests.onion.paths import SLOT

NOW = UnixTime(SLOT * DEFAULT_SLOT_S)
# A body that is found if it shows anywhere.
BODY = b"canary of the body"

each_format = pytest.mark.parametrize("onion", FORMATS.values(), ids=FORMATS.keys())


def way_of(onion: Format, packet: Any) -> list[Any]:
    """What each relay makes of the packet, the first relay's first."""
    way = [onion.peel(packet, 0)]
    while onion.next_relay(way[-1]) is not None:
        way.append(onion.peel(way[-1].packet, len(way)))
    return way


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8 % len(data)] ^= 1 << bit % 8
    return bytes(changed)


@each_format
def test_the_four_verbs_have_the_same_names_in_the_same_order(onion: Format) -> None:
    verbs = [name for name, each in vars(onion.onion).items() if callable(each) and not name.startswith("_")]

    assert ["wrap", "peel", "seal_reply", "open_reply"] == verbs


@each_format
@settings(max_examples=25)
@given(data=st.data())
def test_a_call_and_its_answer_go_there_and_back(onion: Format, data: st.DataObject) -> None:
    hops = data.draw(st.integers(1, onion.longest_path), label="hops")
    question = data.draw(st.binary(max_size=2_000), label="question")
    answer = data.draw(st.text(max_size=500), label="answer").encode()

    wrapped = onion.wrap(hops, question)
    way = way_of(onion, wrapped.packet)
    reply = onion.reply(way, answer)

    assert [onion.name(relay) for relay in range(1, hops)] == [onion.next_relay(each) for each in way[:-1]]
    assert question == way[-1].body
    assert answer == onion.open_reply(wrapped.opener, reply)


@each_format
def test_no_other_relay_opens_a_layer(onion: Format) -> None:
    wrapped = onion.wrap(3, BODY)

    for other in (1, 2, 7):
        with pytest.raises(PeerError):
            onion.peel(wrapped.packet, other)


@each_format
@settings(max_examples=40)
@given(bit=st.integers(0, 2**20), depth=st.integers(0, 2))
def test_a_layer_with_a_flipped_bit_is_refused_wherever_it_is(onion: Format, bit: int, depth: int) -> None:
    packets = [onion.wrap(3, BODY).packet]
    for relay in range(depth):
        packets.append(onion.peel(packets[-1], relay).packet)
    damaged = packets[-1]._replace(layer=flipped(bytes(packets[-1].layer), bit))

    with pytest.raises(PeerError):
        onion.peel(damaged, depth)


@each_format
@pytest.mark.parametrize("size", [0, 1, 15, 16, 27, 28, 39, 40, 100, -1])
def test_a_layer_that_was_cut_is_refused(onion: Format, size: int) -> None:
    packet = onion.wrap(3, BODY).packet

    with pytest.raises(PeerError):
        onion.peel(packet._replace(layer=packet.layer[:size]), 0)


@each_format
def test_every_layer_has_a_seed_of_its_own_that_peeling_again_finds(onion: Format) -> None:
    """By it a replay is known, so it must not depend on when or how often the layer is opened."""
    packet = onion.wrap(3, BODY).packet
    seeds = [each.seed for each in way_of(onion, packet)]

    assert [32] * 3 == [len(each) for each in seeds]
    assert seeds == [each.seed for each in way_of(onion, packet)]
    assert 6 == len({*seeds, *(each.seed for each in way_of(onion, onion.wrap(3, BODY, seed=5).packet))})


@each_format
def test_a_layer_is_remembered_once_and_then_refused(onion: Format) -> None:
    memory = ReplayMemory(MemoryTables(), TagKey(bytes(32)))
    packet = onion.wrap(1, BODY).packet

    assert Remembered.FRESH is onion.remember(memory, onion.peel(packet, 0), NOW)
    assert Remembered.REPLAYED is onion.remember(memory, onion.peel(packet, 0), NOW)
    later = UnixTime(NOW + DEFAULT_SLOT_S)
    assert Remembered.REPLAYED is onion.remember(memory, onion.peel(packet, 0), later)


@each_format
def test_a_repeated_call_shares_no_layer_with_the_first(onion: Format) -> None:
    packets = [onion.wrap(3, BODY, seed=seed).packet for seed in (1, 2)]

    first, second = ([packet, *(each.packet for each in way_of(onion, packet)[:-1])] for packet in packets)

    for one, other in zip(first, second, strict=True):
        assert not {bytes(one.layer)[at : at + 16] for at in range(0, 64, 16)} & {
            bytes(other.layer)[at : at + 16] for at in range(0, 64, 16)
        }


@each_format
def test_a_body_shows_in_no_layer_and_an_answer_in_no_reply(onion: Format) -> None:
    wrapped = onion.wrap(3, BODY)
    way = way_of(onion, wrapped.packet)

    assert not [
        each for each in [wrapped.packet, *(way[0].packet, way[1].packet)] if BODY in bytes(each.layer)
    ]
    assert BODY not in onion.reply(way, BODY)


@each_format
def test_a_reply_key_seals_one_reply(onion: Format) -> None:
    way = way_of(onion, onion.wrap(1, BODY).packet)
    onion.reply(way, b"first")

    with pytest.raises(UsageError):
        onion.reply(way, b"second")


@each_format
@settings(max_examples=40)
@given(bit=st.integers(0, 2**20))
def test_a_reply_with_a_flipped_bit_is_refused(onion: Format, bit: int) -> None:
    wrapped = onion.wrap(2, BODY)
    reply = onion.reply(way_of(onion, wrapped.packet), b"answer")

    with pytest.raises(PeerError):
        onion.open_reply(wrapped.opener, flipped(reply, bit))


@each_format
@pytest.mark.parametrize("size", [0, 1, 16, 40, -1])
def test_a_reply_that_was_cut_is_refused(onion: Format, size: int) -> None:
    wrapped = onion.wrap(2, BODY)
    reply = onion.reply(way_of(onion, wrapped.packet), b"answer")

    with pytest.raises(PeerError):
        onion.open_reply(wrapped.opener, reply[:size])


@each_format
def test_only_its_own_opener_opens_a_reply(onion: Format) -> None:
    ours, others = (onion.wrap(2, BODY, seed=seed) for seed in (1, 2))
    reply = onion.reply(way_of(onion, others.packet), b"answer")

    with pytest.raises(PeerError):
        onion.open_reply(ours.opener, reply)


@each_format
def test_a_hop_on_the_way_cannot_answer_in_the_place_of_the_last(onion: Format) -> None:
    """It has opened a layer of its own and could seal with that layer's key."""
    wrapped, own = onion.wrap(2, BODY), onion.wrap(1, BODY, seed=9)

    forged = onion.reply(way_of(onion, own.packet), b"forged")

    with pytest.raises(PeerError):
        onion.open_reply(wrapped.opener, forged)


@each_format
def test_a_path_that_no_onion_may_have_is_the_callers_mistake(onion: Format) -> None:
    for hops in (0, onion.longest_path + 1):
        with pytest.raises(UsageError):
            onion.wrap(hops, BODY)


@each_format
def test_a_body_is_as_long_as_a_packet_can_carry_and_no_longer(onion: Format) -> None:
    hops = onion.longest_path
    longest = bytes(onion.longest_body)

    assert longest == way_of(onion, onion.wrap(hops, longest).packet)[-1].body
    with pytest.raises(UsageError):
        onion.wrap(hops, longest + b"!")


@each_format
def test_neither_outcomes_nor_keys_show_what_is_secret(onion: Format) -> None:
    wrapped = onion.wrap(2, BODY)
    for each in way_of(onion, wrapped.packet):
        assert each.seed.hex() not in repr(each)
        assert repr(each.seed) not in repr(each)
        assert "canary" not in repr(each)
