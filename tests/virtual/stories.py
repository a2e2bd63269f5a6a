"""A story in which much goes wrong, drawn from a seed."""

from __future__ import annotations

from simulations.virtual.chance import stream
from simulations.virtual.network import VirtualNetwork, virtual_network
from simulations.virtual.requests import echo
from simulations.virtual.wires import WireModel


def eventful(seed: int) -> VirtualNetwork:
    """Half an hour with deaths, cuts, stalls, clocks and new relays, all drawn from the seed."""
    wires = WireModel(latency_s=0.01, latency_up_to_s=0.1, jitter_s=0.02)
    network = virtual_network(relays=7, seed=seed, period_s=600, wires=wires, record=False)
    clients = [network.client() for _ in range(2)]
    chance = stream(seed, "what happens")
    for _ in range(12):
        for client in clients:
            client.start(echo(large_reply=chance.random() < 0.3))
        number, other = chance.sample(range(7), 2)
        match chance.randrange(6):
            case 0 if network.relay(number).is_running:
                network.kill(number)
            case 1 if not network.relay(number).is_running:
                network.restart(number)
            case 2:
                network.stall(number, other, seconds=20.0)
            case 3:
                network.skew(number, chance.uniform(-20, 20))
            case 4 if network.relay(number).is_running:
                network.lose_power(number)
            case _:
                network.cut(number, other)
        network.advance(seconds=chance.expovariate(1 / 150))
    network.add_relay()
    network.advance(minutes=2)
    return network
