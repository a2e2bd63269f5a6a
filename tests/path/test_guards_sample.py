"""Who is in the sample of guards, in which order, and for how long."""

import random

import pytest

from onionpath.directory.address import Address
from onionpath.injected import UnixTime
from onionpath.path.candidates import Candidates
from onionpath.path.constraints import Constraints
from onionpath.path.guard_numbers import DAY_S, GUARD_NUMBERS
from onionpath.path.sample import Guard, Sample, confirm, renew
from tests.directory.networks import network
from tests.path.networks import relay, relay_id
from tests.path.virtual_relays import START, all_of, candidates, days


def renewed(sample: Sample, listed: Candidates, now: UnixTime = START, seed: int = 1) -> Sample:
    return renew(sample, listed, now=now, choice=random.Random(seed), numbers=GUARD_NUMBERS)


def confirmed(sample: Sample, name: int, now: UnixTime = START) -> Sample:
    return confirm(sample, relay_id(name), now=now, choice=random.Random(1), numbers=GUARD_NUMBERS)


def ids(sample: Sample) -> list[bytes]:
    return [guard.relay_id for guard in sample]


@pytest.mark.parametrize(("relays", "guards"), [(1, 1), (2, 2), (3, 3), (10, 3), (50, 10), (200, 20)])
def test_the_first_sample_has_twenty_guards_or_a_fifth_of_the_weight_but_three_at_least(
    relays: int, guards: int
) -> None:
    assert guards == len(renewed((), all_of(relays)))


def test_one_heavy_relay_fills_the_fifth() -> None:
    listed = candidates(relay(name, weight=100_000 if name == 7 else 1) for name in range(40))

    assert (3, True) == (len(renewed((), listed)), relay_id(7) in ids(renewed((), listed)))


def test_guards_are_drawn_by_weight() -> None:
    listed = candidates(relay(name, weight=3000 if name < 50 else 1000) for name in range(100))
    heavy = {relay_id(name) for name in range(50)}

    first = [renewed((), listed, seed=seed)[0].relay_id for seed in range(400)]

    # Three quarters of the weight; within four standard deviations.
    assert abs(300 - sum(name in heavy for name in first)) <= 4 * (400 * 0.75 * 0.25) ** 0.5


def test_dates_lie_up_to_a_tenth_of_the_lifetime_in_the_past() -> None:
    ages = [(START - guard.added_at) / DAY_S for guard in renewed((), all_of(200))]

    assert all(0 <= age <= 12 for age in ages)
    assert len(set(ages)) == 20


def test_a_guard_that_nobody_used_is_let_go_after_120_days() -> None:
    sample = renewed((), all_of(200))

    assert set() == set(renewed(sample, all_of(200), days(120))) & set(sample)
    assert sample == renewed(sample, all_of(200), days(107))


def test_a_guard_that_was_first_used_late_stays_for_120_days_from_then() -> None:
    late = Guard(relay_id(0), days(0), confirmed_at=days(100))

    assert relay_id(0) in ids(renewed((late,), all_of(50), days(219)))
    assert late not in renewed((late,), all_of(50), days(220))


def test_a_guard_is_not_let_go_at_120_days_from_its_first_use_while_it_is_younger() -> None:
    early = Guard(relay_id(0), days(0), confirmed_at=days(-20))

    assert early in renewed((early,), all_of(50), days(119))


def test_an_unlisted_guard_keeps_its_place_for_up_to_20_days() -> None:
    sample = renewed((), all_of(10))
    name = next(name for name in range(10) if relay_id(name) == sample[0].relay_id)
    gone = all_of(10, without=[name])

    unlisted = renewed(sample, gone, days(1))

    assert ids(sample) == ids(unlisted)[:3]
    assert ids(sample) == ids(renewed(unlisted, all_of(10), days(15)))[:3]
    assert None is renewed(unlisted, all_of(10), days(15))[0].unlisted_since
    assert relay_id(name) not in ids(renewed(unlisted, gone, days(21)))


def test_a_guard_that_comes_and_goes_is_not_let_go() -> None:
    sample = renewed((), all_of(10))
    name = next(name for name in range(10) if relay_id(name) == sample[0].relay_id)
    for day in range(60):
        sample = renewed(sample, all_of(10, without=[name] if day % 15 else []), days(day), seed=day)

    assert relay_id(name) == sample[0].relay_id


