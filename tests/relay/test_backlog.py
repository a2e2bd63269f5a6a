"""The backlog against a model that is too simple to be wrong."""

from __future__ import annotations

from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from onionpath.injected import UnixTime
from relay.backlog import Backlog

NOW = 1_800_000_000.0


@given(st.lists(st.tuples(st.sampled_from(["add", "remove", "wait"]), st.integers(1, 100)), max_size=100))
def test_a_backlogs_size_is_exact_and_its_age_is_late_by_at_most_a_mark(steps: list[tuple[str, int]]) -> None:
    backlog, model, now = Backlog(), deque[float](), NOW
    for step, number in steps:
        if step == "add":
            backlog.add(number, UnixTime(now))
            model.extend([now] * number)
        elif step == "remove":
            count = min(number, len(model))
            backlog.remove(count)
            for _ in range(count):
                model.popleft()
        else:
            now += number / 20
        assert len(model) == backlog.size
        true_age = now - model[0] if model else 0.0
        assert true_age <= backlog.age(UnixTime(now)) <= true_age + (Backlog.MARK_EVERY_S if model else 0.0)


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=60))
def test_a_backlog_remembers_no_more_marks_than_seconds(gaps_ms: list[int]) -> None:
    backlog, now = Backlog(), NOW
    for gap in gaps_ms:
        now += gap / 1000
        backlog.add(1, UnixTime(now))

    assert len(backlog._marks) <= sum(gaps_ms) / 1000 + 2
