"""What members send each other is read as it was written, and nothing else is read."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onionpath.crypto.identity import RelayId
from onionpath.directory.swarms import RING
from onionpath.errors import MalformedError
from onionpath.swarm.arcs import Arc
from onionpath.swarm.operations import AccountId, Version
from onionpath.swarm.reconciliation import Key, Kind, Row, Standing
from relay.store.replica.duties import Debt, Duties, Holding
from relay.store.replica.duties_form import decode_duties, encode_duties
from relay.store.replica.messages import (
    ArcForm,
    Bring,
    Brought,
    Compare,
    Give,
    KeyForm,
    Replied,
    RowForm,
    Said,
    Took,
    decode_replied,
    decode_said,
    encode_replied,
    encode_said,
)

KEY = Key(AccountId(b"\x03" + bytes(32)), "a" * 43)
ROW = Row(Standing(KEY, Kind.LIVE, Version(5), Version(6), 7, 8), -11, 9, b"data")
ARCS = (
    st.tuples(st.integers(0, RING - 1), st.integers(1, RING))
    .map(sorted)
    .filter(lambda pair: pair[0] < pair[1])
)


def test_rows_arrive_as_they_were_sent() -> None:
    said = decode_said(encode_said(Said(3, 4, Give([RowForm.of(ROW)]))))

    assert isinstance(said.question, Give)
    assert [ROW] == [row.value() for row in said.question.rows]
    replied = Replied(3, 4, Brought([RowForm.of(ROW)], [KeyForm.of(KEY)]))
    assert replied == decode_replied(encode_replied(replied))


@settings(max_examples=30)
@given(ARCS)
def test_arcs_arrive_as_they_were_sent(ends: list[int]) -> None:
    said = Said(1, 1, Compare(ArcForm.of(Arc(*ends)), bytes(32)))

    read = decode_said(encode_said(said)).question

    assert isinstance(read, Compare)
    assert Arc(*ends) == read.arc.value()


def test_an_arc_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(MalformedError):
        ArcForm(bytes([1] * 8), bytes(8)).value()


@pytest.mark.parametrize(
    "message",
    [
        [1, 1, ["forget", 1]],
        [1, 1, ["bring", []]],
        [1, 1, ["bring", [[b"short", "name"]]]],
        [-1, 1, ["bring", [[bytes(33), "name"]]]],
        [1, 1, ["bring", [[bytes(33), "name"]], 1]],
        [1, 1, ["compare", [bytes(9), bytes(8)], bytes(32)]],
        [1, 1, ["bring", [[bytes(33), "name"]] * 1_001]],
        [1, 1],
        {"number": 1},
    ],
)
def test_what_no_member_sends_is_refused(message: object) -> None:
    with pytest.raises(MalformedError):
        decode_said(msgspec.msgpack.encode(message))


def test_the_messages_above_are_refused_for_what_is_wrong_with_them() -> None:
    good = msgspec.msgpack.encode([1, 1, ["bring", [[bytes(33), "name"]]]])

    assert Said(1, 1, Bring([KeyForm(bytes(33), "name")])) == decode_said(good)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for decode in (decode_said, decode_replied):
        try:
            decode(data)
        except MalformedError:
            continue


def test_a_question_is_no_answer() -> None:
    with pytest.raises(MalformedError):
        decode_said(encode_replied(Replied(1, 1, Took(0))))


def test_duties_are_read_as_they_were_noted() -> None:
    one, two = RelayId(b"1" * 32), RelayId(b"2" * 32)
    debt = Debt(frozenset((one, two)), 2, 7, heard=frozenset((one,)), new=frozenset((two,)))
    holding = Holding(Arc(0, RING), frozenset((one,)), (debt,), is_leaving=True, is_new=True)
    duties = Duties(9, (holding,))

    assert duties == decode_duties(encode_duties(duties))
