"""The token bucket and the backlog against models that are too simple to be wrong."""

from __future__ import annotations

from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from onionpath.injected import SteadyClock, UnixTime
from relay.peers import Backlog, PacketRate

NOW = 1_800_000_000.0


@given(
    st.floats(0.05, 5_000),
    st.integers(1, 50),
    st.lists(st.floats(0, 3), max_size=200),
)
def test_no_more_packets_pass_than_the_rate_and_the_burst_allow(
    per_second: float, burst: int, gaps: list[float]
) -> None:
    now = UnixTime(NOW)
    rate = PacketRate.full(per_second, burst, now)
    taken = 0
    for gap in gaps:
        now = UnixTime(now + gap)
        taken += rate.take(now)
        assert taken <= burst + (now - NOW) * per_second + 0.01


@given(st.floats(0.05, 5_000), st.integers(1, 3), st.floats(0, 1e6))
def test_a_packet_can_be_drawn_at_the_time_that_was_named(
    per_second: float, burst: int, offset: float
) -> None:
    """A driver that waits exactly so long would otherwise wait again, and in virtual time for ever."""
    now = UnixTime(NOW + offset)
    rate = PacketRate.full(per_second, burst, now)
    for _ in range(20):
        while rate.take(now):
            pass
        now = rate.next_at()
        assert rate.take(now)


def test_the_burst_is_there_at_once_and_not_twice() -> None:
    rate = PacketRate.full(1, 3, UnixTime(NOW))

    assert [True, True, True, False] == [rate.take(UnixTime(NOW)) for _ in range(4)]
    assert [True, True, True, False] == [rate.take(UnixTime(NOW + 1000)) for _ in range(4)]


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


@given(st.lists(st.tuples(st.floats(-5_000, 5_000), st.floats(0, 100)), min_size=1, max_size=50))
def test_the_clock_never_goes_back(steps: list[tuple[float, float]]) -> None:
    """A clock that is set back would re-open time slots whose tags are gone."""
    wall, monotonic = NOW, 5.0
    clock = SteadyClock(lambda: wall, lambda: monotonic)
    before = clock.now()
    for jump, passed in steps:
        wall += jump + passed
        monotonic += passed
        now = clock.now()
        assert before <= now
        assert now >= wall - SteadyClock.STEP_S - 1e-3
        before = now
