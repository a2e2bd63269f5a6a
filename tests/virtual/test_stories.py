from __future__ import annotations

import pytest

from simulations.virtual.requests import echo
from tests.virtual.stories import eventful


@pytest.mark.parametrize("seed", range(8))
def test_after_much_went_wrong_every_account_is_balanced_and_a_repaired_network_serves(seed: int) -> None:
    network = eventful(seed)
    network.advance(minutes=3)
    assert [0, 0] == [client.under_way for client in network.clients]
    assert network.is_balanced()

    for relay in network.relays:
        network.skew(relay, 0.0)
        if not relay.is_running:
            network.restart(relay)
    # Two documents' time, in which everybody has published what is true now.
    network.advance(minutes=20)

    assert [True, True] == [
        client.request(echo(isolation="afterwards")).is_answered for client in network.clients
    ]
