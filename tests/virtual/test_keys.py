from __future__ import annotations

import pytest

from onionpath.directory.parameters import Parameters
from simulations.virtual.network import START, virtual_network
from simulations.virtual.requests import Ending, echo

EPOCH_S, SLOT_S = 21_600, 300


@pytest.mark.parametrize("skew", [0.0, 30.0])
def test_every_request_around_every_epoch_and_slot_edge_of_three_days_needs_one_attempt(skew: float) -> None:
    """Keys, slots and documents change under a client that never stops asking."""
    network = virtual_network(relays=6, seed=5, record=False)
    client = network.client()
    for number in range(6):
        network.skew(number, skew if number % 2 else -skew)
    attempts = []
    for epoch in range(1, 13):
        for offset in (-SLOT_S, -31, -1, 1, 31, SLOT_S, EPOCH_S / 2):
            network.advance(seconds=START + epoch * EPOCH_S + offset - network.now)
            outcome = client.request(echo())
            attempts.append((outcome.ending, outcome.attempts))

    assert {(Ending.ANSWERED, 1)} == set(attempts)


def test_a_relay_holds_two_packet_keys_three_in_an_overlap_and_each_is_erased_a_slot_after_its_epoch() -> (
    None
):
    network = virtual_network(relays=3)
    keys = network.relay(0).disk.packet_keys
    first = min(keys)
    assert {first, first + 1} == set(keys)

    network.advance(seconds=EPOCH_S + SLOT_S - 1)
    assert {first, first + 1, first + 2} == set(keys)
    network.advance(seconds=2)

    assert {first + 1, first + 2} == set(keys)


def test_a_dead_relays_new_keys_are_published_when_it_comes_back() -> None:
    network = virtual_network(relays=3, period_s=600)
    client = network.client()
    network.kill(0)
    network.advance(seconds=3 * EPOCH_S)
    assert Ending.NO_PATH is client.request(echo()).ending

    network.restart(0)
    network.advance(minutes=25)

    assert client.request(echo()).is_answered


def test_epochs_of_a_minute_work_as_those_of_hours_do() -> None:
    parameters = Parameters(slot_s=10, epoch_s=60)
    network = virtual_network(relays=4, parameters=parameters, period_s=20, record=False)
    client = network.client()
    endings = []
    for _ in range(60):
        endings.append(client.request(echo()).is_answered)
        network.advance(seconds=17.0)

    assert all(endings)
