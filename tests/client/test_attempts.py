"""When a call is tried again, for how long, and how it ends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onionpath.client.attempts import DEFAULT_DEADLINE_S, MAX_ATTEMPTS, Attempt, Attempts, GiveUp
from onionpath.errors import DeadlineError, OutcomeUnknownError, UnreachableError
from onionpath.path.timeouts import LearnedTimeout, Waits
from onionpath.service.calls import ServiceId
from relay.limits import SwitchLimits

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


def test_a_call_with_effects_that_was_sent_is_never_sent_again() -> None:
    attempts = Attempts.of(A_SERVICE_WITH_EFFECTS, deadline_at=100.0)
    end = attempts.after(attempts.first(STARTING, now=60.0), LOST, STARTING, now=61.0)

    assert isinstance(end, GiveUp)
    assert isinstance(end.error, OutcomeUnknownError)
    assert LOST is end.error.__cause__


def test_a_call_with_effects_that_never_left_is_tried_again() -> None:
    attempts = Attempts.of(A_SERVICE_WITH_EFFECTS, deadline_at=100.0)

    assert Attempt(2, 39.0) == attempts.after(attempts.first(STARTING, now=60.0), UNSENT, STARTING, now=61.0)


def test_the_hops_have_time_to_say_where_a_call_with_effects_broke() -> None:
    """It has one attempt, and waiting shorter than they do would leave out why it was lost."""
    alone = Attempts.of(A_SERVICE_WITH_EFFECTS, deadline_at=DEFAULT_DEADLINE_S).first(STARTING, now=0.0)

    assert SwitchLimits().patience_s(hops_after=4) < alone.timeout_s


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
