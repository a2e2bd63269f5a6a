"""The buffers of both ends neither lose nor double a byte, and no two polls ask for the same one."""

from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onionpath.errors import MalformedError
from onionpath.service.stream_buffers import Downstream, Upstream
from onionpath.service.stream_polls import Poll, Polls
from onionpath.service.stream_reassembly import Reassembly

SMALL, LARGE = 1_024, 10_024  # replies that carry 1,000 and 10,000 bytes

pieces = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 30)), max_size=40)


def pattern(start: int, stop: int) -> bytes:
    return bytes(n % 251 for n in range(start, stop))


@given(pieces, st.integers(1, 50), st.randoms(use_true_random=False))
def test_upstream_pieces_in_any_order_are_taken_once_and_in_order(
    pieces: list[tuple[int, int]], limit: int, choice: Random
) -> None:
    upstream, taken = Upstream(limit), b""
    for offset, length in pieces:
        accepted = upstream.accept(offset, pattern(offset, offset + length), at_most=choice.randrange(40))
        assert accepted >= 0
        assert upstream.held <= limit
        taken += upstream.take(choice.randrange(40))
    taken += upstream.take(1000)

    assert pattern(0, upstream.received) == taken


def test_the_upstream_end_waits_for_the_bytes_before_it() -> None:
    upstream = Upstream()
    assert not upstream.end_at(3)
    upstream.accept(0, b"abc", at_most=9)
    assert upstream.end_at(3)
    assert not upstream.finished
    upstream.take(3)
    assert upstream.finished
    assert 0 == upstream.accept(3, b"d", at_most=9)
    for offset, length, ends in ((3, 1, False), (0, 2, True)):
        with pytest.raises(MalformedError):
            upstream.check(offset, length, ends=ends)


def test_downstream_keeps_what_is_not_acknowledged() -> None:
    downstream = Downstream(limit=10)
    downstream.append(b"0123456789")

    assert (0, b"345") == (downstream.room, downstream.read(3, 3))
    assert (4, 0) == (downstream.acknowledge(4), downstream.acknowledge(2))
    assert (4, b"456789", 0, 6) == (
        downstream.room,
        downstream.read(4, 99),
        downstream.available(3),
        downstream.held,
    )
    with pytest.raises(MalformedError):
        downstream.acknowledge(11)


@given(pieces, st.randoms(use_true_random=False))
def test_reassembled_bytes_are_those_that_were_sent(pieces: list[tuple[int, int]], choice: Random) -> None:
    reassembly, taken, seen = Reassembly(window=1000), b"", set[int]()
    for offset, length in pieces:
        reassembly.add(offset, pattern(offset, offset + length))
        seen.update(range(offset, offset + length))
        received = next(n for n in range(1000) if n not in seen)
        assert received == reassembly.received
        taken += reassembly.take(choice.randrange(20))
        missing = {n for start, stop in reassembly.missing() for n in range(start, stop)}
        assert set(range(reassembly.taken + 1000)) - seen == missing
    taken += reassembly.take(1000)

    assert pattern(0, reassembly.received) == taken


def test_reassembly_refuses_what_nobody_asked_for_and_two_ends() -> None:
    reassembly = Reassembly(window=10)
    with pytest.raises(MalformedError):
        reassembly.add(5, b"123456")
    reassembly.add(4, b"45")
    with pytest.raises(MalformedError):
        reassembly.end_at(5)
    reassembly.end_at(6)
    with pytest.raises(MalformedError):
        reassembly.end_at(7)
    assert [(0, 4)] == reassembly.missing()
    reassembly.add(0, b"0123")
    assert (True, b"012345", True) == (reassembly.complete, reassembly.take(99), reassembly.finished)


def test_an_idle_stream_keeps_one_small_poll() -> None:
    polls = Polls(small_reply=SMALL, large_reply=LARGE)
    for _ in range(3):
        (poll,) = polls.due([(0, 100_000)], now=0.0)
        assert [] == polls.due([(0, 100_000)], now=0.0)
        assert (0, 1, 1_000, False) == (poll.read_at, poll.at_least, poll.at_most, poll.large)
        polls.answered(poll, 0, now=100.0)


def test_full_replies_double_the_polls_of_each_round_until_the_bound() -> None:
    polls, reassembly, rounds = Polls(small_reply=SMALL, large_reply=LARGE), Reassembly(window=10**7), []
    for _ in range(8):
        due = polls.due(reassembly.missing(), now=0.0)
        rounds.append(len(due))
        assert [1] + [poll.at_most for poll in due[1:]] == [poll.at_least for poll in due]
        for poll in due:
            reassembly.add(poll.read_at, bytes(poll.at_most))
            polls.answered(poll, poll.at_most, now=100.0)

    assert [1, 2, 4, 8, 16, 32, 32, 32] == rounds


def test_a_lost_flight_halves_the_polls_once_and_empty_replies_end_in_idleness() -> None:
    polls = Polls(small_reply=SMALL, large_reply=LARGE)
    start = 0
    for _ in range(4):
        due = polls.due([(start, 10**7)], now=0.0)
        start = due[-1].stop
        for poll in due:
            polls.answered(poll, poll.at_most, now=100.0)
    assert 16 == polls.width
    for poll in polls.due([(start, 10**7)], now=0.0):
        polls.lost(poll)
    assert 8 == polls.width
    while polls.width > 1:
        for poll in polls.due([(start, 10**7)], now=0.0):
            polls.answered(poll, 0, now=100.0)
    (last,) = polls.due([(start, 10**7)], now=0.0)
    polls.answered(last, 0, now=100.0)
    (idle,) = polls.due([(start, 10**7)], now=0.0)
    assert not idle.large


@given(st.integers(0, 2**32), st.integers(1, 150))
def test_polls_never_overlap_and_the_head_is_always_asked_for(seed: int, steps: int) -> None:
    choice, outstanding = Random(seed), dict[int, Poll]()
    polls, reassembly = Polls(small_reply=SMALL, large_reply=LARGE), Reassembly(window=50_000)
    for _ in range(steps):
        for poll in polls.due(reassembly.missing(), now=0.0):
            outstanding[poll.number] = poll
        ranges = sorted((poll.read_at, poll.stop) for poll in outstanding.values())
        assert all(stop <= start for (_, stop), (start, _) in pairwise(ranges))
        assert len(ranges) == polls.outstanding <= 33
        if reassembly.missing():
            assert any(start <= reassembly.received < stop for start, stop in ranges)
        if outstanding:
            poll = outstanding.pop(choice.choice(list(outstanding)))
            if choice.random() < 0.2:
                polls.lost(poll)
            else:
                length = choice.choice([0, poll.at_most, choice.randint(0, poll.at_most)])
                reassembly.add(poll.read_at, pattern(poll.read_at, poll.read_at + length))
                polls.answered(poll, length, now=100.0)
        reassembly.take(choice.choice([0, 100_000]))
