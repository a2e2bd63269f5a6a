"""A relay asks another one over their link: every ask ends once, with an answer or a reason."""

from __future__ import annotations

from onionpath.link.frames import (
    AnswerBody,
    CallBody,
    Frame,
    FrameReader,
    Kind,
    decode_answer,
    encode_answer,
    encode_call,
    encode_frame,
)
from onionpath.onion.geometry import Geometry, SizeClass
from onionpath.onion.packets import OnionCall
from onionpath.onion.statuses import Reason, ReplyStatus
from onionpath.service.calls import Call, Limits, Reply
from onionpath.service.registry import Registry
from relay.limits import SwitchLimits
from relay.step import Actions
from tests.network.memory import MemoryNetwork, MemoryRelay, Tamper, memory_network

ECHO = CallBody(1, SizeClass.SMALL, b"hello")
UNPROVEN_LENGTH = CallBody(9, SizeClass.SMALL, b"hello")


class Asker:
    """Asks as a driver does, and keeps what it hears."""

    def __init__(self, network: MemoryNetwork, name: int = 0) -> None:
        self.network, self.relay = network, network.relays[name]
        self.heard: list[tuple[int, bytes | Reason]] = []
        self._carry_out = network.carry_out
        network.carry_out = self._listen  # type: ignore[method-assign]

    def _listen(self, relay: MemoryRelay, actions: Actions) -> None:
        if relay is self.relay:
            self.heard += actions.answers
        self._carry_out(relay, actions)

    def ask(self, number: int, other: int, call: CallBody = ECHO, *, timeout_s: float = 5.0) -> None:
        now, relay_id = self.network.now, self.network.relays[other].relay_id
        actions = self.relay.switch.ask(number, relay_id, call, now=now, timeout_s=timeout_s)
        self.network.carry_out(self.relay, actions)

    def answers(self) -> list[tuple[int, bytes | Reason]]:
        """What was heard since the last look, once nothing moves."""
        self.network.run()
        heard, self.heard = self.heard, []
        return heard


def test_an_ask_makes_the_link_and_brings_the_answer() -> None:
    network = memory_network(relays=2)
    asker = Asker(network)

    asker.ask(1, 1)
    assert [(1, b"hello")] == asker.answers()
    asker.ask(2, 1)
    assert [(2, b"hello")] == asker.answers()

    assert network.is_idle()
    assert 1 == len(network.relays[0].ends)


def test_both_ends_of_one_link_ask_over_it() -> None:
    network = memory_network(relays=2)
    here, there = Asker(network, 0), Asker(network, 1)
    here.ask(1, 1)
    here.answers()

    there.ask(7, 0)

    assert [(7, b"hello")] == there.answers()
    assert (1, 1) == tuple(len(relay.ends) for relay in network.relays)


def test_a_refusal_comes_back_as_its_reason() -> None:
    asker = Asker(memory_network(relays=2))

    asker.ask(1, 1, UNPROVEN_LENGTH)

    assert [(1, Reason.WRONG_DEPTH)] == asker.answers()


def test_a_relay_that_nobody_knows_and_oneself_are_not_asked() -> None:
    network = memory_network(relays=2)
    asker = Asker(network)
    network.relays[0].switch.use_network({network.relays[0].relay_id: bytes(32)})

    asker.ask(1, 1)
    asker.ask(2, 0)

    assert [(1, Reason.NEXT_UNKNOWN), (2, Reason.NEXT_UNKNOWN)] == asker.answers()


def test_a_relay_that_cannot_be_reached_ends_what_waits_for_it_and_is_not_dialled_again_at_once() -> None:
    network = memory_network(relays=2)
    asker = Asker(network)
    network.relays[0].dials_hang = True
    network.relays[1].alive = False
    asker.ask(1, 1)
    asker.ask(2, 1)
    (dialled,) = network.relays[0].hanging

    network.complete_dial(network.relays[0], dialled)
    asker.ask(3, 1)

    assert [(number, Reason.NEXT_UNREACHABLE) for number in (1, 2, 3)] == asker.answers()
    assert network.is_idle()


