"""Which guard a path begins with, and what failures and silences change."""

import random

import pytest

from onionpath.directory.address import Address
from onionpath.errors import FIRST_EDGE, Edge
from onionpath.injected import UnixTime
from onionpath.path.bias import Outcome
from onionpath.path.candidates import Candidates
from onionpath.path.guards import (
    Guards,
    NoneAllowed,
    NoneReachable,
    Restriction,
    after_attempt,
    after_directory,
    after_failure,
    after_success,
    after_use,
    guard_for,
    in_use,
    primaries,
    restriction,
    with_sample,
)
from onionpath.path.sample import Guard
from tests.path.networks import relay, relay_id
from tests.path.virtual_relays import NOBODY_TAKEN, START, all_of, candidates, days, name_of

TEN = all_of(10)


def seconds(count: float) -> UnixTime:
    return UnixTime(START + count)


def guards_of(*names: int, working_at: UnixTime | None = START) -> Guards:
    """A sample in this order, of which something has worked just now."""
    return Guards(tuple(Guard(relay_id(name), START) for name in names), last_success_at=working_at)


def failed(
    guards: Guards, name: int, now: UnixTime, *, edge: Edge | None = FIRST_EDGE, seed: int = 1
) -> Guards:
    return after_failure(guards, relay_id(name), edge, TEN, now=now, jitter=random.Random(seed))


def succeeded(guards: Guards, name: int, now: UnixTime) -> Guards:
    return after_success(guards, relay_id(name), TEN, now=now, choice=random.Random(1))


def used(
    guards: Guards, now: UnixTime = START, *, others: tuple[int, ...] = (), listed: Candidates = TEN
) -> int:
    """The name of the guard for a path that these others are on already."""
    taken = listed.taken_by(relay_id(name) for name in others)
    found = name_of(guard_for(guards, listed, taken=taken, now=now))
    return next(name for name in range(100) if relay_id(name) == found)


def ids(guards: Guards) -> list[bytes]:
    return [guard.relay_id for guard in guards.sample]


def test_a_path_begins_with_the_first_guard() -> None:
    assert 4 == used(guards_of(4, 2, 7))


def test_a_path_whose_exit_is_the_first_guard_begins_with_the_second() -> None:
    assert 2 == used(guards_of(4, 2, 7), others=(4,))


def test_a_path_whose_exit_is_related_to_the_first_guard_begins_with_the_second() -> None:
    listed = candidates([*(relay(name) for name in range(8)), relay(8, family=(relay_id(4),))])

    assert 2 == used(guards_of(4, 2, 7), others=(8,), listed=listed)


def test_the_two_guards_in_use_stand_in_different_networks_and_families_where_they_can() -> None:
    """Otherwise one exit could rule out both of them."""
    neighbours = [relay(name, addresses=(Address(f"9.9.0.{name + 1}", 443),)) for name in (0, 1)]
    relatives = relay(2, family=(relay_id(0),))
    listed = candidates([*neighbours, relatives, relay(3), relay(4)])

    guards = guards_of(0, 1, 2, 3, 4)

    assert (relay_id(0), relay_id(3)) == in_use(guards, listed)
    assert (relay_id(0), relay_id(3), relay_id(4)) == primaries(guards, listed)


def test_a_guard_that_is_down_is_passed_over_until_its_delay_is_over() -> None:
    guards = failed(guards_of(4, 2, 7), 4, seconds(1))

    assert [2, 2, 4] == [used(guards, seconds(at)) for at in (2, 30.9, 31)]


def test_a_guard_that_works_again_is_the_first_again() -> None:
    guards = succeeded(failed(guards_of(4, 2, 7), 4, seconds(1)), 4, seconds(40))

    assert (4, ()) == (used(guards, seconds(41)), guards.marks)


@pytest.mark.parametrize("edge", [None, Edge(0, 1), Edge(1, 2), Edge(1, 0)], ids=str)
def test_what_fails_beyond_the_guard_changes_nothing(edge: Edge | None) -> None:
    """Otherwise whoever drops packets behind the guard chooses who becomes the next one."""
    guards = guards_of(4, 2, 7)

    for turn in range(1_000):
        assert guards is failed(guards, 4, seconds(turn), edge=edge)


def test_a_relay_that_is_no_guard_gets_no_mark() -> None:
    assert guards_of(4) == failed(guards_of(4), 9, START)


