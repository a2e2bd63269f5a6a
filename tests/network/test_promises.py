"""What a network of relays promises to clients: it carries, and it shows two sizes only."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from onionpath.errors import BadLayerError
from onionpath.link.frames import CallBody, Kind, decode_answer, encode_call
from onionpath.onion.geometry import Geometry, SizeClass
from onionpath.onion.packets import OnionCall
from onionpath.onion.statuses import Reason, ReplyStatus
from onionpath.service.calls import ServiceId
from tests.network.calls import RejectedError, echo
from tests.network.memory import CLIENT, MemoryNetwork, memory_network


def success(network: MemoryNetwork) -> None:
    assert b"hello" == network.client().request(echo(b"hello")).body


def large_success(network: MemoryNetwork) -> None:
    network.client().request(echo(bytes(100_000), large=True, large_reply=True))


def refusal(network: MemoryNetwork) -> None:
    answer = network.client().request(OnionCall(77, b"", bytes(16)))
    assert (2, ReplyStatus.REFUSED, Reason.SERVICE_UNKNOWN) == (
        answer.hop,
        answer.head.status,
        answer.head.reason,
    )


def edge_error(network: MemoryNetwork) -> None:
    network.kill(2)
    answer = network.client().request(echo())
    assert (1, Reason.NEXT_UNREACHABLE) == (answer.hop, answer.head.reason)


def rejection(network: MemoryNetwork) -> None:
    client = network.client()
    pending = client.send(echo(), slots=-2)
    network.run()
    with pytest.raises(RejectedError):
        pending.answer()


def service_timeout(network: MemoryNetwork) -> None:
    network.relays[2].holding = True
    pending = network.client().send(echo())
    network.advance(26)
    assert Reason.SERVICE_TIMED_OUT == pending.answer().head.reason


def call_of_a_neighbour(network: MemoryNetwork) -> None:
    client = network.client()
    client.send_frame(
        Kind.CALL, encode_call(CallBody(ServiceId.ECHO, SizeClass.SMALL, b"hello")), exchange_id=9
    )
    network.run()
    (frame,) = client.received
    assert (Kind.ANSWER, 9, b"hello") == (frame.kind, frame.exchange_id, decode_answer(frame.body).body)


@pytest.mark.parametrize(
    "outcome",
    [success, large_success, refusal, edge_error, rejection, service_timeout, call_of_a_neighbour],
)
def test_every_link_carries_frames_of_two_sizes_whatever_the_outcome(
    outcome: Callable[[MemoryNetwork], None],
) -> None:
    """Otherwise whoever watches a link could tell what passes over it."""
    network = memory_network()

    outcome(network)

    sizes = {network.geometry.small, network.geometry.large}
    assert {network.geometry.small} <= network.frame_sizes_seen() <= sizes
    assert network.is_idle()


def test_a_small_exchange_is_small_on_every_link() -> None:
    network = memory_network()

    network.client().request(echo(b"hello"))

    assert {network.geometry.small} == network.frame_sizes_seen()


@pytest.mark.parametrize("status", ["success", "refusal", "edge"])
def test_replies_of_all_outcomes_have_the_size_that_was_asked_for(status: str) -> None:
    network = memory_network()
    client = network.client()
    if status == "edge":
        network.kill(2)
    call = echo(large_reply=True)
    if status == "refusal":
        call = OnionCall(77, b"", bytes(16), reply_class=SizeClass.LARGE)

    client.request(call)

    assert [network.geometry.large] == [len(frame) for frame in network.frames(0, CLIENT)]


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("large_reply", [False, True])
def test_a_body_of_any_length_reaches_the_last_hop_and_returns(large: bool, large_reply: bool) -> None:
    network = memory_network()
    client = network.client()
    room = min(
        network.geometry.request_capacity(SizeClass(large), 2),
        network.geometry.reply_capacity(SizeClass(large_reply), 2),
    )

    for size in (0, 1, room - 1, room):
        body = network.entropy(size)
        answer = client.request(echo(body, large=large, large_reply=large_reply))
        assert (2, body) == (answer.hop, answer.body)


@pytest.mark.parametrize("hops", [2, 3, 4, 5])
def test_paths_of_every_allowed_length_work(hops: int) -> None:
    network = memory_network(relays=hops, geometry=Geometry(hops=hops))

    assert b"hello" == network.client().request(echo(b"hello")).body


def test_requests_and_replies_survive_being_cut_at_any_byte() -> None:
    network = memory_network()
    client = network.client()
    client.request(echo(b"links are made"))
    small = network.geometry.small
    for place in [1, 2, 15, 16, 17, 1000, small - 1, *network.choice.sample(range(18, small - 1), 20)]:
        network.cuts = lambda size, place=place: [place]
        assert b"hello" == client.request(echo(b"hello")).body


def test_requests_survive_arriving_byte_by_byte() -> None:
    network = memory_network()
    network.cuts = lambda size: range(1, size)

    assert b"hello" == network.client().request(echo(b"hello")).body


def test_many_frames_in_one_read_are_all_handled() -> None:
    network = memory_network()
    client = network.client()

    client.send_bytes(b"".join(client.frame_of(client.wrap(echo()).packet) for _ in range(10)))
    network.run()

    assert [(Kind.REPLY, number) for number in range(1, 11)] == [
        (frame.kind, frame.exchange_id) for frame in client.received
    ]


def test_a_service_for_the_last_hop_alone_refuses_at_any_other() -> None:
    network = memory_network()
    client = network.client()
    call = OnionCall(9, b"four", bytes(16))

    answers = [client.request(call, path=path) for path in ([0], [0, 1], [0, 1, 2])]

    assert [Reason.WRONG_DEPTH, Reason.WRONG_DEPTH, Reason.NONE] == [each.head.reason for each in answers]
    assert b"4" == answers[-1].body


def test_hold_times_nest() -> None:
    network = memory_network()
    network.relays[2].holding = True
    pending = network.client().send(echo())
    network.advance(4)
    network.answer_held(2)

    answer = pending.answer()

    assert (4000, 4000, 4000) == answer.hold_ms
    assert answer.lying_edge is None


def test_a_reply_that_took_longer_between_two_relays_shows_it() -> None:
    network = memory_network()
    _, second, third = network.relays
    second.dials_hang = True
    pending = network.client().send(echo())
    network.advance(3)
    network.carry_out(second, second.switch.dial_failed(third.relay_id, now=network.now))
    network.run()

    assert (3000, 3000) == pending.answer().hold_ms


def test_deadlines_decrease_with_depth_so_that_the_hop_that_knows_most_speaks_first() -> None:
    network = memory_network()
    client = network.client()
    client.request(echo())
    network.link(2, 1).reads = False

    pending = client.send(echo())
    network.advance(26.5)
    assert [] == pending.frames
    network.advance(1)

    answer = pending.answer()
    assert (1, Reason.NEXT_TIMED_OUT) == (answer.hop, answer.head.reason)


def test_statistics_have_names_and_no_addresses() -> None:
    network = memory_network()
    network.client().request(echo())

    assert {"forwarded": 1, "reply_relayed": 1} == network.relays[0].counts
    assert {"served": 1} == network.relays[2].counts
    figures = network.relays[1].switch.statistics()
    assert (2, 0, 0, 0) == (figures.links, figures.waiting, figures.calls, figures.queued_bytes)


def test_one_link_between_two_relays_carries_everybodys_packets_both_ways() -> None:
    network = memory_network()
    network.client(0).request(echo(), path=[0, 1, 2])
    before = [relay.switch.statistics().links for relay in network.relays]

    network.client(2, name="other").request(echo(), path=[2, 1, 0])

    assert [before[0], before[1], before[2] + 1] == [
        relay.switch.statistics().links for relay in network.relays
    ]


def test_a_reply_sealed_for_one_client_does_not_open_for_another() -> None:
    network = memory_network()
    one, other = network.client(), network.client(name="other")
    first, second = one.send(echo(b"first")), other.send(echo(b"second"))
    network.run()
    (frame,) = second.frames

    with pytest.raises(BadLayerError):
        network.onion.open_reply(first.wrapped.opener, frame.body)