def test_an_ask_ends_at_its_deadline_and_its_late_answer_changes_nothing() -> None:
    network = memory_network(relays=2)
    asker = Asker(network)
    network.relays[1].holding = True
    asker.ask(1, 1, timeout_s=3.0)

    network.advance(2.0)
    assert [] == asker.answers()
    network.advance(2.0)
    assert [(1, Reason.NEXT_TIMED_OUT)] == asker.answers()
    network.answer_held(1)

    assert [] == asker.answers()
    assert 1 == network.relays[0].counts["answer_unexpected"]
    assert network.is_idle()


def test_an_ask_whose_link_is_never_made_ends_at_its_deadline_as_unreachable() -> None:
    network = memory_network(relays=2)
    asker = Asker(network)
    network.relays[0].dials_hang = True
    asker.ask(1, 1, timeout_s=3.0)

    network.advance(4.0)

    assert [(1, Reason.NEXT_UNREACHABLE)] == asker.answers()
    assert 0 == network.relays[0].switch.statistics().queued_bytes


def test_the_loss_of_the_link_ends_what_was_sent_over_it() -> None:
    network = memory_network(relays=2)
    asker = Asker(network)
    network.relays[1].holding = True
    asker.ask(1, 1)
    asker.ask(2, 1)
    assert [] == asker.answers()

    network.cut(0, 1)

    assert [(1, Reason.NEXT_CLOSED), (2, Reason.NEXT_CLOSED)] == asker.answers()
    assert 0 == network.relays[0].switch.statistics().asks


def test_an_ask_that_was_forgotten_is_heard_of_no_more() -> None:
    network = memory_network(relays=2)
    asker = Asker(network)
    network.relays[1].holding = True
    asker.ask(1, 1)
    network.run()

    asker.relay.switch.forget_ask(1)
    asker.relay.switch.forget_ask(1)
    network.answer_held(1)

    assert [] == asker.answers()
    assert network.is_idle()


def test_no_more_asks_are_under_way_than_may_be() -> None:
    network = memory_network(relays=3, limits=SwitchLimits(asks=3, asks_per_peer=2))
    asker = Asker(network)
    network.relays[1].holding = network.relays[2].holding = True

    for number, other in enumerate((1, 1, 1, 2, 2)):
        asker.ask(number, other)

    assert [(2, Reason.NEXT_CONGESTED), (4, Reason.NEXT_CONGESTED)] == asker.answers()
    assert 3 == asker.relay.switch.statistics().asks


def test_bytes_that_wait_for_links_are_bounded() -> None:
    network = memory_network(relays=2, limits=SwitchLimits(dial_bytes=200))
    asker = Asker(network)
    network.relays[0].dials_hang = True

    for number in range(3):
        asker.ask(number, 1, CallBody(1, SizeClass.SMALL, bytes(80)))

    assert [(2, Reason.NEXT_CONGESTED)] == asker.answers()
    assert 176 == network.relays[0].switch.statistics().queued_bytes


def test_a_peer_that_does_not_read_is_asked_nothing_more() -> None:
    network = memory_network(relays=2, limits=SwitchLimits(queued_bytes_per_peer=20_000))
    asker = Asker(network)
    asker.ask(0, 1)
    asker.answers()
    network.link(1, 0).reads = False

    for number in range(1, 5):
        asker.ask(number, 1)

    assert [(4, Reason.NEXT_CONGESTED)] == asker.answers()


def test_answers_that_contradict_themselves_are_malformed() -> None:
    network = memory_network(relays=2)
    asker = Asker(network)
    answers = [
        (0, Reason.SERVICE_BUSY, b""),
        (2, Reason.NONE, b""),
        (2, Reason.NEXT_UNREACHABLE, b""),
        (2, 999, b""),
        (2, 18, b"more"),
        (1, 0, b"x"),
    ]
    for number, (status, reason, body) in enumerate(answers):
        network.tamper(1, 0, _replacing(network.geometry, AnswerBody(status, reason, body)))
        asker.ask(number, 1)

        assert [(number, Reason.NEXT_MALFORMED)] == asker.answers()


