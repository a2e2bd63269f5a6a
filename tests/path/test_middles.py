"""Sticky middles: how many, for how long, and what does not change them."""

import random
from itertools import combinations

import pytest

from onionpath.directory.address import Address
from onionpath.path.candidates import Candidates
from onionpath.path.guard_numbers import DAY_S, MIDDLE_NUMBERS
from onionpath.path.middles import Middle, Middles, renew_middles, usable_middles
from tests.path.networks import relay, relay_id
from tests.path.virtual_relays import START, all_of, candidates, days

GUARDS = (relay_id(0), relay_id(1))


def renewed(
    middles: Middles,
    listed: Candidates,
    at: float = 0.0,
    *,
    seed: int = 1,
    guards: tuple[bytes, ...] = GUARDS,
) -> Middles:
    return renew_middles(middles, listed, guards=guards, now=days(at), choice=random.Random(seed))  # type: ignore[arg-type]


@pytest.mark.parametrize(("relays", "expected"), [(0, 0), (3, 3), (4, 4), (50, 4)])
def test_there_are_four_middles_where_there_are_so_many_relays(relays: int, expected: int) -> None:
    assert expected == len({middle.relay_id for middle in renewed((), all_of(relays))})


def test_middles_are_none_of_the_guards_and_unrelated_to_them_and_to_each_other() -> None:
    pairs = [relay(name, addresses=(Address(f"9.{name // 2}.0.{name + 1}", 443),)) for name in range(40)]
    listed = candidates(pairs)

    for seed in range(30):
        chosen = [
            *GUARDS[:1],
            *(middle.relay_id for middle in renewed((), listed, seed=seed, guards=GUARDS[:1])),
        ]
        for one, other in combinations(chosen, 2):
            assert None is listed.taken_by([one]).refusal(listed.listed[other].descriptor)


def test_in_a_small_network_guards_are_middles_as_well() -> None:
    assert {relay_id(name) for name in range(4)} == {middle.relay_id for middle in renewed((), all_of(4))}


def test_lifetimes_are_the_longer_of_two_draws_from_1_to_12_days() -> None:
    lifetimes = [
        (middle.until - START) / DAY_S for seed in range(100) for middle in renewed((), all_of(10), seed=seed)
    ]

    assert all(0.99 <= lifetime <= 12 for lifetime in lifetimes)
    # The longer of two has the mean 1 + 11 × 2/3 and the standard deviation 11 / √18; four of those for 400.
    assert abs(MIDDLE_NUMBERS.mean_s / DAY_S - sum(lifetimes) / 400) <= 4 * 11 / 18**0.5 / 400**0.5


def test_only_middles_whose_time_is_over_are_replaced() -> None:
    middles = (*(Middle(relay_id(name), days(name)) for name in (2, 3, 4)), Middle(relay_id(5), days(9)))

    later = renewed(middles, all_of(50), 3.5)

    assert middles[2:] == later[:2]
    assert 4 == len(later)


def test_an_unlisted_middle_is_replaced_and_does_not_come_back() -> None:
    middles = renewed((), all_of(50))
    name = next(name for name in range(50) if relay_id(name) == middles[0].relay_id)

    later = renewed(middles, all_of(50, without=[name]), 0.1)

    assert middles[1:] == later[:3]
    assert later == renewed(later, all_of(50), 0.2)


def test_an_excluded_middle_is_replaced() -> None:
    middles = renewed((), all_of(50))
    listed = candidates((relay(name) for name in range(50)), excluded=[middles[0].relay_id])

    assert middles[0] not in renewed(middles, listed)


def test_a_middle_without_a_key_for_the_moment_is_not_used_but_stays() -> None:
    middles = renewed((), all_of(50))
    listed = candidates((relay(name) for name in range(50)), unusable=[middles[0].relay_id])

    assert middles == renewed(middles, listed)
    assert {middle.relay_id for middle in middles[1:]} == usable_middles(middles, listed, now=START)


def test_a_middle_is_not_used_after_its_time() -> None:
    assert frozenset() == usable_middles((Middle(relay_id(2), days(1)),), all_of(5), now=days(1))


def test_a_lifetime_that_no_draw_could_give_is_not_believed() -> None:
    """A clock that was far ahead wrote it."""
    strange = Middle(relay_id(2), days(400))

    assert strange not in renewed((strange,), all_of(50))


def test_middles_are_drawn_by_weight() -> None:
    listed = candidates(relay(name, weight=3000 if name < 50 else 1000) for name in range(100))
    heavy = {relay_id(name) for name in range(50)}

    drawn = [renewed((), listed, seed=seed, guards=())[0].relay_id for seed in range(400)]

    assert abs(300 - sum(name in heavy for name in drawn)) <= 4 * (400 * 0.75 * 0.25) ** 0.5
