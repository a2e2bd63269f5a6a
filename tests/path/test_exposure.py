"""The closed forms, held against published tables."""

import pytest

from onionpath.path.exposure import exposure, guard_exposure, middle_exposure


@pytest.mark.parametrize(
    ("bad_share", "guards", "lifetime_days", "expected"),
    [
        (0.05, 1, 120, (0.062, 0.120, 0.187)),
        (0.10, 1, 120, (0.123, 0.232, 0.347)),
        (0.05, 2, 10, (0.337, 0.858, 0.979)),
        (0.05, 4, 10, (0.560, 0.980, 1.000)),
        (0.10, 1, 270, (0.110, 0.161, 0.219)),
    ],
)
def test_guards_of_known_networks_have_their_published_exposure_after_30_180_and_365_days(
    bad_share: float, guards: int, lifetime_days: float, expected: tuple[float, ...]
) -> None:
    computed = tuple(
        round(guard_exposure(bad_share, guards=guards, days=days, lifetime_days=lifetime_days), 3)
        for days in (30, 180, 365)
    )

    assert expected == computed


def rotations_until(success: float, *, bad_share: float, middles: int) -> int:
    return next(count for count in range(1, 10_000) if exposure(bad_share, middles * count) >= success)


def test_rotations_of_four_middles_until_one_is_bad_are_those_of_proposal_292() -> None:
    wanted = (0.10, 0.15, 0.25, 0.50, 0.60, 0.75, 0.85, 0.90, 0.95, 0.99)

    assert [3, 5, 8, 18, 23, 35, 48, 58, 75, 115] == [
        rotations_until(success, bad_share=0.01, middles=4) for success in wanted
    ]
    assert [4, 2] == [rotations_until(0.5, bad_share=share, middles=4) for share in (0.05, 0.10)]


def test_of_relays_that_leave_for_good_the_bad_ones_that_stay_are_ever_more() -> None:
    bad, honest_left = 0.1, 0.9 * (1 - 0.05) ** 30
    left = bad / (bad + honest_left)

    assert pytest.approx(0.341, abs=0.001) == left
    # More than by as many fresh draws.
    assert (0.57, 0.41) == (round(exposure(left, 2), 2), round(exposure(0.1, 2 * (1 + 30 * 0.05)), 2))


def test_without_a_day_there_is_one_draw_for_each_place() -> None:
    assert 1 - 0.9**4 == pytest.approx(middle_exposure(0.1, middles=4, days=0, mean_lifetime_days=8))


@pytest.mark.parametrize(("bad_share", "expected"), [(0.0, 0.0), (1.0, 1.0)])
def test_nobody_bad_is_never_met_and_everybody_bad_at_once(bad_share: float, expected: float) -> None:
    assert expected == guard_exposure(bad_share, guards=2, days=5, lifetime_days=120)
