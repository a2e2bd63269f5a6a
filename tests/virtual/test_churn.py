from __future__ import annotations

import pytest

from simulations.virtual.chance import stream
from simulations.virtual.network import virtual_network
from simulations.virtual.requests import Ending, Outcome, echo
from simulations.virtual.wires import WireModel


@pytest.mark.parametrize("period_s", [3_600, 120])
def test_most_requests_survive_when_three_relays_in_ten_are_replaced_in_ten_minutes(
    period_s: int, capsys: pytest.CaptureFixture[str]
) -> None:
    network = virtual_network(
        relays=20, seed=13, period_s=period_s, record=False, wires=WireModel(latency_s=0.01, latency_up_to_s=0.1)
    )  # fmt: skip
    clients = [network.client() for _ in range(10)]
    outcomes: list[Outcome] = []
    victims = stream(13, "victims").sample(range(20), 6)
    for second in range(600):
        clients[second % 10].start(echo(), then=outcomes.append)
        if second % 100 == 50:
            network.kill(victims[second // 100])
            network.add_relay()
        network.advance(seconds=1.0)
    network.advance(minutes=2)

    answered = [each for each in outcomes if each.ending is Ending.ANSWERED]
    attempts = sum(each.attempts for each in outcomes) / len(outcomes)
    with capsys.disabled():
        print(
            f"\nchurn 30 % in 10 min, period {period_s} s: {len(answered)} of {len(outcomes)} answered, "
            f"{attempts:.3f} attempts each, {max(each.took_s for each in outcomes):.1f} s at most"
        )
    assert 600 == len(outcomes)
    assert len(answered) >= 0.995 * 600
    assert network.is_balanced()
