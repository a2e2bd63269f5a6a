"""An exit's stream by its events alone: no socket, no loop, no clock."""

from __future__ import annotations

import math

import pytest

from onionpath.onion.statuses import Reason
from onionpath.service.hosts import parse_host
from onionpath.service.stream import ReplyFlags, RequestFlags, StreamReply, StreamRequest
from relay.exit import stream as streams
from relay.exit.limits import StreamLimits
from relay.exit.memory import Budget
from relay.exit.stream import NEXT, ExitStream, State, StreamCall
from tests.exit.servers import LARGE, TOKEN

LIMITS = StreamLimits()


def connected(limits: StreamLimits = LIMITS) -> ExitStream:
    """A stream whose server accepted at 0 s."""
    host = b"example.com"
    stream = ExitStream(
        (host, 443), parse_host(host), caller=1, budget=Budget(limits.shared), limits=limits, now=0.0
    )
    stream.connected()
    return stream


def asked(stream: ExitStream, *, now: float = 0.0, **fields: object) -> StreamCall:
    call = stream.ask(StreamRequest(TOKEN, **fields), capacity=LARGE, now=now)  # type: ignore[arg-type]
    assert isinstance(call, StreamCall)
    stream.settle(now)
    return call


def sent_by_server(stream: ExitStream, data: bytes) -> None:
    stream.read(stream.grant(), data, now=0.0)


def test_the_table_at_the_top_of_the_file_is_the_table_in_force() -> None:
    assert streams.__doc__ is not None
    rows = [line.split() for line in streams.__doc__.splitlines() if line[:3].isupper()]
    written = {
        (row[0], follower) for row in rows for follower in (word.rstrip(",") for word in row[1:3])
        if follower in State.__members__
    }  # fmt: skip

    in_force = {(state.name, follower.name) for state, after in NEXT.items() for follower in after}
    assert written == {(one, other) for one, other in in_force if other != "FORGOTTEN"}
    # The last row is for all but the last state itself.
    assert set(State) - {State.FORGOTTEN} == {
        state for state, after in NEXT.items() if State.FORGOTTEN in after
    }


def test_a_server_that_ended_and_then_takes_nothing_breaks_the_stream() -> None:
    stream = connected()
    stream.ended()
    assert State.ENDED is stream.state

    stream.broke()

    assert State.BROKEN is stream.state
    call = asked(stream, at_least=1, at_most=9, wait_ms=5_000)
    assert StreamReply(0, 0, b"", ReplyFlags.RESET) == call.answer


@pytest.mark.parametrize("event", ["connected", "ended", "broke"])
def test_nothing_brings_a_forgotten_stream_back(event: str) -> None:
    stream = connected()
    stream.close(now=1.0)
    getattr(stream, event)()

    assert (State.FORGOTTEN, -math.inf) == (stream.state, stream.ends_at)
    call = asked(stream, now=2.0)
    assert (Reason.STREAM_UNKNOWN, -math.inf) == (call.answer, stream.ends_at)


def test_a_call_waits_for_bytes_until_its_time_is_over() -> None:
    stream = connected()
    call = asked(stream, at_least=1, at_most=9, wait_ms=5_000)
    assert (None, 5.0) == (call.answer, call.until)
    assert not stream.settle(4.9)

    assert stream.settle(5.0)

    assert StreamReply() == call.answer


def test_one_calls_bytes_answer_another_that_waits_behind_a_gap() -> None:
    stream = connected()
    behind = asked(stream, upstream_offset=3, data=b"def", wait_ms=5_000)
    assert behind.answer is None

    first = asked(stream, data=b"abc", wait_ms=5_000)

    # The first is answered before the other has been looked at again.
    assert [StreamReply(6), StreamReply(3)] == [behind.answer, first.answer]
    assert b"abcdef" == stream.next_write()


def test_a_stream_that_was_closed_lasts_until_what_it_took_is_written() -> None:
    stream = connected()
    asked(stream, data=b"last words", wait_ms=5_000)
    stream.close(now=1.0)
    assert (1.0 + LIMITS.linger_s, False) == (stream.ends_at, stream.may_read)
    data = stream.next_write()
    assert 1.0 + LIMITS.linger_s == stream.ends_at

    stream.written(len(data))

    assert -math.inf == stream.ends_at


def test_what_is_given_back_is_everything_that_was_held() -> None:
    stream = connected()
    sent_by_server(stream, bytes(1_000))
    call = asked(stream, data=bytes(500), at_least=2_000, at_most=2_000, wait_ms=5_000)
    assert 1_000 + 500 + 2 * 500 == stream.held

    stream.leave(call)
    stream.end(now=1.0)

    assert 0 == stream.held


def test_an_end_that_arrives_before_its_bytes_is_no_end() -> None:
    stream = connected()
    asked(stream, flags=RequestFlags.END, upstream_offset=3, data=b"def", wait_ms=5_000)
    assert not stream.must_end

    asked(stream, data=b"abc", wait_ms=5_000)
    stream.written(len(stream.next_write()))

    assert stream.must_end


def test_a_stream_may_receive_its_bytes_and_ends_with_the_next() -> None:
    stream = connected(StreamLimits(bytes_each_way=100))
    sent_by_server(stream, bytes(100))
    assert StreamReply(0, 0, bytes(100)) == asked(stream, at_least=100, at_most=100, wait_ms=5_000).answer
    waiting = asked(stream, read_at=100, at_least=1, at_most=9, wait_ms=5_000)

    sent_by_server(stream, b"x")
    stream.settle(1.0)

    assert (Reason.STREAM_LIMIT, -math.inf) == (waiting.answer, stream.ends_at)
    assert Reason.STREAM_LIMIT is stream.refusal


def test_a_stream_may_send_its_bytes_and_ends_with_the_next() -> None:
    stream = connected(StreamLimits(bytes_each_way=100))
    assert StreamReply(100) == asked(stream, data=bytes(100), wait_ms=5_000).answer
    assert State.OPEN is stream.state

    assert Reason.STREAM_LIMIT is asked(stream, upstream_offset=100, data=b"x", wait_ms=5_000).answer

    assert (State.FORGOTTEN, -math.inf) == (stream.state, stream.ends_at)


def test_no_call_makes_a_stream_live_longer_than_its_life() -> None:
    stream = connected(StreamLimits(life_s=100.0))
    call = asked(stream, now=50.0)
    assert (StreamReply(), 100.0) == (call.answer, stream.ends_at)
    waiting = asked(stream, now=90.0, at_least=1, at_most=9, wait_ms=20_000)
    assert not stream.settle(99.9)

    stream.end(now=100.0)
    stream.settle(100.0)

    assert Reason.STREAM_LIMIT is waiting.answer


def test_a_stream_that_was_closed_is_not_said_to_have_lived_too_long() -> None:
    stream = connected(StreamLimits(life_s=100.0))
    stream.close(now=99.0)

    stream.end(now=101.0)

    assert Reason.STREAM_UNKNOWN is stream.refusal
