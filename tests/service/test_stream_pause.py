"""An exit that answers at once and gives nothing doesn't make its client ask as fast as it can."""

from __future__ import annotations

import pytest

from onionpath.service.stream_pause import Pause
from onionpath.service.stream_polls import IDLE_WAIT_MS, Polls

MISSING = [(0, 100_000)]


def new_polls() -> Polls:
    return Polls(small_reply=1_024, large_reply=10_024)


def test_polls_that_are_answered_early_and_empty_are_sent_after_pauses_that_double_to_five_seconds() -> None:
    polls, now, pauses = new_polls(), 0.0, []
    for _ in range(9):
        (poll,) = polls.due(MISSING, now=now)
        now += 0.001
        polls.answered(poll, 0, now=now)
        next_due_at = polls.next_due_at(now=now)
        assert next_due_at is not None
        assert [] == polls.due(MISSING, now=next_due_at - 0.0001)
        pauses.append(next_due_at - now)
        now = next_due_at

    assert pytest.approx([0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]) == pauses


def test_a_byte_ends_the_pause_and_the_next_begins_small() -> None:
    polls, now = new_polls(), 0.0
    for _ in range(4):
        (poll,) = polls.due(MISSING, now=now)
        polls.answered(poll, 0, now=now)
        now += 10.0
    (poll,) = polls.due(MISSING, now=now)
    polls.answered(poll, 1, now=now)
    assert None is polls.next_due_at(now=now)

    (poll,) = polls.due(MISSING, now=now)
    polls.answered(poll, 0, now=now)
    assert now + 0.05 == polls.next_due_at(now=now)


def test_an_exit_that_waited_as_asked_is_asked_again_at_once() -> None:
    polls, wait_s = new_polls(), IDLE_WAIT_MS / 1000
    (poll,) = polls.due(MISSING, now=0.0)
    polls.answered(poll, 0, now=wait_s)

    assert None is polls.next_due_at(now=wait_s)
    assert 1 == len(polls.due(MISSING, now=wait_s))


def test_empty_answers_that_come_together_count_once() -> None:
    pause = Pause()
    for _ in range(32):
        pause.nothing_came(asked_at=0.0, wait_s=20.0, now=1.0)
    assert 1.05 == pause.ends_at(now=1.0)
