"""First relays over months: what an adversary meets is what theory says, and not more than is promised."""

import random

import pytest

from onionpath.path.exposure import exposure
from simulations.adversary.comparisons import at_most, equal
from simulations.adversary.entries import (
    HABITS,
    OURS,
    Habit,
    exposed_on,
    has_entered,
    offer_with_some_away,
    offers_with_losses,
    theory_of,
    theory_of_losses,
)
from simulations.adversary.networks import Network, generate

TEN_DAYS = next(habit for habit in HABITS if habit.lifetime_days == 10)


def network_for(clients: int, *, seed: int, bad_share: float = 0.1) -> Network:
    """A small one for few clients, so that the quick suite stays quick."""
    return generate(60 if clients < 100 else 200, bad_share=bad_share, seed=seed)


@pytest.mark.parametrize(
    ("habit", "clients", "days"),
    [
        (OURS, 12, 0),
        (TEN_DAYS, 12, 4),
        pytest.param(OURS, 1_000, 180, marks=[pytest.mark.slow, pytest.mark.timeout(300)]),
        pytest.param(TEN_DAYS, 1_000, 30, marks=[pytest.mark.slow, pytest.mark.timeout(300)]),
    ],
    ids=lambda value: value.name if isinstance(value, Habit) else None,
)
def test_clients_of_any_age_are_exposed_as_the_closed_form_says(
    habit: Habit, clients: int, days: int
) -> None:
    network = network_for(clients, seed=1, bad_share=habit.bad_share)
    exposed = exposed_on(network, habit, clients=clients, days=days, seed=2)
    theory = theory_of(habit, days, bad_share=network.bad_share)

    comparison = equal("", "", theory=theory, hits=sum(day is not None for day in exposed), trials=clients)

    assert comparison.is_within, comparison


@pytest.mark.parametrize(("clients", "days"), [(8, 30), pytest.param(500, 100, marks=pytest.mark.slow)])
def test_a_new_client_meets_nobody_new_for_a_hundred_days(clients: int, days: int) -> None:
    network = network_for(clients, seed=3)

    exposed = exposed_on(network, OURS, clients=clients, days=days, seed=4, is_new=True)

    assert {None, 0} >= set(exposed)
    hits = sum(day is not None for day in exposed)
    theory = exposure(network.bad_share, OURS.guards)
    assert equal("", "", theory=theory, hits=hits, trials=clients).is_within


@pytest.mark.parametrize(
    ("clients", "days"),
    [(12, 4), pytest.param(5_000, 30, marks=[pytest.mark.slow, pytest.mark.timeout(600)])],
)
def test_with_relays_that_come_and_go_few_clients_ever_use_a_bad_entry(clients: int, days: int) -> None:
    network, dice = network_for(clients, seed=5), random.Random(6)
    offers = [offer_with_some_away(network, day, dice) for day in range(days)]

    hits = sum(has_entered(network, offers, 7, index) for index in range(clients))

    bound = 1.5 * OURS.guards * network.bad_share
    assert at_most("", "", bound=bound, ours=hits / clients, trials=clients).is_within


@pytest.mark.parametrize(
    ("clients", "days"),
    [(12, 4), pytest.param(1_000, 30, marks=[pytest.mark.slow, pytest.mark.timeout(300)])],
)
def test_relays_that_leave_for_good_cost_what_theory_says(clients: int, days: int) -> None:
    network, dice = network_for(clients, seed=8), random.Random(9)
    offers = list(offers_with_losses(network, days, dice))
    theory = theory_of_losses(network, offers)

    hits = sum(has_entered(network, offers, 10, index) for index in range(clients))

    assert equal("", "", theory=theory, hits=hits, trials=clients).is_within
