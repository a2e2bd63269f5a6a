"""Next relays that are dead, slow or lying: the client hears of an edge, and the relay keeps nothing."""

from __future__ import annotations

import pytest

from onionpath.errors import BadLayerError
from onionpath.link.frames import Kind, encode_frame
from onionpath.onion.geometry import SizeClass
from onionpath.onion.packets import Answer, OnionCall
from onionpath.onion.statuses import Reason, ReplyStatus
from tests.network.calls import UnansweredError, echo
from tests.network.memory import CLIENT, MemoryClient, MemoryNetwork, memory_network


def edge(answer: Answer) -> tuple[int, ReplyStatus, Reason]:
    return answer.hop, answer.head.status, answer.head.reason


# Next relays that are not there, or misbehave.


def test_a_next_relay_that_is_not_in_the_directory_is_an_edge_error() -> None:
    network = memory_network()
    network.relays[1].switch.use_network({network.relays[0].relay_id: bytes(32)})

    assert (1, ReplyStatus.EDGE_FAILED, Reason.NEXT_UNKNOWN) == edge(network.client().request(echo()))


def test_a_relay_does_not_send_to_itself() -> None:
    network = memory_network()

    answer = network.client().request(echo(), path=[0, 0, 1])

    assert (0, ReplyStatus.EDGE_FAILED, Reason.NEXT_UNKNOWN) == edge(answer)


def test_a_dead_relay_is_reported_and_not_dialled_again_at_once() -> None:
    network = memory_network()
    client = network.client()
    network.kill(2)
    assert (1, ReplyStatus.EDGE_FAILED, Reason.NEXT_UNREACHABLE) == edge(client.request(echo()))

    network.relays[2].alive = True
    assert Reason.NEXT_UNREACHABLE == client.request(echo()).head.reason
    network.advance(3)
    assert b"hello" == client.request(echo(b"hello")).body


def test_a_relay_that_dies_with_a_request_under_way_is_reported_at_once() -> None:
    network = memory_network()
    network.relays[2].holding = True
    pending = network.client().send(echo())
    network.run()

    network.kill(2)

    assert (1, ReplyStatus.EDGE_FAILED, Reason.NEXT_CLOSED) == edge(pending.answer())


def test_a_relay_that_never_connects_is_reported_at_the_deadline() -> None:
    network = memory_network()
    network.relays[1].dials_hang = True
    pending = network.client().send(echo())
    network.advance(28)

    answer = pending.answer()
    assert (1, ReplyStatus.EDGE_FAILED, Reason.NEXT_UNREACHABLE) == edge(answer)
    assert 27_000 == answer.hold_ms[1]


def test_the_time_that_a_dial_took_counts_towards_the_deadline() -> None:
    """Otherwise the hop before would give up first, and blame the wrong pair."""
    network = memory_network()
    client = network.client()
    second, third = network.relays[1], network.relays[2]
    second.dials_hang = True
    late = client.send(echo(b"waits for the link"))
    network.advance(9)
    # A packet to another relay overtakes it meanwhile, and gets no answer either.
    second.dials_hang = False
    network.relays[0].holding = third.holding = True
    client.send(echo(b"overtakes"), path=[0, 1, 0])
    network.run()
    network.complete_dial(second, third.relay_id)
    network.advance(18.5)

    answer = late.answer()
    assert (1, ReplyStatus.EDGE_FAILED, Reason.NEXT_TIMED_OUT) == edge(answer)
    assert 27_000 <= answer.hold_ms[1] <= 28_000


@pytest.mark.parametrize("attack", ["reject", "class", "depth"])
def test_a_next_relay_that_answers_wrongly_is_an_edge_error(attack: str) -> None:
    network = memory_network()
    geometry = network.geometry

    def answer_wrongly(data: bytes) -> tuple[bytes]:
        if data[0] != Kind.REPLY:
            return (data,)
        exchange_id = int.from_bytes(data[8:16], "big")
        match attack:
            case "reject":
                return (encode_frame(geometry, Kind.REJECT, exchange_id=exchange_id),)
            case "class":
                size_class, depth = SizeClass.LARGE, 2
            case _:
                size_class, depth = SizeClass.SMALL, 1
        body = bytes(geometry.reply_layer_size(size_class, depth))
        frame = encode_frame(
            geometry, Kind.REPLY, body, size_class=size_class, depth=depth, exchange_id=exchange_id
        )
        return (frame,)

    network.tamper(2, 1, answer_wrongly)
    answer = network.client().request(echo())

    reason = Reason.NEXT_REJECTED if attack == "reject" else Reason.NEXT_MALFORMED
    assert (1, ReplyStatus.EDGE_FAILED, reason) == edge(answer)
    assert network.is_idle()


def test_a_next_relay_that_answers_with_noise_is_noticed_by_the_client() -> None:
    network = memory_network()
    size = network.geometry.reply_layer_size(SizeClass.SMALL, 2)

    def noise(data: bytes) -> tuple[bytes]:
        return (data[:16] + network.entropy(size) + data[16 + size :],) if data[0] == Kind.REPLY else (data,)

    network.tamper(2, 1, noise)
    with pytest.raises(BadLayerError) as caught:
        network.client().request(echo())

    assert 2 == caught.value.hop


