"""Authorities that die, lie, are cut off and restart: what they sign stays one, and documents keep coming."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from onionpath.directory.evidence import verify_evidence
from tests.authority.worlds import FIRST, World
from tests.directory.networks import PERIOD_S

# (N, M): bare majorities, two thirds, and one below all.
SIZES = [(3, 2), (4, 3), (5, 3), (5, 4), (6, 4), (7, 4), (7, 5)]


def size(seed: int) -> tuple[int, int]:
    return SIZES[seed % len(SIZES)]


def assert_one_document_each(world: World, numbers: range) -> None:
    """Everybody who is up has the same one."""
    up = [one for one in world.honest if one.agreement is not None]
    for number in numbers:
        digests = {one.documents[number].digest if number in one.documents else None for one in up}
        assert 1 == len(digests)
        assert None not in digests


def run_with_dead(seed: int, periods: int = 2) -> World:
    """N - M authorities die, each at some moment, and stay away."""
    count, threshold = size(seed)
    world = World(seed, count=count, threshold=threshold)
    for dead in world.random.sample(range(count), count - threshold):
        world.at(world.random.uniform(0, 1.4) * PERIOD_S, world.authorities[dead].crash)
    world.run_to_period(FIRST + periods - 1)
    world.check_safety()
    assert_one_document_each(world, range(FIRST, FIRST + periods))
    return world


def run_with_liars(seed: int, periods: int = 2) -> World:
    count, threshold = size(seed)
    world = World(seed, count=count, threshold=threshold, liars=count - threshold)
    world.run_to_period(FIRST + periods - 1)
    world.check_safety()
    assert_one_document_each(world, range(FIRST, FIRST + periods))
    return world


def run_with_restarts(seed: int, periods: int = 2) -> World:
    """N - M authorities crash again and again while they store, before and after the disk has it."""
    count, threshold = size(seed)
    world = World(seed, count=count, threshold=threshold, crashing=tuple(range(count - threshold)))
    world.run_to_period(FIRST + periods - 1)
    world.check_safety()
    up = [one for one in world.honest if one.index not in world.crashing]
    for number in range(FIRST, FIRST + periods):
        assert 1 == len({one.documents[number].digest for one in up})
    return world


def run_with_everybody_restarting(seed: int, periods: int = 2) -> World:
    """Documents may fail to come then, but nobody says two things."""
    count, threshold = size(seed)
    world = World(seed, count=count, threshold=threshold, crashing=tuple(range(count)))
    world.run_to_period(FIRST + periods - 1)
    world.check_safety()
    return world


def run_with_partition(seed: int, periods: int = 2) -> World:
    """Cut somewhere in the first number, healed somewhere before the second is voted on."""
    count, threshold = size(seed)
    world = World(seed, count=count, threshold=threshold)
    cut, healed = sorted(world.random.uniform(0, 0.95) * PERIOD_S for _ in range(2))
    side = frozenset(world.random.sample(range(count), world.random.randint(1, count // 2)))
    world.at(cut, lambda: setattr(world, "split", side))
    world.at(healed, lambda: setattr(world, "split", frozenset()))
    world.run_to_period(FIRST + 1)
    world.check_safety()
    assert_one_document_each(world, range(FIRST + 1, FIRST + 2))
    return world


RUNS = [
    run_with_dead,
    run_with_liars,
    run_with_restarts,
    run_with_everybody_restarting,
    run_with_partition,
]


@pytest.mark.parametrize("seed", range(20))
def test_authorities_agree_whatever_a_minority_does(seed: int) -> None:
    # Two of three, and three of four: larger ones are run by the slow test.
    RUNS[seed % len(RUNS)](7 * seed + seed % 2, 1)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("run", RUNS)
def test_authorities_agree_in_hundreds_of_worlds(run: Callable[[int], World]) -> None:
    for seed in range(100):
        run(seed)


def run_recovery(seed: int, openings: int = 3) -> World:
    """All are killed for four periods, and enough of them come back: a document within a few openings."""
    count, threshold = size(seed)
    world = World(seed, count=count, threshold=threshold)
    world.run_to_period(FIRST)
    for one in world.authorities:
        one.crash()
    world.run_until((FIRST + 4.3) * PERIOD_S)
    world.recover()
    for one in world.random.sample(world.authorities, count - seed % (count - threshold + 1)):
        one.boot()
    world.run_until(world.now + openings * world.rounds.recovery_s)
    world.check_safety()
    assert_one_document_each(world, range(FIRST + 4, FIRST + 5))
    return world


def run_new_network(seed: int) -> World:
    """There never was a document."""
    count, threshold = size(seed)
    world = World(seed, count=count, threshold=threshold, liars=seed % (count - threshold + 1), is_new=True)
    world.run_until(world.now + 3 * world.rounds.recovery_s)
    world.check_safety()
    assert_one_document_each(world, range(FIRST, FIRST + 1))
    return world


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("run", [run_recovery, run_new_network])
def test_authorities_recover_in_hundreds_of_worlds(run: Callable[[int], World]) -> None:
    for seed in range(100):
        run(seed)


@pytest.mark.parametrize("seed", range(3))
def test_after_an_outage_of_four_periods_a_document_comes_within_three_openings(seed: int) -> None:
    run_recovery(seed)


@pytest.mark.parametrize("seed", range(3))
def test_a_new_network_has_a_document_within_three_openings(seed: int) -> None:
    run_new_network(seed)


def test_a_number_that_was_missed_leaves_the_chain_whole() -> None:
    world = World(1, count=3, threshold=2)
    world.run_to_period(FIRST)
    for dead in (0, 1):
        world.authorities[dead].crash()
    world.run_until((FIRST + 1.4) * PERIOD_S)
    for back in (0, 1):
        world.authorities[back].boot()
    world.run_to_period(FIRST + 2)

    assert [] == world.documents(FIRST + 1)
    assert {world.documents(FIRST)[0].digest} == {one.previous for one in world.documents(FIRST + 2)}


def test_a_liar_that_votes_twice_is_found_out_by_honest_authorities() -> None:
    world = World(0, count=3, threshold=2, liars=1, are_late=False)
    world.run_to_period(FIRST)

    guilty = {
        key
        for one in world.honest
        for pair in one.evidence
        for key in verify_evidence(pair, world.root).guilty
    }
    assert {world.keys[index].public for index in world.liars} == guilty


def test_who_comes_back_later_takes_the_document_of_the_others() -> None:
    world = World(3, count=3, threshold=2)
    world.run_until(world.start + 0.1 * world.round_s)
    late = world.authorities[0]
    late.crash()
    world.run_to_period(FIRST)
    late.boot()
    world.run_until((FIRST + 0.3) * PERIOD_S)

    assert world.authorities[1].documents[FIRST].digest == late.documents[FIRST].digest
