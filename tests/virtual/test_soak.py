"""A day of a network in minutes; how fast, how dear, how large."""

from __future__ import annotations

import resource
from cProfile import Profile

import pytest

from simulations.virtual.network import Plan, virtual_network
from simulations.virtual.requests import echo
from simulations.virtual.scenario import Scenario, run
from simulations.virtual.soak import resident_mb, soak
from simulations.virtual.wires import WireModel

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

WIRES = WireModel(latency_s=0.01, latency_up_to_s=0.1, jitter_s=0.005)


def test_a_day_of_thirty_relays_leaves_memory_tasks_and_links_flat_and_every_request_answered() -> None:
    """`python -m simulations virtual soak` runs the same with half a million requests."""
    end = soak(Scenario(Plan(relays=30, wires=WIRES, record=False), 10, 24.0, 0.3), samples=24)
    print(f"\n{end.requests} requests in {end.run_s} s:", end.samples[11], end.samples[23])

    assert end.requests == end.endings["answered"] > 24_000
    assert end.is_balanced
    assert () == end.growth


def test_thirty_relays_run_five_hundred_times_as_fast_as_real_time() -> None:
    summary = run(Scenario(Plan(relays=30, wires=WIRES, record=False), 10, 6.0, 0.2))
    print(f"\n{summary.speed:.0f} × real time, {summary.requests} requests")

    assert summary.speed >= 500


def test_a_request_makes_few_calls_around_its_cryptography() -> None:
    """Calls can be counted anywhere; ``simulations virtual cost`` measures the time, which no test can hold."""
    network = virtual_network(relays=3, record=False)
    client = network.client(refreshes=False)
    for _ in range(150):
        client.request(echo())
    profile = Profile()
    profile.enable()
    for _ in range(100):
        client.request(echo())
    profile.disable()
    calls = sum(entry.callcount for entry in profile.getstats()) / 100
    print(f"\n{calls:.0f} calls")

    # A call takes about 0.2 µs here, and the bare cryptography of a request 470 µs.
    assert calls <= 1_600


def test_a_thousand_relays_start_in_seconds_and_fit_in_memory() -> None:
    before = resident_mb()
    network = virtual_network(relays=1_000, record=False, replay_entries=1_024)
    client = network.client()
    for number in range(50):
        assert client.request(echo(isolation=str(number))).is_answered
    grown = resident_mb() - before
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(f"\n{grown:.0f} MB more, {peak:.0f} MB at most")

    assert grown < 500