def test_failures_let_no_guard_go_and_draw_none() -> None:
    listed = all_of(200)
    guards = after_directory(Guards(), listed, now=START, choice=random.Random(1))
    before = ids(guards)
    for turn in range(500):
        target = before[turn % len(before)]
        guards = after_failure(
            guards, target, FIRST_EDGE, listed, now=seconds(60 * turn), jitter=random.Random(turn)
        )
    guards = after_directory(guards, listed, now=seconds(60 * 500), choice=random.Random(1))

    assert before == ids(guards)


def test_delays_grow_up_to_six_hours_for_primaries_and_36_for_others() -> None:
    guards = guards_of(0, 3, 1, 2)
    delays: dict[int, list[float]] = {0: [], 2: []}
    for turn in range(100):
        # Something else works, so that it's the guards that are down.
        guards = succeeded(guards, 1, seconds(60 * turn))
        for name, seen in delays.items():
            guards = failed(guards, name, seconds(60 * turn), seed=turn)
            mark = guards.mark(relay_id(name))
            seen.append(mark.delay_s if mark else 0.0)

    assert (30, 6 * 3_600) == (delays[0][0], max(delays[0]))
    assert (600, 36 * 3_600) == (delays[2][0], max(delays[2]))
    assert (30, 600) <= (min(delays[0]), min(delays[2]))


def test_while_nothing_works_delays_do_not_grow() -> None:
    """Our internet is down, so that no guard is to blame."""
    guards = guards_of(4, 2, 7)
    for turn in range(20):
        guards = failed(guards, 4, seconds(600 + 60 * turn))

    mark = guards.mark(relay_id(4))
    assert mark is not None
    assert 30.0 == mark.delay_s


def test_when_the_internet_comes_back_primaries_are_tried_at_once() -> None:
    guards = guards_of(4, 2, 7, 5)
    for at in range(5, 900, 60):
        for name in (4, 2, 7):
            guards = failed(guards, name, seconds(at))
    assert 5 == used(guards, seconds(870))

    guards = succeeded(guards, 5, seconds(870))

    assert (4, ()) == (used(guards, seconds(870)), guards.marks)


def test_who_answers_first_after_a_silence_is_not_confirmed_before_the_primaries_had_their_chance() -> None:
    guards = guards_of(4, 2, 7, 5, working_at=None)
    for name in (4, 2, 7):
        guards = failed(guards, name, seconds(1))

    once = succeeded(guards, 5, seconds(2))
    assert [relay_id(name) for name in (4, 2, 7, 5)] == ids(once)
    assert 4 == used(once, seconds(2))

    for name in (4, 2, 7):
        once = failed(once, name, seconds(3))
    twice = succeeded(once, 5, seconds(4))
    assert [relay_id(name) for name in (5, 4, 2, 7)] == ids(twice)


def test_a_guard_that_was_down_before_the_silence_stays_marked_unless_it_is_a_primary() -> None:
    guards = guards_of(4, 2, 7, 5, 6)
    for name in (4, 5):
        guards = failed(guards, name, seconds(1))
    guards = succeeded(guards, 2, seconds(2))
    guards = failed(guards, 6, seconds(700))

    back = succeeded(guards, 2, seconds(900))

    assert [relay_id(5)] == [mark.relay_id for mark in back.marks]


def test_when_every_guard_is_down_the_answer_says_when_to_try_again() -> None:
    guards = guards_of(4, 2)
    guards = failed(failed(guards, 4, seconds(1)), 2, seconds(5))

    assert NoneReachable(seconds(31)) == guard_for(guards, TEN, taken=NOBODY_TAKEN, now=seconds(6))


def test_when_no_guard_is_allowed_the_answer_counts_why() -> None:
    taken = TEN.taken_by([relay_id(4), relay_id(2)])

    assert NoneAllowed({"already-on-path": 2}) == guard_for(guards_of(4, 2), TEN, taken=taken, now=START)


def test_an_unlisted_guard_is_not_used() -> None:
    assert 2 == used(guards_of(4, 2, 7), listed=all_of(10, without=[4]))


def with_one_that_carries(guards: Guards, name: int) -> Guards:
    """So that whoever loses paths beside it does so by himself."""
    for _ in range(20):
        guards = after_attempt(guards, relay_id(name), Outcome.CARRIED)
    return guards


