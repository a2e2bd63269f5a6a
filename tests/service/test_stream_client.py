"""A client's end of a stream, by its events alone: no loop, no exit, no clock."""

from __future__ import annotations

from onionpath.errors import DeadlineError, RefusedError, UnreachableError
from onionpath.onion.geometry import Geometry
from onionpath.onion.packets import SizeClass
from onionpath.service.stream import ReplyFlags, RequestFlags, StreamReply
from onionpath.service.stream_client import BUSY_PAUSE_S, KEEP_ALIVE_S, StreamClient

GEOMETRY = Geometry()


def opened() -> StreamClient:
    """A stream whose opening was answered at 0 s."""
    stream = StreamClient(token=bytes(16), host="example.com", port=443, geometry=GEOMETRY)
    stream.opening(now=0.0)
    return stream


def test_a_new_stream_asks_with_one_small_poll_and_nothing_more_until_something_happens() -> None:
    stream = opened()
    (poll,) = stream.due(now=0.0)

    assert (SizeClass.SMALL, SizeClass.SMALL, 1) == (
        poll.request_class,
        poll.reply_class,
        poll.request.at_least,
    )
    assert [] == stream.due(now=0.0)
    assert KEEP_ALIVE_S == stream.patience_s(now=0.0)


def test_bytes_that_were_given_leave_at_once_and_again_after_their_call_was_lost() -> None:
    stream = opened()
    stream.due(now=0.0)
    assert 5 == stream.give(memoryview(b"hello"))
    stream.end()
    (push,) = stream.due(now=0.1)
    assert (b"hello", RequestFlags.END) == (push.request.data, push.request.flags)

    stream.failed(push, UnreachableError("lost"), now=1.0)

    (again,) = stream.due(now=1.0)
    assert push.request == again.request
    stream.answered(again, StreamReply(upstream_received=5), now=2.0)
    assert [] == stream.due(now=2.0)


def test_a_busy_exit_is_asked_again_after_a_quarter_of_a_second() -> None:
    stream = opened()
    (poll,) = stream.due(now=0.0)
    stream.failed(poll, RefusedError("no", reason="service_busy"), now=1.0)

    assert [] == stream.due(now=1.0)
    assert BUSY_PAUSE_S == stream.patience_s(now=1.0)
    (again,) = stream.due(now=1.0 + BUSY_PAUSE_S)
    assert poll.request == again.request


def test_a_stream_whose_server_has_ended_is_kept_alive_by_an_empty_call() -> None:
    stream = opened()
    (poll,) = stream.due(now=0.0)
    stream.answered(poll, StreamReply(0, 0, b"all", ReplyFlags.END), now=1.0)
    assert [] == stream.due(now=1.0)
    assert KEEP_ALIVE_S - 1.0 == stream.patience_s(now=1.0)

    (alive,) = stream.due(now=KEEP_ALIVE_S)

    assert (b"", 0) == (alive.request.data, alive.request.at_least)


def test_a_path_that_is_slow_but_answers_is_kept_and_a_silent_one_is_left() -> None:
    stream = opened()
    (poll,) = stream.due(now=0.0)
    stream.give(memoryview(b"x"))
    (push,) = stream.due(now=0.1)
    assert stream.blames_path(poll, DeadlineError("late"))

    stream.answered(push, StreamReply(upstream_received=1), now=0.2)

    assert not stream.blames_path(poll, DeadlineError("late"))
    assert stream.blames_path(poll, UnreachableError("broke"))
