"""What callers may use at most: openings, places and bytes, whatever they do in whatever order."""

from __future__ import annotations

from contextlib import ExitStack

from hypothesis import given
from hypothesis import strategies as st

from onionpath.injected import UnixTime
from relay.session.budget import BYTES_PER_OPENING, Budget, BudgetLimits
from relay.session.places import Place, PlaceLimits, Places

SOURCES = st.sampled_from(["192.0.2.1", "192.0.2.2", "192.0.2.3"])
LIMITS = BudgetLimits(source_per_second=10, source_burst=20, per_second=15, burst=30)
START = UnixTime(1000.0)


@given(st.lists(st.tuples(SOURCES, st.floats(0, 0.5)), max_size=200))
def test_nobody_opens_more_than_his_share_and_all_no_more_than_the_whole(
    asked: list[tuple[str, float]],
) -> None:
    budget, now = Budget(LIMITS, now=START), START
    drawn: list[str] = []
    for source, wait_s in asked:
        now = UnixTime(now + wait_s)
        if budget.draw(source, 0, now=now):
            drawn.append(source)
    seconds = now - START

    assert LIMITS.burst + LIMITS.per_second * seconds + 1e-6 >= len(drawn)
    for source in set(drawn):
        most = LIMITS.source_burst + LIMITS.source_per_second * seconds
        assert most + 1e-6 >= drawn.count(source)


def test_a_long_layer_costs_more_openings_than_a_short_one() -> None:
    budget = Budget(LIMITS, now=START)
    assert budget.draw("192.0.2.1", 18 * BYTES_PER_OPENING, now=START)
    assert budget.draw("192.0.2.1", BYTES_PER_OPENING - 1, now=START)

    assert not budget.draw("192.0.2.1", 0, now=START)
    assert budget.draw("192.0.2.2", 0, now=START)


def test_a_long_answer_is_paid_for_by_whoever_asked_and_not_twice_by_the_others() -> None:
    budget = Budget(LIMITS, now=START)
    assert budget.draw("192.0.2.1", 0, now=START)
    budget.charge("192.0.2.1", 1_000 * BYTES_PER_OPENING, now=START)

    assert not budget.draw("192.0.2.1", 0, now=UnixTime(START + 60))
    assert [True] * 10 == [budget.draw("192.0.2.2", 0, now=START) for _ in range(10)]
    assert not budget.draw("192.0.2.2", 0, now=START)


def test_a_quiet_address_is_served_beside_a_greedy_one() -> None:
    budget = Budget(LIMITS, now=START)
    while budget.draw("192.0.2.1", 0, now=START):
        pass

    assert budget.draw("192.0.2.2", 0, now=START)


def test_sources_beyond_the_remembered_ones_are_forgotten_and_not_kept() -> None:
    budget = Budget(LIMITS, now=START)
    for number in range(Budget.REMEMBERED_SOURCES + 10):
        budget.draw(str(number), 0, now=START)

    assert Budget.REMEMBERED_SOURCES == len(budget._sources)


STEPS = st.lists(st.tuples(SOURCES, st.integers(0, 40)), max_size=30)


@given(STEPS)
def test_a_room_never_holds_more_than_it_may_and_gets_everything_back(steps: list[tuple[str, int]]) -> None:
    limits = PlaceLimits(requests=6, requests_per_source=3, bytes_held=100, bytes_per_source=60)
    places = Places(limits)
    with ExitStack() as stack:
        taken: list[tuple[str, Place]] = []
        for source, size in steps:
            place = stack.enter_context(places.entered(source))
            if place is not None:
                taken.append((source, place))
                place.hold(size)
            assert limits.requests >= places.requests == len(taken)
            assert limits.bytes_held >= places.bytes_held == sum(place.held for _, place in taken)
            of_source = [place for each, place in taken if each == source]
            assert limits.requests_per_source >= len(of_source)
            assert limits.bytes_per_source >= sum(place.held for place in of_source)

    assert (0, 0) == (places.requests, places.bytes_held)
    assert ({}, {}) == (places._requests, places._bytes)
