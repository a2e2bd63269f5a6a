"""Killing paths gains an adversary no more than twice what it has without."""

from dataclasses import replace

import pytest

from simulations.adversary.killers import REQUESTS, Attack, attacked
from simulations.adversary.networks import Network, generate
from simulations.adversary.victims import Victim

NETWORK = generate(60, bad_share=0.1, seed=1)
ATTACKS = [
    Attack(hop, bad_guards, lies=lies)
    for hop, bad_guards in ((0, 1), (0, 2), (1, 0))
    for lies in (False, True)
]


def linked(victims: list[Victim], network: Network) -> float:
    answered = [walk.relays for victim in victims for walk in victim.walks if walk.is_answered]
    return sum({relays[0], relays[-1]} <= network.bad for relays in answered) / len(answered)


@pytest.mark.slow
@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_attacked_clients_are_linked_at_most_twice_as_often(attack: Attack) -> None:
    victims = attacked(attack, NETWORK, clients=5, seed=2)

    assert linked(victims, NETWORK) <= 2 * NETWORK.bad_share
    assert frozenset() == frozenset().union(*(victim.disabled for victim in victims)) - NETWORK.bad


def test_two_guards_that_accuse_the_same_middles_keep_no_client() -> None:
    """Each confirms what the other says; the third one carries."""
    (victim,) = attacked(Attack(0, 2, lies=True), NETWORK, clients=1, seed=0)
    answered = [walk.relays[0] for walk in victim.walks if walk.is_answered]

    assert 2 * NETWORK.bad_share >= linked([victim], NETWORK)
    assert len(answered) / 2 < answered.count(victim.first_guards[2])


@pytest.mark.slow
def test_a_guard_that_kills_is_trusted_with_two_hundred_attempts_at_most() -> None:
    victims = attacked(Attack(0, 1), NETWORK, clients=5, seed=3)

    assert 200 >= max(
        sum(walk.relays[0] == victim.first_guards[0] for walk in victim.walks) for victim in victims
    )


def test_who_kills_nothing_is_answered_at_once_and_keeps_its_guard() -> None:
    """The experiment itself disturbs nobody."""
    (victim,) = attacked(replace(ATTACKS[0], kills=0.0), NETWORK, clients=1, seed=4)

    assert REQUESTS == len(victim.walks)
    # The second one carries what ends with a relation of the first.
    assert set(victim.first_guards[:2]) >= {walk.relays[0] for walk in victim.walks}
    assert frozenset() == victim.disabled