def test_a_guard_that_kills_paths_is_disabled_for_good_and_the_next_one_takes_its_place() -> None:
    guards = with_one_that_carries(guards_of(4, 2, 7), 2)
    for turn in range(150):
        assert 4 == used(guards)
        guards = after_attempt(guards, relay_id(4), Outcome.CARRIED if turn % 10 == 0 else Outcome.LOST)
    assert 2 == used(guards)

    for _ in range(2_000):
        guards = after_attempt(guards, relay_id(4), Outcome.CARRIED)
    guards = after_directory(guards, TEN, now=seconds(1), choice=random.Random(1))

    assert 2 == used(guards)
    assert relay_id(4) == guards.sample[0].relay_id


def test_a_guard_that_breaks_paths_in_use_is_disabled_too() -> None:
    guards = guards_of(4, 2, 7)
    for _ in range(20):
        guards = after_use(guards, relay_id(7), Outcome.CARRIED)
        guards = after_use(guards, relay_id(4), Outcome.LOST)

    assert 2 == used(guards)


def test_that_another_guard_carries_first_exchanges_says_nothing_of_what_comes_after_them() -> None:
    """The middles that both share may kill paths later."""
    guards = with_one_that_carries(guards_of(4, 2, 7), 7)
    for _ in range(100):
        guards = after_use(guards, relay_id(4), Outcome.LOST)

    assert 4 == used(guards)


def test_when_all_guards_lose_paths_alike_none_is_disabled() -> None:
    """They share their middles, and those who own all of them could otherwise have every guard replaced."""
    guards = guards_of(4, 2, 7)
    for _ in range(400):
        for name in (4, 2, 7):
            guards = after_attempt(guards, relay_id(name), Outcome.LOST)

    assert [] == [each for each in guards.sample if each.is_disabled]
    guards = with_one_that_carries(guards_of(4, 2, 7), 7)
    for _ in range(400):
        guards = after_attempt(guards, relay_id(4), Outcome.LOST)
    assert 2 == used(guards)


def test_explained_failures_are_not_counted_against_a_guard() -> None:
    guards = guards_of(4, 2, 7)
    for _ in range(1_000):
        guards = after_attempt(guards, relay_id(4), Outcome.EXPLAINED)

    assert guards_of(4, 2, 7) == guards


@pytest.mark.parametrize(
    ("usable", "expected"),
    [
        (0, Restriction.EXTREME),
        (1, Restriction.MEANINGFUL),
        (11, Restriction.MEANINGFUL),
        (12, Restriction.NONE),
    ],
)
def test_a_sample_of_60_is_restricted_below_a_fifth(usable: int, expected: Restriction) -> None:
    listed = candidates(
        (relay(name) for name in range(60)), excluded=[relay_id(name) for name in range(usable, 60)]
    )

    assert expected is restriction(guards_of(*range(60)), listed)


def test_marks_of_guards_that_left_the_sample_are_forgotten() -> None:
    guards = failed(guards_of(4, 2), 4, START)

    assert () == with_sample(guards, guards.sample[1:]).marks


def test_listing_the_same_relays_in_another_order_draws_the_same_guards() -> None:
    backwards = candidates(relay(name) for name in reversed(range(50)))

    def sample(listed: Candidates) -> Guards:
        return after_directory(Guards(), listed, now=START, choice=random.Random(3))

    assert sample(all_of(50)) == sample(backwards)


@pytest.mark.parametrize("name", range(5))
def test_one_relay_that_plays_dead_or_leaves_the_list_brings_at_most_one_new_guard_in_30_days(
    name: int,
) -> None:
    """Whoever runs one of our guards may come and go as he likes; so may whoever takes it off the net."""
    listed = all_of(50)
    guards = after_directory(Guards(), listed, now=START, choice=random.Random(5))
    target = guards.sample[name].relay_id
    tricks = random.Random(name)
    entries: set[bytes] = set()
    for hour in range(30 * 24):
        now = days(hour / 24)
        seen = candidates(each for each in listed.listed.values() if each.relay_id != target)
        seen = listed if tricks.random() < 0.5 else seen
        guards = after_directory(guards, seen, now=now, choice=tricks)
        first = name_of(guard_for(guards, seen, taken=NOBODY_TAKEN, now=now))
        if first == target and tricks.random() < 0.5:
            guards = after_failure(guards, first, FIRST_EDGE, seen, now=now, jitter=tricks)
            first = name_of(guard_for(guards, seen, taken=NOBODY_TAKEN, now=now))
        entries.add(first)
        guards = after_success(guards, first, seen, now=now, choice=tricks)

    assert len(entries) <= 2
