"""Attacks on links and by neighbours: each is refused or accuses an edge, is counted, and hurts nobody else."""

from __future__ import annotations

import pytest

from onionpath.errors import BadLayerError
from onionpath.link.frames import Kind, encode_frame
from onionpath.onion.geometry import FRAME_HEADER_SIZE, SizeClass
from onionpath.onion.packets import Answer
from onionpath.onion.statuses import Reason, ReplyStatus
from tests.network.calls import RejectedError, echo
from tests.network.memory import CLIENT, MemoryNetwork, Name, Tamper, memory_network


def flip(place: int) -> Tamper:
    """Change one bit of requests and replies, and of nothing else."""

    def change(data: bytes) -> tuple[bytes]:
        if data[0] not in (Kind.REQUEST, Kind.REPLY):
            return (data,)
        changed = bytearray(data)
        changed[place] ^= 1
        return (bytes(changed),)

    return change


def edge(answer: Answer) -> tuple[int, ReplyStatus, Reason]:
    return answer.hop, answer.head.status, answer.head.reason


def assert_others_are_unaffected(network: MemoryNetwork) -> None:
    assert b"others" == network.client(name="others").request(echo(b"others"), path=[0, 3, 4]).body


# Damage on a link.


@pytest.mark.parametrize("place", [FRAME_HEADER_SIZE, 1000, 1150, 5000, FRAME_HEADER_SIZE + 5743])
@pytest.mark.parametrize(
    ("one", "other", "hop"), [(CLIENT, 0, None), (0, 1, 0), (1, 2, 1)], ids=["first", "second", "third"]
)
def test_a_flipped_bit_of_a_request_is_an_error_of_that_link(
    one: Name, other: int, hop: int | None, place: int
) -> None:
    network = memory_network(relays=5)
    network.tamper(one, other, flip(place))
    client = network.client()

    if hop is None:
        with pytest.raises(RejectedError):
            client.request(echo())
    else:
        assert (hop, ReplyStatus.EDGE_FAILED, Reason.NEXT_REJECTED) == edge(client.request(echo()))

    assert 1 == network.relays[other].counts["layer_bad"]
    assert network.is_idle()
    assert_others_are_unaffected(network)


@pytest.mark.parametrize("place", [FRAME_HEADER_SIZE, 1000, 8000])
@pytest.mark.parametrize(("one", "other", "hop"), [(2, 1, 3), (1, 0, 2), (0, CLIENT, 1)])
def test_a_flipped_bit_of_a_reply_is_noticed_by_the_client_at_that_hop(
    one: int, other: Name, hop: int, place: int
) -> None:
    network = memory_network(relays=5)
    network.tamper(one, other, flip(place))

    with pytest.raises(BadLayerError) as caught:
        network.client().request(echo())

    assert hop - 1 == caught.value.hop
    assert network.is_idle()
    assert_others_are_unaffected(network)


@pytest.mark.parametrize(
    ("field", "reason"), [(3, "generation_unknown"), (7, "layer_bad"), (5, "slot_closed")]
)
def test_header_fields_that_were_changed_do_not_open(field: int, reason: str) -> None:
    """Generation, and the slot by one or by many: they are bound into the seal."""
    network = memory_network()
    network.tamper(0, 1, flip(field))

    assert (0, ReplyStatus.EDGE_FAILED, Reason.NEXT_REJECTED) == edge(network.client().request(echo()))
    assert 1 == network.relays[1].counts[reason]


def test_a_byte_in_the_padding_closes_the_link() -> None:
    network = memory_network()
    network.tamper(0, 1, flip(8191))

    assert (0, ReplyStatus.EDGE_FAILED, Reason.NEXT_CLOSED) == edge(network.client().request(echo()))
    assert ["frame_padding"] == network.relays[1].closes


def test_a_request_whose_exchange_id_was_changed_is_answered_to_nobody() -> None:
    network = memory_network()
    network.tamper(0, 1, flip(15))
    pending = network.client().send(echo())
    network.run()

    assert 1 == network.relays[0].counts["reply_unexpected"]
    network.advance(30)
    assert (0, ReplyStatus.EDGE_FAILED, Reason.NEXT_TIMED_OUT) == edge(pending.answer())
    assert network.is_idle()


# Replays.


