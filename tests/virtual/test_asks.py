"""Relays ask each other in virtual time: the same switches, and every ask ends once."""

from __future__ import annotations

import pytest

from onionpath.link.frames import CallBody
from onionpath.onion.geometry import SizeClass
from onionpath.onion.statuses import Reason
from simulations.virtual.network import VirtualNetwork, virtual_network
from simulations.virtual.wires import WireModel

ECHO = CallBody(1, SizeClass.SMALL, b"hello")


def ask(network: VirtualNetwork, *, timeout_s: float = 5.0) -> list[tuple[float, bytes | Reason]]:
    """The first relay asks the second one; gives when it heard what, as it comes."""
    heard: list[tuple[float, bytes | Reason]] = []
    here, there = network.relays[0], network.relays[1]
    assert here.driver is not None
    began = network.heap.now
    here.driver.ask(
        1,
        there.relay_id,
        ECHO,
        timeout_s=timeout_s,
        answered=lambda result: heard.append((network.heap.now - began, result)),
    )
    return heard


def test_an_ask_takes_as_long_as_its_wires() -> None:
    network = virtual_network(relays=3, wires=WireModel(latency_s=0.03))

    heard = ask(network)
    network.advance(1.0)
    again = ask(network)
    network.advance(1.0)

    # The first one also had a connection to make, and to prove.
    assert [(pytest.approx(0.18, abs=1e-6), b"hello")] == heard
    assert [(pytest.approx(0.06, abs=1e-6), b"hello")] == again


def test_a_relay_that_stands_still_ends_an_ask_at_its_deadline() -> None:
    network = virtual_network(relays=3)
    ask(network)
    network.advance(1.0)
    network.relays[1].pause()

    heard = ask(network, timeout_s=3.0)
    network.advance(5.0)

    ((after, reason),) = heard
    assert Reason.NEXT_TIMED_OUT == reason
    assert 3.0 <= after <= 3.6


def test_a_relay_that_is_killed_ends_an_ask_at_once() -> None:
    network = virtual_network(relays=3)
    ask(network)
    network.advance(1.0)
    heard = ask(network)

    network.kill(1)
    network.advance(0.5)

    assert [Reason.NEXT_CLOSED] == [reason for _, reason in heard]