def test_guards_that_are_missing_are_drawn_behind_the_others() -> None:
    sample = renewed((), all_of(4))

    extended = renewed(sample, all_of(200), days(1))

    assert (3, 20) == (len(sample), len(extended))
    assert ids(sample) == ids(extended)[:3]


def test_a_confirmed_guard_goes_behind_those_confirmed_before_it() -> None:
    sample = tuple(Guard(relay_id(name), START) for name in range(5))

    used = confirmed(confirmed(confirmed(sample, 3), 1), 3)

    assert [relay_id(name) for name in (3, 1, 0, 2, 4)] == ids(used)


def test_confirming_a_relay_that_is_no_guard_changes_nothing() -> None:
    sample = renewed((), all_of(4))

    assert sample == confirmed(sample, 99)


def test_excluded_guards_stay_in_the_sample_and_others_are_drawn_until_enough_are_usable() -> None:
    sample = renewed((), all_of(200))
    excluded = [guard.relay_id for guard in sample[:5]]

    wider = renewed(sample, candidates((relay(name) for name in range(200)), excluded=excluded))

    assert ids(sample) == ids(wider)[:20]
    assert 25 == len(wider)


def test_a_sample_never_has_more_than_60_guards() -> None:
    sample: Sample = ()
    for turn in range(20):
        listed = candidates(relay(name) for name in range(40 * turn, 40 * turn + 40))
        sample = renewed(sample, listed, days(turn / 2), seed=turn)

        assert len(sample) <= 60
        assert sum(guard.relay_id in listed.listed for guard in sample) >= 3


def test_a_full_sample_without_usable_guards_forgets_who_is_gone_for_longest() -> None:
    """Otherwise a network whose relays were all replaced would be closed to its clients for weeks."""
    gone = tuple(
        Guard(relay_id(100 + name), START, unlisted_since=UnixTime(START + name)) for name in range(60)
    )

    sample = renewed(gone, all_of(4), days(1))

    assert ids(gone[3:]) == ids(sample)[:57]
    assert 60 == len(sample)


def test_a_disabled_guard_is_not_forgotten_to_make_room() -> None:
    gone = tuple(
        Guard(relay_id(100 + name), START, unlisted_since=UnixTime(START + name), is_disabled=name == 0)
        for name in range(60)
    )

    assert relay_id(100) in ids(renewed(gone, all_of(4), days(1)))


def test_a_date_in_the_future_counts_as_today() -> None:
    """A clock that was ahead for an hour must not keep a guard for years."""
    strange = Guard(relay_id(0), days(9_000), confirmed_at=days(9_000))

    assert Guard(relay_id(0), START, START) == renewed((strange,), all_of(3))[0]


def test_a_directory_offers_relays_with_weight_and_a_key_that_nobody_excludes() -> None:
    directory = network(weights=[0, 1, 1, 1, 1]).directory()
    constraints = Constraints(excluded_relays=frozenset({relay_id(1)}))

    offered = Candidates.of(directory, position=0, constraints=constraints, now=START)
    later = Candidates.of(directory, position=0, constraints=constraints, now=days(30))

    assert {relay_id(name) for name in (2, 3, 4)} == offered.usable
    assert ({relay_id(1)}, set()) == (later.excluded, later.usable)


def test_an_application_may_name_its_guards_and_its_middles() -> None:
    wanted = Constraints(guards=frozenset({relay_id(1)}), middles=frozenset({relay_id(2), relay_id(3)}))
    directory = network().directory()

    offers = [
        Candidates.of(directory, position=position, constraints=wanted, now=START) for position in (0, 1)
    ]

    assert [{relay_id(1)}, {relay_id(2), relay_id(3)}] == [offer.usable for offer in offers]


def test_related_relays_come_last_and_only_where_others_are_too_few() -> None:
    twins = [relay(name, addresses=(Address(f"9.9.0.{name + 1}", 443),)) for name in range(3)]
    listed = candidates([*twins, relay(3)])
    order = [relay_id(name) for name in range(4)]

    assert (relay_id(0), relay_id(3)) == listed.apart(order, 2)
    assert (relay_id(0), relay_id(3), relay_id(1)) == listed.apart(order, 3)
    assert 4 == len(listed.apart(order, 9))


def test_an_unlisted_date_is_kept_while_the_guard_stays_unlisted() -> None:
    guard = Guard(relay_id(9), START, unlisted_since=days(-3))

    assert guard == renewed((guard,), all_of(4), days(1))[0]
