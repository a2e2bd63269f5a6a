"""Each packet is accepted at most once, whatever happens to the relay; honest ones are accepted nevertheless."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from onionpath.injected import UnixTime
from onionpath.link.frames import Kind
from simulations.virtual.network import START, VirtualNetwork, virtual_network
from tests.virtual.raw import RawClient, frame_for

EPOCH_S, SLOT_S = 21_600, 300
PATH = (0, 1, 2)


def kill_and_restart(network: VirtualNetwork) -> None:
    network.kill(0)
    network.advance(seconds=1.0)
    network.restart(0)


def drain_and_restart(network: VirtualNetwork) -> None:
    network.drain(0)
    network.advance(seconds=1.0)
    assert not network.relay(0).is_running
    network.restart(0)


def lose_power_and_boot(network: VirtualNetwork) -> None:
    network.lose_power(0)
    network.advance(seconds=20.0)
    network.restart(0)


def stop_cleanly_and_boot(network: VirtualNetwork) -> None:
    network.drain(0)
    network.advance(seconds=1.0)
    network.lose_power(0)
    network.restart(0)


def set_back(network: VirtualNetwork) -> None:
    network.skew(0, -200.0)


def set_back_and_kill(network: VirtualNetwork) -> None:
    network.skew(0, -1_000.0)
    kill_and_restart(network)


def set_back_and_boot(network: VirtualNetwork) -> None:
    network.skew(0, -1_000.0)
    lose_power_and_boot(network)


EVENTS: dict[str, Callable[[VirtualNetwork], None]] = {
    "nothing": lambda network: None,
    "killed": kill_and_restart,
    "drained": drain_and_restart,
    "power lost": lose_power_and_boot,
    "stopped cleanly, then booted": stop_cleanly_and_boot,
    "clock set back": set_back,
    "clock set back, killed": set_back_and_kill,
    "clock set back, power lost": set_back_and_boot,
}


@pytest.mark.parametrize("name", EVENTS)
def test_a_packet_is_accepted_once_and_never_again_while_its_slot_could_be_open(name: str) -> None:
    network = virtual_network(relays=3, seed=11)
    network.advance(seconds=1_000.0)
    frame = frame_for(network, PATH, at=network.now)
    first = RawClient(network, 0).ask(frame)

    EVENTS[name](network)

    # A client's link is another one after each death, so each try makes its own.
    answers = []
    for number in range(14):
        answers.append(RawClient(network, 0, name=f"again-{number}").ask(frame))
        network.advance(seconds=100.0)
    assert Kind.REPLY is first
    assert {Kind.REJECT} == set(answers)


@pytest.mark.parametrize("name", ["killed", "drained", "stopped cleanly, then booted", "clock set back"])
def test_fresh_packets_are_accepted_at_once_after_what_loses_no_tag(name: str) -> None:
    network = virtual_network(relays=3, seed=11)
    network.advance(seconds=1_000.0)
    RawClient(network, 0).ask(frame_for(network, PATH, at=network.now))

    EVENTS[name](network)

    assert Kind.REPLY is RawClient(network, 0, name="next").ask(frame_for(network, PATH, at=network.now))


def test_after_a_power_loss_a_relay_refuses_for_ten_minutes_at_most() -> None:
    network = virtual_network(relays=3, seed=11)
    network.advance(seconds=1_000.0)
    RawClient(network, 0).ask(frame_for(network, PATH, at=network.now))
    lose_power_and_boot(network)
    began = network.now

    answers = []
    for number in range(14):
        client = RawClient(network, 0, name=f"try-{number}")
        answers.append((network.now - began, client.ask(frame_for(network, PATH, at=network.now))))
        network.advance(seconds=60.0)

    refused = [passed for passed, kind in answers if kind is Kind.REJECT]
    assert refused
    assert max(refused) <= 2 * SLOT_S
    assert all(kind is Kind.REPLY for passed, kind in answers if passed > 2 * SLOT_S)


def test_packets_of_the_overlap_of_two_epochs_are_accepted_once() -> None:
    """The old key opens for one slot after its epoch, and the tags must last as long."""
    network = virtual_network(relays=3, seed=11)
    network.advance(seconds=EPOCH_S - 100)
    old = frame_for(network, PATH, at=network.now)
    network.advance(seconds=110.0)
    new = frame_for(network, PATH, at=network.now)

    first = [RawClient(network, 0).ask(frame) for frame in (old, new)]
    kill_and_restart(network)
    again = []
    for number in range(8):
        client = RawClient(network, 0, name=f"again-{number}")
        again += [client.ask(frame) for frame in (old, new)]
        network.advance(seconds=90.0)

    assert [Kind.REPLY] * 2 == first
    assert {Kind.REJECT} == set(again)


@pytest.mark.parametrize("boundary", [SLOT_S * 4, EPOCH_S], ids=["slot", "epoch"])
@pytest.mark.parametrize("client_skew", [-30.0, 0.0, 30.0])
@pytest.mark.parametrize("relay_skew", [-30.0, 0.0, 30.0])
def test_honest_packets_from_up_to_a_minute_before_a_boundary_are_accepted_after_it(
    boundary: int, client_skew: float, relay_skew: float
) -> None:
    network = virtual_network(relays=3, seed=11)
    for number in PATH:
        network.skew(number, relay_skew)
    network.advance(seconds=boundary - 61.0)
    early = [(wait, frame_for(network, PATH, at=UnixTime(START + boundary - wait + client_skew)))
             for wait in (60.0, 30.0, 1.0)]  # fmt: skip
    network.advance(seconds=61.0)
    client = RawClient(network, 0)

    answers = {wait: client.ask(frame) for wait, frame in early}

    assert {60.0: Kind.REPLY, 30.0: Kind.REPLY, 1.0: Kind.REPLY} == answers
