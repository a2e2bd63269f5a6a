"""Generated networks are what they promise, and the same again from the same seed."""

import random

import pytest

from onionpath.path.constraints import Taken
from simulations.adversary.networks import MAX_SHARE, START, generate, generate_uniform


def test_equal_seeds_give_equal_networks_and_others_do_not() -> None:
    assert generate(100, bad_share=0.1, seed=1) == generate(100, bad_share=0.1, seed=1)
    assert generate(100, bad_share=0.1, seed=1) != generate(100, bad_share=0.1, seed=2)


@pytest.mark.parametrize("share", [0.01, 0.05, 0.2])
def test_the_adversary_has_the_share_that_was_asked_for_and_no_family(share: float) -> None:
    network = generate(200, bad_share=share, seed=3)
    bad = [relay.descriptor for relay in network.relays if relay.relay_id in network.bad]

    assert share == pytest.approx(network.bad_share, abs=0.001)
    assert [] == [each.family for each in bad if each.family]


def test_weights_have_a_long_tail_below_the_cap() -> None:
    weights = sorted(relay.weight for relay in generate(200, bad_share=0.1, seed=4).relays)

    assert MAX_SHARE >= 0.95 * weights[-1] / sum(weights)
    assert weights[-20] > 3 * weights[100]


def test_some_relays_are_related_by_family_and_some_by_network() -> None:
    relays = generate(60, bad_share=0.1, seed=5).relays
    reasons = {
        Taken.by([one], distinct_subnets=True).refusal(two.descriptor) for one in relays for two in relays
    }

    assert {None, "already-on-path", "same-family", "same-network"} == reasons


def test_a_directory_lists_everybody_but_who_is_away_with_a_key_for_then() -> None:
    network = generate_uniform(20, bad=2, seed=6)
    away = network.relays[3].relay_id

    listed = network.directory(START, away=[away]).relays

    assert {relay.relay_id for relay in network.relays} - {away} == set(listed)
    assert all(relay.descriptor.packet_key(START) for relay in listed.values())


def test_losses_replace_honest_relays_only() -> None:
    network = generate(100, bad_share=0.2, seed=7)

    after = network.after_losses(1.0, random.Random(1))

    before_ids, after_ids = (frozenset(relay.relay_id for relay in each.relays) for each in (network, after))
    assert network.bad == before_ids & after_ids
    assert [relay.weight for relay in network.relays] == [relay.weight for relay in after.relays]
