"""Bounds: on time, on bytes that wait, on exchanges under way, and on rates. Nothing grows for ever."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest

from onionpath.link.frames import CallBody, Kind, decode_answer, encode_call, encode_frame
from onionpath.onion.geometry import SizeClass
from onionpath.onion.statuses import Reason
from onionpath.service.calls import ServiceId
from relay.limits import PeerLimits, SwitchLimits
from tests.network.calls import RejectedError, echo
from tests.network.memory import MemoryClient, MemoryNetwork, memory_network

SMALL, LARGE = 8192, 131_072


def send_call(network: MemoryNetwork, client: MemoryClient, exchange_id: int) -> None:
    body = encode_call(CallBody(ServiceId.ECHO, SizeClass.SMALL, b"hello"))
    client.send_frame(Kind.CALL, body, exchange_id=exchange_id)
    network.run()


# Time.


def test_a_frame_that_was_begun_and_not_completed_closes_the_link() -> None:
    network = memory_network()
    client = network.client()
    client.send_bytes(client.frame_of(client.wrap(echo()).packet)[:-1])
    network.advance(15)
    assert [] == network.relays[0].closes

    network.advance(2)
    assert ["frame_too_slow"] == network.relays[0].closes
    assert 1 == network.relays[0].counts["link_frame_too_slow"]


def test_a_frame_that_trickles_is_cut_off_as_well() -> None:
    network = memory_network()
    client = network.client()
    frame = client.frame_of(client.wrap(echo()).packet)
    for start in range(20):
        client.send_bytes(frame[start : start + 1])
        network.advance(1)

    assert ["frame_too_slow"] == network.relays[0].closes


def test_a_link_on_which_nothing_happens_is_closed() -> None:
    network = memory_network()
    network.client()
    network.advance(120)
    assert [] == network.relays[0].closes

    network.advance(2)
    assert ["idle"] == network.relays[0].closes


@pytest.mark.parametrize("kind", [Kind.PING, Kind.PADDING])
def test_a_link_that_is_kept_alive_stays(kind: Kind) -> None:
    network = memory_network()
    client = network.client()
    for _ in range(3):
        network.advance(100)
        client.send_frame(kind)
    network.advance(100)

    assert [] == network.relays[0].closes


def test_ping_is_answered_with_pong_and_padding_with_nothing() -> None:
    network = memory_network()
    client = network.client()
    client.send_frame(Kind.PADDING)
    client.send_frame(Kind.PING, exchange_id=77)
    client.send_frame(Kind.PONG, exchange_id=78)
    network.run()

    assert [(Kind.PONG, 77)] == [(frame.kind, frame.exchange_id) for frame in client.received]
    assert {"padding_ignored": 1, "pong_ignored": 1} == network.relays[0].counts


# Bytes that wait.


def test_a_client_that_never_reads_is_closed_when_its_oldest_byte_is_too_old() -> None:
    network = memory_network()
    client = network.client()
    client.end.reads = False
    client.send(echo())
    network.advance(29)
    assert [] == network.relays[0].closes

    network.advance(3)
    assert ["peer_never_reads"] == network.relays[0].closes
    assert network.is_idle()


def test_requests_for_a_relay_that_reads_too_slowly_fail_as_congested() -> None:
    network = memory_network(limits=SwitchLimits(queued_bytes_per_peer=3 * SMALL))
    client = network.client()
    client.request(echo())
    network.link(1, 0).reads = False

    pending = [client.send(echo()) for _ in range(5)]
    network.run()

    congested = [each for each in pending if each.frames]
    assert {Reason.NEXT_CONGESTED} == {each.answer().head.reason for each in congested}
    assert 2 == len(congested)


def test_a_peer_with_twice_its_share_of_waiting_bytes_is_closed() -> None:
    network = memory_network(limits=SwitchLimits(queued_bytes_per_peer=3 * SMALL))
    client, other = network.client(), network.client(name="other")
    client.end.reads = False
    for exchange_id in range(8):
        send_call(network, client, exchange_id)

    assert ["peer_queue_full"] == network.relays[0].closes
    assert 0 == network.relays[0].switch.statistics().queued_bytes
    assert b"hello" == other.request(echo(b"hello")).body


def test_when_all_wait_too_much_the_largest_holder_is_shed_first() -> None:
    network = memory_network(limits=SwitchLimits(queued_bytes=10 * SMALL))
    clients = [network.client(name=f"client {number}") for number in range(3)]
    for client, calls in zip(clients, (2, 6, 2), strict=True):
        client.end.reads = False
        for exchange_id in range(calls):
            send_call(network, client, exchange_id)
    assert [] == network.relays[0].closes

    send_call(network, clients[0], 9)

    assert ["shed_largest_queue"] == network.relays[0].closes
    assert [True, False, True] == [client.end.is_open for client in clients]
    assert 5 * SMALL == network.relays[0].switch.statistics().queued_bytes


def test_a_link_that_is_shed_by_what_it_is_given_at_once_is_forgotten_whole() -> None:
    """Packets that waited for a link may close it again; no byte of it may be counted for ever."""
    network = memory_network(limits=SwitchLimits(queued_bytes=4 * LARGE))
    client = network.client()
    caller, answerer = network.relays[0], network.relays[1]
    caller.dials_hang = True
    pending = [client.send(echo(large=True)) for _ in range(8)]
    network.run()

    def stop_reading(data: bytes) -> tuple[bytes]:
        network.link(1, 0).reads = False
        return (data,)

    network.tamper(1, 0, stop_reading)
    network.complete_dial(caller, answerer.relay_id)
    network.run()

    assert ["shed_largest_queue"] == caller.closes
    assert {Reason.NEXT_CLOSED} == {each.answer().head.reason for each in pending}
    assert network.is_idle()


def test_draining_over_full_queues_leaves_nothing_behind() -> None:
    network = memory_network(limits=SwitchLimits(queued_bytes=3 * SMALL))
    clients = [network.client(name=f"client {number}") for number in range(4)]
    for client in clients:
        client.end.reads = False
    for exchange_id in range(2):
        send_call(network, clients[-1], exchange_id)
    relay = network.relays[0]

    network.carry_out(relay, relay.switch.drain(now=network.now))

    assert ["shed_largest_queue"] == relay.closes
    assert 3 * SMALL == relay.switch.statistics().queued_bytes


# Exchanges under way.


def test_a_client_beyond_its_exchanges_under_way_is_rejected() -> None:
    limits = SwitchLimits(client=PeerLimits(100, 200, in_flight=3))
    network = memory_network(limits=limits)
    network.relays[2].holding = True
    client, other = network.client(), network.client(name="other")

    pending = [client.send(echo()) for _ in range(5)]
    network.run()
    others = other.send(echo())
    network.run()

    assert [Kind.REJECT] * 2 == client.kinds
    assert 2 == network.relays[0].counts["peer_in_flight_full"]
    network.answer_held(2)
    assert b"hello" == pending[0].answer().body == others.answer().body
    network.relays[2].holding = False
    assert b"hello" == client.request(echo()).body


def test_a_relay_beyond_its_exchanges_under_way_rejects() -> None:
    network = memory_network(limits=SwitchLimits(in_flight=3))
    network.relays[2].holding = True
    clients = [network.client(name=f"client {number}") for number in range(5)]
    pending = [client.send(echo()) for client in clients]
    network.run()

    assert 2 == network.relays[0].counts["node_in_flight_full"]
    for late in pending[3:]:
        with pytest.raises(RejectedError):
            late.answer()


def test_packets_that_wait_for_a_link_count_as_under_way() -> None:
    network = memory_network(limits=SwitchLimits(in_flight=3))
    network.relays[0].dials_hang = True
    clients = [network.client(name=f"client {number}") for number in range(5)]
    for client in clients:
        client.send(echo())
    network.run()

    assert 2 == network.relays[0].counts["node_in_flight_full"]


def test_packets_that_wait_for_one_link_are_bounded() -> None:
    network = memory_network(limits=SwitchLimits(dial_queue=3))
    network.relays[0].dials_hang = True
    client = network.client()
    pending = [client.send(echo()) for _ in range(5)]
    network.run()

    assert [Reason.NEXT_CONGESTED] * 2 == [each.answer().head.reason for each in pending[3:]]


def test_a_neighbours_calls_are_bounded_like_its_requests() -> None:
    network = memory_network(limits=SwitchLimits(client=PeerLimits(100, 200, in_flight=2)))
    network.relays[0].holding = True
    client = network.client()
    for exchange_id in range(4):
        send_call(network, client, exchange_id)
    assert [Reason.HOP_BUSY] * 2 == [decode_answer(frame.body).reason for frame in client.received]

    network.answer_held(0)

    assert [0, 0] == [decode_answer(frame.body).reason for frame in client.received[2:]]
    assert network.is_idle()


def test_a_call_that_nobody_answers_ends_at_its_deadline() -> None:
    network = memory_network()
    network.relays[0].holding = True
    client = network.client()
    send_call(network, client, 1)
    network.advance(26)

    assert [Reason.SERVICE_TIMED_OUT] == [decode_answer(frame.body).reason for frame in client.received]
    network.answer_held(0)
    assert 1 == network.relays[0].counts["answer_too_late"]


# Rates.


@pytest.mark.parametrize("cut", [False, True])
def test_reading_pauses_beyond_the_rate_and_resumes_without_losing_a_frame(cut: bool) -> None:
    limits = SwitchLimits(client=PeerLimits(packets_per_second=2, burst=3, in_flight=64))
    network = memory_network(limits=limits)
    if cut:
        network.cuts = lambda size: sorted(network.choice.sample(range(1, size), 3))
    client = network.client()
    client.send_bytes(b"".join(client.frame_of(client.wrap(echo()).packet) for _ in range(9)))
    network.run()
    assert 3 == len(client.received)

    for expected in (5, 7, 9, 9):
        network.advance(1)
        assert expected == len(client.received)
    assert list(range(1, 10)) == [frame.exchange_id for frame in client.received]
    assert "replay_replayed" not in network.relays[0].counts
    assert network.relays[0].counts["reading_paused"]


def test_a_client_that_floods_does_not_slow_the_others() -> None:
    limits = SwitchLimits(client=PeerLimits(packets_per_second=2, burst=3, in_flight=64))
    network = memory_network(limits=limits)
    flood, other = network.client(name="flood"), network.client(name="other")
    for _ in range(50):
        flood.send_frame(Kind.PADDING)
    network.run()

    assert b"hello" == other.request(echo(b"hello")).body
    assert 3 == network.relays[0].counts["padding_ignored"]


def test_a_pause_is_no_slow_frame() -> None:
    limits = SwitchLimits(client=PeerLimits(packets_per_second=0.05, burst=1, in_flight=64))
    network = memory_network(limits=limits)
    client = network.client()
    for _ in range(3):
        client.send_frame(Kind.PADDING)
    network.advance(45)

    assert [] == network.relays[0].closes
    assert 3 == network.relays[0].counts["padding_ignored"]


# Leaving.


def test_a_draining_relay_finishes_what_is_under_way_and_takes_nothing_new() -> None:
    network = memory_network()
    network.relays[2].holding = True
    client = network.client()
    pending = client.send(echo())
    network.run()
    relay = network.relays[0]

    network.carry_out(relay, relay.switch.drain(now=network.now))
    late = client.send(echo())
    send_call(network, client, 99)
    network.run()

    assert Kind.GOING_AWAY in client.kinds
    with pytest.raises(RejectedError):
        late.answer()
    assert 1 == relay.counts["draining"]
    assert Reason.HOP_BUSY == decode_answer(client.received[-1].body).reason
    assert not relay.switch.is_idle

    network.answer_held(2)
    assert b"hello" == pending.answer().body
    assert relay.switch.is_idle


def test_nothing_new_is_sent_to_a_relay_that_goes_away() -> None:
    network = memory_network()
    client = network.client()
    client.request(echo())
    leaving = network.relays[1]
    network.carry_out(leaving, leaving.switch.drain(now=network.now))
    network.run()
    requests = [data for data in network.frames(0, 1) if data[0] == Kind.REQUEST]

    client.send(echo())
    network.run()

    old = network.link(1, 0)
    assert 1 == len(requests)
    assert old.other.is_open


def test_after_a_relay_went_away_one_new_link_serves_all_later_packets() -> None:
    network = memory_network()
    client = network.client()
    client.request(echo())
    network.transmit(network.link(1, 0), encode_frame(network.geometry, Kind.GOING_AWAY))
    network.run()
    network.advance(SwitchLimits().redial_after_s + 1)
    for _ in range(5):
        assert b"hello" == client.request(echo()).body

    assert 2 == len([data for data in network.frames(0, 1) if data[0] == Kind.CLAIM])


def test_a_proven_link_has_a_relays_limits() -> None:
    tight = replace(SwitchLimits(), client=PeerLimits(packets_per_second=1, burst=2, in_flight=1))
    network = memory_network(limits=tight)
    clients = [network.client(name=f"client {number}") for number in range(10)]
    network.relays[2].holding = True
    for client in clients:
        client.send(echo())
    network.run()

    assert 10 == len(network.relays[2].held)


def test_a_relay_that_goes_away_on_every_link_gets_few_links() -> None:
    """It could otherwise have us make one for each packet, and keep them all."""
    network = memory_network()
    client = network.client()
    client.request(echo())
    for _ in range(100):
        with suppress(StopIteration):  # between two links there is none
            network.transmit(network.link(1, 0), encode_frame(network.geometry, Kind.GOING_AWAY))
        network.run()
        client.send(echo())
        network.advance(0.1)

    assert 10 >= len([data for data in network.frames(0, 1) if data[0] == Kind.CLAIM])
    assert 4 >= network.relays[0].switch.statistics().links


def test_whoever_fills_a_relay_makes_room_for_whoever_holds_less() -> None:
    network = memory_network(relays=5, limits=SwitchLimits(in_flight=32))
    network.relays[2].holding = True
    greedy, modest = network.client(name="greedy"), network.client(name="modest")
    filling = [greedy.send(echo(), path=(0, 3, 2)) for _ in range(40)]
    network.run()
    assert 32 == network.relays[0].switch.statistics().waiting

    pending = modest.send(echo(b"let me in"), path=(0, 1, 2))
    network.run()
    network.answer_held(2)

    assert b"let me in" == pending.answer().body
    assert network.relays[0].counts["shed_oldest"] >= 1
    shed = [
        each.answer().head.reason for each in filling if each.frames and each.frames[0].kind is Kind.REPLY
    ]
    assert Reason.HOP_BUSY in shed


def test_packets_that_wait_for_links_are_bounded_in_bytes() -> None:
    network = memory_network(limits=SwitchLimits(dial_bytes=3 * SMALL))
    network.relays[0].dials_hang = True
    client = network.client()
    pending = [client.send(echo()) for _ in range(8)]
    network.run()

    congested = [each for each in pending if each.frames]
    assert {Reason.NEXT_CONGESTED} == {each.answer().head.reason for each in congested}
    assert 5 == len(congested)
    assert 3 * SMALL > network.relays[0].switch.statistics().queued_bytes > 2 * SMALL


def test_a_client_that_sends_garbage_is_read_more_slowly_and_others_are_not() -> None:
    """Each opening in vain costs as much as an honest one, so whoever wastes them gets few."""
    network = memory_network()
    liar, honest = network.client(name="liar"), network.client(name="honest")
    good = liar.wrap(echo()).packet
    for _ in range(100):
        liar.send_packet(good._replace(layer=bytes(len(good.layer))))
    network.run()
    at_once = network.relays[0].counts["layer_bad"]
    network.advance(1)

    assert 15 >= at_once
    assert at_once + 6 >= network.relays[0].counts["layer_bad"]
    assert b"hello" == honest.request(echo()).body


# Work that opens nothing.


def test_pings_draw_from_the_budget_of_openings() -> None:
    """Otherwise whoever floods with what opens nothing keeps a relay busy beside its budget."""
    limits = SwitchLimits(openings_per_second=10, client=PeerLimits(1_000, 1_000, 64))
    network = memory_network(limits=limits)
    client = network.client()
    for number in range(50):
        client.send_frame(Kind.PING, exchange_id=number + 1)
    network.run()

    assert 1 <= network.relays[0].counts["openings_used_up"]
    assert len([frame for frame in client.received if frame.kind is Kind.PONG]) < 20
