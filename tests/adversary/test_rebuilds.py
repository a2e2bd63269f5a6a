"""Middles under force and over time."""

import random

import pytest

from onionpath.client.path_draw import PathDraw
from onionpath.path.roles import NO_CONSTRAINTS
from simulations.adversary.networks import START, generate
from simulations.adversary.plan import Plan
from simulations.adversary.rebuilds import MIDDLES, REBUILDS, rotations, seen_by_exit, seen_without_sticky


def draw(seed: int) -> PathDraw:
    return PathDraw(generate(60, bad_share=0.1, seed=seed).directory(START), NO_CONSTRAINTS, now=START)


def test_an_exit_that_kills_every_path_sees_the_sticky_middles_and_nobody_else() -> None:
    paths = draw(1)
    seen = seen_by_exit(paths, random.Random(2))

    assert MIDDLES >= len(seen) > 1
    assert 5 * MIDDLES < len(seen_without_sticky(paths, random.Random(2)))


@pytest.mark.slow
def test_no_client_of_many_shows_an_exit_more_than_its_middles() -> None:
    paths = draw(3)

    assert MIDDLES == max(len(seen_by_exit(paths, random.Random(seed))) for seed in range(30))
    assert REBUILDS > MIDDLES


@pytest.mark.slow
def test_rotations_until_a_bad_middle_are_those_of_proposal_292() -> None:
    comparisons = list(rotations(Plan(clients=400), lambda line: None))

    assert [] == [comparison for comparison in comparisons if not comparison.is_within]
    assert 7 == len(comparisons)
