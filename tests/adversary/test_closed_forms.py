"""The closed forms, held against published tables and against each other."""

import pytest

from simulations.adversary.closed_forms import (
    both_ends,
    both_ends_uniform,
    distinct_draws,
    exposure_of_survivors,
    rotations_until,
    selected_share,
)
from simulations.adversary.networks import generate_uniform
from simulations.adversary.rebuilds import PUBLISHED_ROTATIONS


@pytest.mark.parametrize(("relays", "expected"), [(100, 0.0090909), (1_000, 0.0099099)])
def test_a_tenth_of_equal_relays_owns_both_ends_as_published(relays: int, expected: float) -> None:
    assert expected == pytest.approx(both_ends_uniform(relays, relays // 10), rel=1e-5)


def test_by_weight_is_the_uniform_form_where_weights_are_equal_and_nobody_is_related() -> None:
    network = generate_uniform(60, bad=6, seed=1)

    assert both_ends_uniform(60, 6) == pytest.approx(both_ends(network))


@pytest.mark.parametrize(("key", "published"), PUBLISHED_ROTATIONS.items())
def test_rotations_are_those_of_proposal_292(key: tuple[float, float], published: int) -> None:
    bad_share, success = key

    assert published == rotations_until(success, bad_share=bad_share, middles=4)


def test_who_kills_all_others_is_selected_always_and_who_kills_nobody_by_his_share() -> None:
    assert [0.1, 1.0] == [selected_share(0.1, kills=kills) for kills in (0.0, 1.0)]


def test_many_draws_meet_everybody_and_one_draw_meets_one() -> None:
    assert 1.0 == pytest.approx(distinct_draws([1, 5, 9], 1))
    assert 3.0 == pytest.approx(distinct_draws([1, 5, 9], 1_000))


def test_two_draws_of_many_small_relays_are_independent_and_two_of_three_are_not() -> None:
    """One bad relay of three equal ones is among the first two with 2/3."""
    assert 1 - 0.9**2 == pytest.approx(
        exposure_of_survivors([1] * 1_000, [index % 10 == 0 for index in range(1_000)]), abs=1e-3
    )
    assert 2 / 3 == pytest.approx(exposure_of_survivors([7, 7, 7], [True, False, False]))


def test_the_more_honest_relays_are_lost_the_more_likely_is_a_bad_one_that_stays() -> None:
    before, after = ([True] * 10 + [False] * honest for honest in (90, 20))

    assert exposure_of_survivors([1] * 100, before) < exposure_of_survivors([1] * 30, after)
