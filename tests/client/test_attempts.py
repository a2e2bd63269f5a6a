"""When a call is tried again, for how long, and how it ends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onionpath.client.attempts import MAX_ATTEMPTS, Attempt, Attempts, GiveUp
from onionpath.errors import DeadlineError, OutcomeUnknownError, UnreachableError
from onionpath.onion.packets import Answer, ReplyHead
from onionpath.onion.statuses import Reason, ReplyStatus
from onionpath.path.timeouts import LearnedTimeout, Waits
from onionpath.service.calls import ServiceId

STARTING = LearnedTimeout().waits()
FAST = Waits(slow_after_s=0.1, hedge_after_s=0.2, timeout_s=0.5)
LOST = UnreachableError("the reply was lost")
UNSENT = UnreachableError("nobody answers there", sent=False)
A_SERVICE_WITH_EFFECTS = ServiceId.STREAM


def test_a_call_that_may_be_repeated_shares_its_time_among_its_attempts() -> None:
    attempts = Attempts.of(ServiceId.ECHO, deadline_at=100.0)
    first = attempts.first(STARTING, now=76.0)

    assert Attempt(1, 8.0) == first
    second = attempts.after(first, LOST, STARTING, now=84.0)
    assert Attempt(2, 8.0) == second
    assert isinstance(second, Attempt)
    assert Attempt(3, 14.0) == attempts.after(second, LOST, STARTING, now=86.0)


def test_an_attempt_takes_as_long_as_answers_do_and_the_last_all_that_is_left() -> None:
    attempts = Attempts.of(ServiceId.ECHO, deadline_at=100.0)

    assert Attempt(1, 0.5) == attempts.first(FAST, now=60.0)
    assert Attempt(2, 0.5) == attempts.after(Attempt(1, 0.5), LOST, FAST, now=60.5)
    assert Attempt(3, 39.0) == attempts.after(Attempt(2, 0.5), LOST, FAST, now=61.0)


def test_only_the_first_attempt_is_hedged_and_only_if_that_comes_before_its_timeout() -> None:
    attempts = Attempts.of(ServiceId.ECHO, deadline_at=100.0, hedges=True)
    first = attempts.first(FAST, now=60.0)

    assert Attempt(1, 0.5, hedge_after_s=0.2) == first
    assert Attempt(2, 0.5) == attempts.beside(first, FAST, now=60.2)
    assert attempts.first(FAST, now=99.7).hedge_after_s is None


def test_a_call_with_effects_is_never_hedged() -> None:
    attempts = Attempts.of(A_SERVICE_WITH_EFFECTS, deadline_at=100.0, hedges=True)

    assert attempts.first(FAST, now=60.0).hedge_after_s is None


def test_the_last_failure_is_what_the_caller_is_told() -> None:
    attempts = Attempts.of(ServiceId.DIRECTORY, deadline_at=100.0)

    assert GiveUp(LOST) == attempts.after(Attempt(MAX_ATTEMPTS, 10.0), LOST, STARTING, now=80.0)


@pytest.mark.parametrize("error", [LOST, UNSENT, DeadlineError("no answer in time")])
def test_nothing_is_tried_after_the_deadline(error: UnreachableError) -> None:
    attempts = Attempts.of(ServiceId.ECHO, deadline_at=100.0)

    assert GiveUp(error) == attempts.after(Attempt(1, 10.0), error, STARTING, now=100.0)
    assert isinstance(attempts.after(Attempt(1, 10.0), error, STARTING, now=99.0), Attempt)


def test_a_call_with_effects_that_was_sent_is_repeated_at_its_exit_and_unknown_in_the_end() -> None:
    attempts = Attempts.of(A_SERVICE_WITH_EFFECTS, deadline_at=100.0)
    second = attempts.after(attempts.first(STARTING, now=60.0), LOST, STARTING, now=80.0)

    assert Attempt(2, 10.0, is_repetition=True) == second
    assert isinstance(second, Attempt)
    third = attempts.after(second, UNSENT, STARTING, now=90.0)
    assert Attempt(3, 10.0, is_repetition=True) == third
    assert isinstance(third, Attempt)
    end = attempts.after(third, UNSENT, STARTING, now=95.0)
    assert isinstance(end, GiveUp)
    assert isinstance(end.error, OutcomeUnknownError)
    assert UNSENT is end.error.__cause__


def test_a_call_with_effects_that_never_left_is_tried_again_as_a_first_one() -> None:
    attempts = Attempts.of(A_SERVICE_WITH_EFFECTS, deadline_at=100.0)

    assert Attempt(2, 19.5) == attempts.after(attempts.first(STARTING, now=60.0), UNSENT, STARTING, now=61.0)


def refused(reason: Reason) -> Answer:
    return Answer(2, ReplyHead(ReplyStatus.REFUSED, reason), b"", (0, 0, 0))


@pytest.mark.parametrize("reason", [Reason.SERVICE_BUSY, Reason.HOP_BUSY, Reason.CALL_UNKNOWN])
def test_a_refusal_that_leaves_open_what_became_of_the_first_sending_is_no_answer(reason: Reason) -> None:
    attempts = Attempts.of(A_SERVICE_WITH_EFFECTS, deadline_at=100.0)
    last = Attempt(MAX_ATTEMPTS, 1.0, is_repetition=True)

    assert attempts.after_answer(Attempt(1, 1.0), refused(reason), now=90.0) is None
    end = attempts.after_answer(last, refused(reason), now=90.0)
    assert isinstance(end, GiveUp)
    assert isinstance(end.error, OutcomeUnknownError)


def test_a_repetition_that_meets_the_first_sending_under_way_is_made_again_after_a_pause() -> None:
    attempts = Attempts.of(A_SERVICE_WITH_EFFECTS, deadline_at=100.0)
    second = Attempt(2, 1.0, is_repetition=True)

    assert Attempt(3, 25.0, is_repetition=True, pause_s=5.0) == attempts.after_answer(
        second, refused(Reason.SERVICE_BUSY), now=70.0
    )


@given(
    is_repeatable=st.booleans(),
    deadline_s=st.floats(0, 1e4),
    failures=st.lists(st.tuples(st.floats(0, 1), st.sampled_from([LOST, UNSENT])), min_size=3, max_size=3),
)
def test_whatever_fails_there_are_few_attempts_and_none_goes_beyond_the_deadline(
    is_repeatable: bool, deadline_s: float, failures: list[tuple[float, UnreachableError]]
) -> None:
    attempts = Attempts(is_repeatable, deadline_s)
    now, step, made = 0.0, attempts.first(STARTING, now=0.0), 0
    for share, error in failures:
        made += 1
        assert 0 <= step.timeout_s <= max(0.0, deadline_s - now)
        now += share * step.timeout_s
        after = attempts.after(step, error, STARTING, now=now)
        if isinstance(after, GiveUp):
            break
        step = after

    assert isinstance(after, GiveUp)
    assert made <= MAX_ATTEMPTS


def test_where_no_exit_remembers_a_call_with_effects_is_sent_once_and_has_all_the_time() -> None:
    attempts = Attempts(is_repeatable=False, deadline_at=100.0, is_remembered=False)
    first = attempts.first(STARTING, now=60.0)

    assert Attempt(1, 40.0) == first
    assert Attempt(2, 35.0) == attempts.after(first, UNSENT, STARTING, now=65.0)
    end = attempts.after(first, LOST, STARTING, now=65.0)
    assert isinstance(end, GiveUp)
    assert isinstance(end.error, OutcomeUnknownError)
