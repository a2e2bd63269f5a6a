"""What clients do about relays that drop, kill, lie, hang and vanish, with the production code on both sides."""

from __future__ import annotations

from collections import Counter

import pytest

from onionpath.client.ready_path import ReadyPath
from onionpath.service.calls import ServiceId
from simulations.virtual.chance import stream
from simulations.virtual.clients import VirtualClient
from simulations.virtual.network import VirtualNetwork, virtual_network
from simulations.virtual.requests import Ask, Ending, Outcome, echo
from simulations.virtual.wires import WireModel

QUICK = WireModel(latency_s=0.01, latency_up_to_s=0.1)


def ask_often(network: VirtualNetwork, client: VirtualClient, count: int, *, every_s: float) -> list[Outcome]:
    """So many echoes, each over a path of its own."""
    outcomes = []
    for number in range(count):
        outcomes.append(client.request(echo(isolation=str(number))))
        network.advance(seconds=every_s)
    return outcomes


def answered(outcomes: list[Outcome]) -> float:
    return sum(each.is_answered for each in outcomes) / len(outcomes)


def cut_off_behind(network: VirtualNetwork, guard: str) -> None:
    """The guard takes packets, and none of them arrives anywhere: it says so each time."""
    for relay in network.relays:
        if relay.name != guard:
            network.part(guard, relay)


@pytest.mark.slow
def test_a_guard_that_drops_what_it_is_given_gets_no_more_than_200_attempts_and_honest_middles_stay() -> None:
    network = virtual_network(relays=12, wires=QUICK, record=False)
    client = network.client()
    guard = client.request(echo()).path[0]
    middles = {each.relay_id for each in client.pool.memory.middles}
    cut_off_behind(network, guard)
    tried: Counter[str] = Counter()
    begin = client.pool.begin

    def count(ready: ReadyPath) -> bool:
        tried[network.world.name_of(ready.guard)] += 1
        return begin(ready)

    client.pool.begin = count  # type: ignore[method-assign]
    outcomes = ask_often(network, client, 1_000, every_s=10.0)

    assert 0.99 <= answered(outcomes)
    assert 0 < tried[guard] <= 200
    assert middles == {each.relay_id for each in client.pool.memory.middles}


def test_a_guard_that_hangs_costs_one_attempt() -> None:
    network = virtual_network(relays=12, wires=QUICK, record=False)
    client = network.client()
    guard = client.request(echo()).path[0]
    network.pause(guard)
    outcomes = ask_often(network, client, 3, every_s=6.0)

    assert 1.0 == answered(outcomes)
    assert [2, 1, 1] == [each.attempts for each in outcomes]


@pytest.mark.parametrize("position", [1, 2])
def test_a_later_hop_that_hangs_costs_one_attempt_and_no_guard(position: int) -> None:
    network = virtual_network(relays=12, wires=QUICK, record=False)
    client = network.client()
    path = client.request(echo(isolation="0")).path
    network.pause(path[position])
    outcome = client.request(echo(isolation="0"))

    assert (Ending.ANSWERED, 2) == (outcome.ending, outcome.attempts)
    network.advance(seconds=40.0)
    assert not client.pool.experience.guards.marks


def test_an_exit_that_kills_paths_meets_four_middles_at_most() -> None:
    network = virtual_network(relays=14, wires=QUICK, record=False)
    client = network.client()
    exit = client.request(echo(isolation="0")).path[-1]
    network.pause(exit)
    paths = [outcome.path for outcome in ask_often(network, client, 60, every_s=3.0)]

    assert 4 >= len({path[1] for path in paths})
    assert 3 >= len({path[0] for path in paths})


def test_guards_and_middles_survive_a_restart_of_the_client() -> None:
    network = virtual_network(relays=14, wires=QUICK, record=False)
    before = network.client()
    entries = Counter(outcome.path[0] for outcome in ask_often(network, before, 20, every_s=1.0))
    after = network.client(memory=before.pool.memory)
    again = Counter(outcome.path[0] for outcome in ask_often(network, after, 20, every_s=1.0))

    # The second guard is taken where an exit stands in the first one's way, so that only the first is sure to come.
    assert entries.most_common(1)[0][0] == again.most_common(1)[0][0]
    assert [each.relay_id for each in before.pool.memory.guards] == [
        each.relay_id for each in after.pool.memory.guards
    ]
    assert before.pool.memory.middles == after.pool.memory.middles


def test_a_hedged_call_over_a_hanging_path_is_answered_before_its_first_attempt_would_be_given_up() -> None:
    network = virtual_network(relays=12, wires=QUICK, record=False)
    took_s = {}
    for hedges in (False, True):
        client = network.client(hedges=hedges)
        ask_often(network, client, 110, every_s=0.0)
        middle = client.request(echo(isolation="x")).path[1]
        network.pause(middle)
        took_s[hedges] = client.request(echo(isolation="x")).took_s
        network.resume(middle)
        network.advance(seconds=60.0)

    assert took_s[True] < took_s[False]


@pytest.mark.slow
def test_calls_are_answered_within_three_attempts_while_three_relays_in_ten_are_replaced() -> None:
    network = virtual_network(relays=20, seed=13, period_s=120, record=False, wires=QUICK)
    clients = [network.client() for _ in range(10)]
    outcomes: list[Outcome] = []
    victims = stream(13, "victims").sample(range(20), 6)
    for second in range(600):
        for each in range(5):
            clients[(second * 5 + each) % 10].start(echo(), then=outcomes.append)
        if second % 100 == 50:
            network.kill(victims[second // 100])
            network.add_relay()
        network.advance(seconds=1.0)
    network.advance(minutes=2)

    assert 3_000 == len(outcomes)
    assert 0.999 <= answered(outcomes)


@pytest.mark.slow
def test_without_any_authority_clients_go_on_until_the_document_expires_and_then_say_why() -> None:
    period_s = 600
    network = virtual_network(relays=9, period_s=period_s, record=False, wires=QUICK)
    client = network.client()
    network.kill("authority")
    outcomes = ask_often(network, client, 230, every_s=5.0)
    assert 0.99 <= answered(outcomes)

    network.advance(seconds=2 * period_s)
    last = client.request(Ask(ServiceId.ECHO, b""))

    assert Ending.NO_DIRECTORY is last.ending
    assert "expired" in last.error