def test_an_answer_of_another_class_is_malformed() -> None:
    network = memory_network(relays=2)
    asker = Asker(network)
    network.tamper(1, 0, _replacing(network.geometry, AnswerBody(0, 0, b""), SizeClass.LARGE))

    asker.ask(1, 1)

    assert [(1, Reason.NEXT_MALFORMED)] == asker.answers()


def test_a_client_that_answers_what_nobody_asked_is_cut_off() -> None:
    network = memory_network(relays=2)
    client = network.client()

    client.send_frame(Kind.ANSWER, encode_answer(AnswerBody(0, 0, b"")))
    network.run()

    assert ["reply_from_client"] == network.relays[0].closes


def test_a_neighbour_that_goes_away_is_asked_no_more() -> None:
    network = memory_network(relays=2)
    asker = Asker(network)
    asker.ask(1, 1)
    asker.answers()
    network.carry_out(network.relays[1], network.relays[1].switch.drain(now=network.now))
    network.run()

    asker.ask(2, 1)

    assert [(2, Reason.NEXT_UNREACHABLE)] == asker.answers()


def test_a_relay_that_leaves_the_network_ends_what_it_was_asked() -> None:
    network = memory_network(relays=2)
    asker = Asker(network)
    network.relays[1].holding = True
    asker.ask(1, 1)
    network.run()
    network.relays[0].switch.use_network({})

    network.advance(1.0)

    assert [(1, Reason.NEXT_CLOSED)] == asker.answers()


def test_a_link_that_an_answer_is_awaited_from_is_not_idle() -> None:
    network = memory_network(relays=2, limits=SwitchLimits(idle_timeout_s=5.0, service_timeout_s=60.0))
    asker = Asker(network)
    network.relays[1].holding = True
    asker.ask(1, 1, timeout_s=30.0)

    network.advance(20.0)
    network.answer_held(1)

    assert [(1, b"hello")] == asker.answers()


def _replacing(geometry: Geometry, answer: AnswerBody, size_class: SizeClass = SizeClass.SMALL) -> Tamper:
    def change(data: bytes) -> list[bytes]:
        reader = FrameReader(geometry)
        reader.feed(data)
        frame = reader.next_frame()
        assert isinstance(frame, Frame)
        if frame.kind is not Kind.ANSWER:
            return [data]
        body = encode_answer(answer)
        exchange_id = frame.exchange_id
        return [encode_frame(geometry, Kind.ANSWER, body, size_class=size_class, exchange_id=exchange_id)]

    return change


class NamesWhoAsks:
    """Service 8: the relay that asks."""

    limits = Limits(relays_only=True)

    async def answer(self, call: Call) -> Reply:
        return Reply(b"nobody" if call.peer is None else call.peer)


def test_a_service_for_relays_only_knows_the_relay_and_is_closed_to_clients_and_onions() -> None:
    network = memory_network(relays=3)
    for relay in network.relays:
        relay.registry = Registry({8: NamesWhoAsks()}, lambda answer, timeout_s: answer())  # type: ignore[arg-type,return-value]
    asker, client = Asker(network), network.client()
    body = encode_call(CallBody(8, SizeClass.SMALL, b""))

    asker.ask(1, 1, CallBody(8, SizeClass.SMALL, b""))
    client.send_frame(Kind.CALL, body, exchange_id=9)
    for path in ([0, 1, 2], [0, 1], [0]):
        answer = client.request(OnionCall(8, b"", bytes(16), SizeClass.SMALL, SizeClass.SMALL), path=path)
        assert (ReplyStatus.REFUSED, Reason.WRONG_DEPTH) == (answer.head.status, answer.head.reason)

    assert [(1, network.relays[0].relay_id)] == asker.answers()
    (refused,) = [frame for frame in client.received if frame.kind is Kind.ANSWER]
    assert Reason.WRONG_DEPTH == decode_answer(refused.body).reason