def test_a_reply_after_the_deadline_is_dropped_and_counted() -> None:
    network = memory_network()
    network.relays[2].holding = True
    client = network.client()
    pending = client.send(echo())
    network.advance(30)
    assert (2, ReplyStatus.REFUSED, Reason.SERVICE_TIMED_OUT) == edge(pending.answer())

    network.answer_held(2)

    assert 1 == network.relays[2].counts["answer_too_late"]
    assert [Kind.REPLY] == client.kinds


def test_a_second_reply_to_one_exchange_is_dropped_and_counted() -> None:
    network = memory_network()
    network.tamper(2, 1, lambda data: (data, data) if data[0] == Kind.REPLY else (data,))
    client = network.client()

    assert b"hello" == client.request(echo(b"hello")).body

    assert [Kind.REPLY] == client.kinds
    assert 1 == network.relays[1].counts["reply_unexpected"]


@pytest.mark.parametrize("kind", [Kind.REPLY, Kind.REJECT])
def test_a_client_that_replies_is_closed(kind: Kind) -> None:
    """Nobody asks a client, so that its replies only make work."""
    network = memory_network()
    client = network.client()
    body = bytes(network.geometry.reply_layer_size(SizeClass.SMALL, 1)) if kind is Kind.REPLY else b""
    client.send_frame(kind, body, depth=len(body) and 1, exchange_id=1)
    network.run()

    assert ["reply_from_client"] == network.relays[0].closes
    assert 1 == network.relays[0].counts["reply_unexpected"]


def test_a_reply_over_another_link_than_the_request_went_is_dropped() -> None:
    network = memory_network(relays=4)
    client = network.client()
    client.request(echo(), path=[0, 1, 2])
    network.client(3, name="other").request(echo(), path=[3, 1, 0])
    network.relays[2].holding = True
    pending = client.send(echo())
    network.run()

    body = bytes(network.geometry.reply_layer_size(SizeClass.SMALL, 2))
    for exchange_id in range(10):
        lie = encode_frame(network.geometry, Kind.REPLY, body, depth=2, exchange_id=exchange_id)
        network.transmit(network.link(3, 1), lie)
    network.run()
    network.answer_held(2)

    assert 10 == network.relays[1].counts["reply_unexpected"]
    assert b"hello" == pending.answer().body


def test_a_reply_for_a_client_that_has_left_is_counted_and_forgotten() -> None:
    network = memory_network()
    network.relays[2].holding = True
    pending = network.client().send(echo())
    network.run()
    network.cut(CLIENT, 0)
    network.answer_held(2)

    assert 1 == network.relays[0].counts["reply_for_gone_link"]
    assert network.is_idle()
    with pytest.raises(UnansweredError):
        pending.answer()


def test_cutting_each_link_of_a_path_gives_an_answer_and_leaves_nothing() -> None:
    for one, other, hop in ((0, 1, 0), (1, 2, 1)):
        network = memory_network()
        network.relays[2].holding = True
        pending = network.client().send(echo())
        network.run()

        network.cut(one, other)

        assert (hop, ReplyStatus.EDGE_FAILED, Reason.NEXT_CLOSED) == edge(pending.answer())
        network.answer_held(2)
        assert network.is_idle()


def crafted(network: MemoryNetwork, client: MemoryClient, head: bytes) -> None:
    """A layer that opens at the first relay, with a head of our own."""
    hop = network.relays[0].hop
    geometry = network.geometry
    slot = int(network.now // 300)
    info = network.onion._info(hop.relay_id, slot, 7, SizeClass.SMALL, 0)
    inner = head.ljust(80, b"\0") + bytes(geometry.request_capacity(SizeClass.SMALL, 0))
    layer = hop.key.seal(inner, info=info)
    client.send_frame(Kind.REQUEST, layer, generation=7, slot=slot, exchange_id=1)
    network.run()


@pytest.mark.parametrize(
    "head",
    [
        bytes([3]),
        bytes([1, 1]),
        bytes([2, 0, 2]),
        bytes([2, 0, 0, 1]),
        bytes(4).replace(b"\0", b"\2", 1) + bytes(75) + b"\1",
        bytes([2]) + bytes(53) + (2**32 - 1).to_bytes(4, "big"),
    ],
    ids=["kind", "flag", "class", "generation", "stray byte", "length"],
)
def test_a_layer_that_no_client_wraps_is_rejected(head: bytes) -> None:
    network = memory_network()
    client = network.client()

    crafted(network, client, head)

    assert [Kind.REJECT] == client.kinds
    assert 1 == network.relays[0].counts["layer_malformed"]
    assert network.is_idle()


def test_a_service_number_that_nobody_has_is_refused_by_the_last_hop() -> None:
    answer = memory_network().client().request(OnionCall(65_535, b"", bytes(16)))

    assert (2, ReplyStatus.REFUSED, Reason.SERVICE_UNKNOWN) == edge(answer)