def test_a_packet_replayed_on_its_link_is_rejected_and_has_no_effect() -> None:
    network = memory_network()
    client = network.client()
    packet = client.wrap(echo()).packet

    client.send_packet(packet)
    client.send_packet(packet)
    network.run()

    assert [Kind.REPLY, Kind.REJECT] == sorted(client.kinds)
    assert 1 == network.relays[0].counts["replay_replayed"]
    assert 1 == network.relays[2].counts["served"]


def test_a_packet_replayed_by_somebody_else_is_rejected() -> None:
    network = memory_network()
    one, other = network.client(), network.client(name="other")
    packet = one.wrap(echo()).packet
    one.send_packet(packet)
    network.run()

    other.send_packet(packet)
    network.run()

    assert [Kind.REJECT] == other.kinds
    assert 1 == network.relays[0].counts["replay_replayed"]


def test_a_relay_that_sends_a_packet_twice_gets_a_reject_from_the_next() -> None:
    network = memory_network()
    network.tamper(1, 2, lambda data: (data, data) if data[0] == Kind.REQUEST else (data,))

    assert b"hello" == network.client().request(echo(b"hello")).body

    assert 1 == network.relays[2].counts["replay_replayed"]
    assert 1 == network.relays[2].counts["served"]
    assert 1 == network.relays[1].counts["reply_unexpected"]


def test_a_packet_is_bound_to_its_relay() -> None:
    network = memory_network()
    client = network.client(1)
    client.send_packet(client.wrap(echo(), path=[0, 1, 2]).packet)
    network.run()

    assert [Kind.REJECT] == client.kinds
    assert 1 == network.relays[1].counts["layer_bad"]


def test_a_packet_is_remembered_for_as_long_as_its_slot_is_open() -> None:
    network = memory_network()
    client = network.client()
    packet = client.wrap(echo()).packet
    for _ in range(8):
        client.send_packet(packet)
        network.advance(100)

    assert [Kind.REPLY] + 7 * [Kind.REJECT] == client.kinds
    counts = network.relays[0].counts
    assert 7 == counts["replay_replayed"] + counts["slot_closed"]
    assert 1 <= counts["slot_closed"]


# Stale and misplaced packets.


@pytest.mark.parametrize("slots", [-2, 2, 1000])
def test_a_slot_that_is_not_near_the_present_is_rejected(slots: int) -> None:
    network = memory_network()
    client = network.client()
    pending = client.send(echo(), slots=slots)
    network.run()

    with pytest.raises(RejectedError):
        pending.answer()
    assert 1 == network.relays[0].counts["slot_closed"]


@pytest.mark.parametrize("slots", [-1, 0, 1])
def test_clocks_may_differ_by_a_slot(slots: int) -> None:
    network = memory_network()
    pending = network.client().send(echo(), slots=slots)
    network.run()

    assert b"hello" == pending.answer().body


def test_a_stale_key_costs_no_timeout() -> None:
    network = memory_network()
    client = network.client()
    network.relays[1].switch.use_keys({})

    assert (0, ReplyStatus.EDGE_FAILED, Reason.NEXT_REJECTED) == edge(client.request(echo()))
    assert 1 == network.relays[1].counts["generation_unknown"]


@pytest.mark.parametrize("depth", [1, 2])
def test_a_client_may_not_pretend_to_be_further_on_the_path(depth: int) -> None:
    network = memory_network()
    client = network.client()
    geometry = network.geometry
    body = network.entropy(geometry.request_layer_size(SizeClass.SMALL, depth))
    client.send_frame(Kind.REQUEST, body, depth=depth, generation=7, slot=6_000_000, exchange_id=1)
    network.run()

    assert [Kind.REJECT] == client.kinds
    assert 1 == network.relays[0].counts["depth_from_client"]


def test_all_rejects_are_the_same_bytes() -> None:
    network = memory_network()
    answers = set()
    for spoil in (
        lambda client: client.send(echo(), slots=9),
        lambda client: client.send_frame(Kind.REQUEST, bytes(8176), generation=9, exchange_id=1),
        lambda client: client.send_frame(
            Kind.REQUEST, bytes(8176), generation=7, slot=6_000_000, exchange_id=1
        ),
        lambda client: client.send_frame(Kind.REQUEST, bytes(6960), depth=1, exchange_id=1),
    ):
        client = network.client()
        before = len(network.written)
        spoil(client)
        network.run()
        answers.update(data for one, other, data in network.written[before:] if (one, other) == (0, CLIENT))

    assert {encode_frame(network.geometry, Kind.REJECT, exchange_id=1)} == answers
