"""A process that is stopped and goes on, as by SIGSTOP and SIGCONT."""

from __future__ import annotations

import pytest

from simulations.virtual.destinations import page, website
from simulations.virtual.network import virtual_network
from simulations.virtual.requests import Ending, echo
from simulations.virtual.wires import WireModel

PAGE_BYTES = 2_000_000


def test_a_request_through_a_paused_relay_is_answered_when_it_goes_on() -> None:
    network = virtual_network(relays=9)
    client = network.client()
    _, middle, _ = client.request(echo()).path
    network.pause(middle)
    request = client.start(echo())
    network.advance(seconds=5.0)
    assert not request.has_ended

    network.resume(middle)
    network.advance(seconds=1.0)

    assert request.outcome is not None
    assert (Ending.ANSWERED, 1) == (request.outcome.ending, request.outcome.attempts)


def test_a_relay_that_stays_paused_costs_an_attempts_time_and_is_gone_around() -> None:
    network = virtual_network(relays=9)
    client = network.client()
    _, middle, _ = client.request(echo()).path
    network.pause(middle)

    outcome = client.request(echo())

    assert (Ending.ANSWERED, 2) == (outcome.ending, outcome.attempts)
    assert middle not in outcome.path
    assert outcome.took_s > 5.0


def test_nothing_happens_in_a_paused_relay() -> None:
    network = virtual_network(relays=4, period_s=600)
    client = network.client()
    client.request(echo())
    network.pause(1)
    before = network.relay(1).counts
    network.record.clear()
    network.advance(hours=1)

    assert before == network.relay(1).counts
    assert [] == [each for each in network.record.handlings if each.relay == "relay-1"]
    assert [] == [each for each in network.record.sightings if each.sender == "relay-1"]


def test_a_relay_that_was_paused_for_hours_finds_its_way_back_into_the_network() -> None:
    network = virtual_network(relays=3, period_s=600)
    client = network.client()
    network.pause(0)
    network.advance(hours=7)
    assert not client.request(echo()).is_answered

    network.resume(0)
    network.advance(minutes=30)

    assert client.request(echo()).is_answered


def test_a_paused_relay_can_be_killed_and_started_again() -> None:
    network = virtual_network(relays=3)
    network.pause(2)
    network.kill(2)
    network.restart(2)
    network.advance(seconds=1.0)

    assert network.client().request(echo()).is_answered


@pytest.mark.parametrize("position", [0, 1, 2])
def test_a_download_goes_on_after_a_hop_was_paused_for_seconds(position: int) -> None:
    network = virtual_network(relays=9, destinations={("site", 80): website(PAGE_BYTES)})
    stream = network.client().open_stream("site", 80)
    stream.send(b"GET")
    beginning = stream.read(10_000)
    hop = stream.hops[position]
    network.pause(hop)
    network.advance(seconds=4.0)
    network.resume(hop)

    assert page(0, PAGE_BYTES) == beginning + stream.read_all()
    assert 0 == stream.end.continuations


def test_what_is_on_its_way_to_a_relay_when_it_is_paused_waits_for_it() -> None:
    network = virtual_network(relays=9, wires=WireModel(latency_s=0.03))
    client = network.client()
    _, middle, _ = client.request(echo()).path
    request = client.start(echo())
    network.advance(seconds=0.045)
    network.pause(middle)
    network.record.clear()
    network.advance(seconds=2.0)
    assert [] == [each for each in network.record.handlings if each.relay == middle]

    network.resume(middle)
    network.advance(seconds=1.0)

    assert request.outcome is not None
    # Two seconds less the half wire that it had come when it was stopped.
    assert 0.18 + 2.0 - 0.015 == pytest.approx(request.outcome.took_s, abs=1e-6)
