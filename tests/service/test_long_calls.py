"""A long call arrives whole or ends with a reason, whatever happens to its parts on the way."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onionpath.crypto.identity import RelayId
from onionpath.errors import MalformedError, UsageError
from onionpath.onion.geometry import SizeClass
from onionpath.onion.statuses import Reason
from onionpath.service.long_call_parts import (
    MOST_BYTES,
    Asked,
    State,
    Told,
    Verb,
    encode_asked,
    encode_told,
    parse_asked,
    parse_told,
)
from onionpath.service.long_calls import MOST_POLLS, Capacities, LongCall, Part
from onionpath.service.transfers import Begin, Ended, Taken, Transfer, Transfers, Wait

PEER, OTHER = RelayId(b"\1" * 32), RelayId(b"\2" * 32)
NAME = bytes(range(16))
SIZES = Capacities(small=5_000, large=20_000)


@cache
def body_of(size: int) -> bytes:
    """Bytes of which no two places look alike."""
    return b"".join(number.to_bytes(4, "big") for number in range(size // 4 + 1))[:size]


@dataclass(eq=False)
class Exchange:
    """A CALL on its way, and the wait of its answer."""

    part: Part
    capacity: int
    body: bytes
    waits_for: Transfer | None = None


@dataclass
class Way:
    """An asker and an answerer with nothing between them but an order that somebody chooses."""

    request: bytes
    reply: bytes | Reason
    table: Transfers = field(default_factory=Transfers)
    served: list[bytes] = field(default_factory=list)
    calls: int = 0

    def __post_init__(self) -> None:
        self.call = LongCall(self.request, NAME, SIZES)
        self.on_the_way: list[Exchange] = []
        self.working: list[Transfer] = []

    def send_due(self) -> None:
        """Put on the way whatever is due."""
        while self.call.due:
            part = self.call.due.popleft()
            asked = self.call.call(part)
            self.calls += 1
            capacity = SIZES.large if asked.answer_class is SizeClass.LARGE else SIZES.small
            self.on_the_way.append(Exchange(part, capacity, asked.body))

    def deliver(self, exchange: Exchange) -> None:
        """The CALL arrives; its answer comes back unless it has to wait."""
        match self.arrive(exchange.body):
            case Reason() as reason:
                self.answer(exchange, reason)
            case Ended(_, reason):
                self.answer(exchange, encode_told(Told(State.TAKEN)) if reason is None else reason)
            case Taken():
                self.answer(exchange, encode_told(Told(State.TAKEN)))
            case Begin(transfer) | Wait(transfer):
                exchange.waits_for = transfer

    def arrive(self, body: bytes) -> Taken | Begin | Wait | Ended | Reason:
        """A CALL arrives, perhaps a second time."""
        step = self.table.take(PEER, parse_asked(body))
        if isinstance(step, Begin):
            self.served.append(step.request)
            self.working.append(step.transfer)
        return step

    def tell(self, exchange: Exchange) -> None:
        """The answer to a CALL that waited: what there is by now."""
        assert exchange.waits_for is not None
        offset = 0 if exchange.part.verb is Verb.PUT else exchange.part.offset
        told = self.table.tell(exchange.waits_for, offset, exchange.capacity)
        self.answer(exchange, told if isinstance(told, Reason) else encode_told(told))

    def answer(self, exchange: Exchange, answer: bytes | Reason) -> None:
        self.on_the_way.remove(exchange)
        self.call.answered(exchange.part, answer)

    def finish_work(self) -> None:
        """The service has answered."""
        while self.working:
            self.table.finish(self.working.pop(), self.reply)

    def run(self) -> bytes | Reason | None:
        """Everything in its order, without any fault."""
        self.send_due()
        while self.on_the_way and self.call.result is None:
            exchange = self.on_the_way[0]
            if exchange.waits_for is None:
                self.deliver(exchange)
            else:
                self.finish_work()
                self.tell(exchange)
            self.send_due()
        return self.call.result

    def end(self) -> None:
        """What a driver does when it has a result."""
        if self.call.needs_end:
            self.arrive(self.call.end.body)


SIZE = st.sampled_from([0, 1, 4_972, 4_973, 4_988, 4_989, 19_972, 19_973, 19_988, 24_972, 44_917, 60_000])


@given(request_size=SIZE, reply_size=SIZE)
def test_every_size_arrives_whole_and_leaves_nothing(request_size: int, reply_size: int) -> None:
    way = Way(body_of(request_size), body_of(reply_size))

    assert body_of(reply_size) == way.run()
    way.end()

    assert ([body_of(request_size)], 0) == (way.served, len(way.table))


CHOICES = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 99)), max_size=80)


@given(request_size=SIZE, reply_size=SIZE, choices=CHOICES, is_lossy=st.booleans())
def test_lost_repeated_and_overtaken_parts_leave_it_whole_or_end_it_with_a_reason(
    request_size: int, reply_size: int, choices: list[tuple[int, int]], is_lossy: bool
) -> None:
    way = Way(body_of(request_size), body_of(reply_size))
    copies: list[bytes] = []
    way.send_due()
    for doing, which in choices:
        if not way.on_the_way:
            break
        exchange = way.on_the_way[which % len(way.on_the_way)]
        if doing == 0 and is_lossy:
            way.answer(exchange, Reason.NEXT_CLOSED)
        elif doing == 1 and copies and len(way.table):
            # Only while there is a transfer: the part that makes one is sent once, and nothing else repeats it.
            way.arrive(copies[which % len(copies)])
        elif doing == 2:
            way.finish_work()
        elif exchange.waits_for is None:
            copies.append(exchange.body)
            way.deliver(exchange)
        elif way.working or exchange.waits_for.reply is not None:
            way.tell(exchange)
        way.send_due()
    result = way.run()
    way.end()

    lost = is_lossy and any(doing == 0 for doing, _ in choices)
    assert result == body_of(reply_size) or (lost and result is Reason.NEXT_CLOSED)
    assert way.served in ([], [body_of(request_size)])
    assert way.served or result is Reason.NEXT_CLOSED
    assert 0 == len(way.table)


def test_a_short_call_costs_one_round_trip_and_needs_no_end() -> None:
    way = Way(body_of(4_972), body_of(4_988))

    assert body_of(4_988) == way.run()

    assert (1, False, 0) == (way.calls, way.call.needs_end, len(way.table))


def test_of_a_long_request_only_a_small_part_goes_before_its_first_answer() -> None:
    way = Way(body_of(60_000), b"")

    way.send_due()

    assert [Part(Verb.PUT, 0, 4_972, is_large=False)] == [each.part for each in way.on_the_way]


def test_a_refusal_of_the_service_ends_both_sides() -> None:
    way = Way(b"hello", Reason.SERVICE_BUSY)

    assert Reason.SERVICE_BUSY == way.run()

    assert (False, 0) == (way.call.needs_end, len(way.table))


def test_a_request_that_is_too_long_is_its_callers_mistake() -> None:
    with pytest.raises(UsageError):
        LongCall(bytes(MOST_BYTES + 1), NAME, SIZES)


def answers_to(*told: Told, request: bytes = b"hello") -> bytes | Reason | None:
    """What a call makes of these answers, each to the next part that is due."""
    call = LongCall(request, NAME, SIZES)
    for each in told:
        part = call.due.popleft()
        call.call(part)
        call.answered(part, encode_told(each))
    return call.result


FIRST = Told(State.REPLY, 6_000, 0, bytes(4_988))


@pytest.mark.parametrize(
    "told",
    [
        [Told(State.TAKEN)],
        [Told(State.REPLY, 6_000, 0, bytes(4_987))],
        [Told(State.REPLY, 6_000, 1, bytes(4_988))],
        [FIRST, Told(State.REPLY, 6_001, 4_988, bytes(1_013))],
        [FIRST, Told(State.REPLY, 6_000, 4_988, bytes(1_011))],
        [FIRST, Told(State.REPLY, 6_000, 0, bytes(4_988))],
        [FIRST, Told(State.TAKEN)],
        [Told(State.WORKING), Told(State.TAKEN)],
        [Told(State.WORKING)] * (MOST_POLLS + 1),
    ],
)
def test_a_peer_that_contradicts_itself_costs_itself_the_call(told: list[Told]) -> None:
    assert Reason.NEXT_MALFORMED == answers_to(*told)


def test_an_answer_of_no_form_is_malformed() -> None:
    call = LongCall(b"hello", NAME, SIZES)
    part = call.due.popleft()
    call.call(part)

    call.answered(part, b"\3")

    assert (Reason.NEXT_MALFORMED, True) == (call.result, call.needs_end)


def put(offset: int, size: int, total: int = 12_000, name: bytes = NAME) -> Asked:
    return Asked(Verb.PUT, name, total, offset, body_of(12_000)[offset : offset + size])


def test_a_length_that_changes_or_bytes_that_overlap_end_the_transfer() -> None:
    for second in (put(5_000, 5_000, 11_999), put(0, 4_096), put(4_096, 7_904)):
        table = Transfers()
        assert isinstance(table.take(PEER, put(0, 5_000)), Taken)

        step = table.take(PEER, second)

        assert isinstance(step, Ended)
        assert (Reason.BAD_CALL, 0) == (step.reason, len(table))


def test_as_many_bytes_as_wanted_that_leave_a_gap_end_the_transfer() -> None:
    table = Transfers()
    table.take(PEER, put(0, 5_000))
    table.take(PEER, put(4_500, 5_000))

    step = table.take(PEER, put(10_000, 2_000))

    assert isinstance(step, Ended)
    assert Reason.BAD_CALL == step.reason


def test_only_the_first_part_makes_a_transfer() -> None:
    table = Transfers()

    assert Reason.CALL_UNKNOWN == table.take(PEER, put(5_000, 5_000))
    assert Reason.CALL_UNKNOWN == table.take(PEER, Asked(Verb.GET, NAME))
    assert Ended(None) == table.take(PEER, Asked(Verb.END, NAME))


def test_nobody_reaches_the_transfer_of_another_relay() -> None:
    table = Transfers()
    table.take(PEER, put(0, 5_000))

    assert Reason.CALL_UNKNOWN == table.take(OTHER, put(5_000, 7_000))
    assert Ended(None) == table.take(OTHER, Asked(Verb.END, NAME))
    assert isinstance(table.take(PEER, put(5_000, 7_000)), Begin)


def test_whoever_holds_much_is_full_before_others_are() -> None:
    table = Transfers(most_bytes=40_000)

    def begin(peer: RelayId, number: int) -> object:
        return table.take(peer, put(0, 5_000, name=bytes([number]) * 16))

    assert isinstance(begin(PEER, 1), Taken)
    assert Reason.SERVICE_BUSY == begin(PEER, 2)
    assert isinstance(begin(OTHER, 3), Taken)
    table.take(PEER, Asked(Verb.END, b"\1" * 16))
    assert isinstance(begin(PEER, 2), Taken)


def test_a_reply_without_room_is_refused_and_room_comes_back() -> None:
    table = Transfers(most_bytes=40_000)
    step = table.take(PEER, put(0, 5_000, 5_000))
    assert isinstance(step, Begin)

    table.finish(step.transfer, bytes(30_000))

    assert Reason.SERVICE_BUSY == table.tell(step.transfer, 0, SIZES.small)
    assert isinstance(table.take(PEER, put(0, 12_000)), Begin)


def test_a_part_beyond_the_reply_is_a_bad_call() -> None:
    table = Transfers()
    step = table.take(PEER, put(0, 5_000, 5_000))
    assert isinstance(step, Begin)
    table.finish(step.transfer, bytes(30_000))

    assert Reason.BAD_CALL == table.tell(step.transfer, 30_001, SIZES.small)


ZEROS = bytes(8)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\1" + bytes(26),
        b"\0" + bytes(27),
        b"\4" + bytes(27),
        b"\1\0\0\1" + bytes(24),
        b"\2\0\0\0" + b"\0\0\0\1\0\0\0\0" + NAME,  # a GET with a length
        b"\2\0\0\0" + ZEROS + NAME + b"x",
        b"\3\0\0\0" + b"\0\0\0\0\0\0\0\1" + NAME,  # an END with an offset
        b"\1\0\0\0" + b"\0\0\0\1\0\0\0\0" + NAME + b"xy",  # beyond its end
        b"\1\0\0\0" + b"\0\0\0\1\0\0\0\1" + NAME,  # no bytes
        b"\1\0\0\0" + b"\0\0\x20\0\0\0\0\0" + NAME + bytes(4_095),
        b"\1\0\0\0" + (MOST_BYTES + 1).to_bytes(4, "big") + bytes(4) + NAME + bytes(5_000),
    ],
)
def test_parts_of_no_form_are_refused(data: bytes) -> None:
    with pytest.raises(MalformedError):
        parse_asked(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\1" + bytes(10),
        b"\0" + bytes(11),
        b"\4" + bytes(11),
        b"\1\1\0\0" + ZEROS,
        b"\1\0\0\0" + ZEROS + b"x",
        b"\2\0\0\0" + b"\0\0\0\1\0\0\0\0",
        b"\3\0\0\0" + b"\0\0\0\1\0\0\0\1" + b"x",
        b"\3\0\0\0" + (MOST_BYTES + 1).to_bytes(4, "big") + bytes(4),
    ],
)
def test_answers_of_no_form_are_refused(data: bytes) -> None:
    with pytest.raises(MalformedError):
        parse_told(data)


def test_parts_and_answers_read_as_they_were_written() -> None:
    for asked in (put(0, 5_000), Asked(Verb.GET, NAME, offset=7), Asked(Verb.END, NAME), put(0, 0, 0)):
        assert asked == parse_asked(encode_asked(asked))
    for told in (Told(State.TAKEN), Told(State.WORKING), FIRST, Told(State.REPLY)):
        assert told == parse_told(encode_told(told))
