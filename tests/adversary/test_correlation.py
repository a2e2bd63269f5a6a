"""Both ends bad: as often as theory says without guards, and never again once a guard is honest."""

import random

import pytest

from simulations.adversary.clients import Offer
from simulations.adversary.closed_forms import both_ends, both_ends_uniform
from simulations.adversary.comparisons import equal
from simulations.adversary.correlation import first_linked, fresh_paths, is_linked_with_guards
from simulations.adversary.networks import START, generate, generate_uniform


@pytest.mark.parametrize("paths", [800, pytest.param(100_000, marks=pytest.mark.slow)])
def test_equal_relays_own_both_ends_as_often_as_published(paths: int) -> None:
    network = generate_uniform(60, bad=18, seed=1)
    hits = sum(fresh_paths(network, paths, random.Random(2)))

    assert equal("", "", theory=both_ends_uniform(60, 18), hits=hits, trials=paths).is_within


@pytest.mark.parametrize("paths", [800, pytest.param(100_000, marks=pytest.mark.slow)])
def test_weights_families_and_networks_are_what_the_sum_over_pairs_says(paths: int) -> None:
    network = generate(60, bad_share=0.3, seed=3)
    hits = sum(fresh_paths(network, paths, random.Random(4)))

    assert equal("", "", theory=both_ends(network), hits=hits, trials=paths).is_within


def test_without_guards_everybody_is_linked_some_day() -> None:
    network = generate_uniform(60, bad=18, seed=5)

    assert None not in {first_linked(network, 500, random.Random(seed)) for seed in range(3)}


@pytest.mark.parametrize(("clients", "paths"), [(20, 60), pytest.param(1_000, 300, marks=pytest.mark.slow)])
def test_with_guards_only_clients_of_a_bad_guard_are_linked_however_many_paths_they_draw(
    clients: int, paths: int
) -> None:
    network = generate_uniform(60, bad=12, seed=6)
    offer = Offer.of(network.directory(START), START)

    linked = sum(is_linked_with_guards(network, offer, paths, random.Random(seed)) for seed in range(clients))

    assert equal("", "", theory=0.2, hits=linked, trials=clients).is_within
