"""A stream asks for no more than its path carries: polls that only stand in line are taken back."""

from __future__ import annotations

from onionpath.service.stream_queue import REMEMBER_S, PollQueue


def test_as_long_as_replies_come_at_once_there_is_room_for_more() -> None:
    queue = PollQueue()

    assert [1] * 32 == [queue.wish(width=width, took_s=0.3, now=width) for width in range(1, 33)]


def test_polls_in_line_are_taken_back_until_a_few_are_left() -> None:
    """At a quarter of a second each four polls fill this path: 16 a second, and whatever is beyond stands in line."""
    queue, width, seen = PollQueue(), 1, []
    for turn in range(40):
        width += queue.wish(width=width, took_s=max(0.25, width / 16), now=turn / 16)
        seen.append(width)

    assert [1 + turn for turn in range(1, 6)] == seen[:5]
    assert {6} == set(seen[5:])

    assert -1 == queue.wish(width=12, took_s=12 / 16, now=3.0)
    assert 0 == queue.wish(width=7, took_s=7 / 16, now=3.0)


def test_a_path_that_has_become_longer_is_known_as_such_after_a_while() -> None:
    queue = PollQueue()
    queue.wish(width=1, took_s=0.1, now=0.0)
    wishes = [queue.wish(width=20, took_s=0.4, now=at) for at in (1.0, REMEMBER_S + 1, 2 * REMEMBER_S + 2)]

    assert [-1, -1, 1] == wishes


def test_a_reply_that_took_no_time_is_no_line() -> None:
    assert 1 == PollQueue().wish(width=32, took_s=0.0, now=0.0)
