"""What whoever watches wires, or runs a relay, can see: complete, and no more than it should be."""

from __future__ import annotations

import pytest

from simulations.virtual.destinations import echo as echo_server
from simulations.virtual.network import VirtualNetwork, virtual_network
from simulations.virtual.requests import Ask, Ending, Outcome, echo
from simulations.virtual.wires import WireModel
from tests.virtual.test_network import WAITS, waiting

HEADER_BYTES, PIECE_BYTES = 16, 8


def killed(network: VirtualNetwork) -> VirtualNetwork:
    for number in range(len(network.relays)):
        network.kill(number)
    return network


def lost(network: VirtualNetwork) -> Outcome:
    client = network.client()
    request = client.start(Ask(WAITS))
    network.advance(seconds=1.0)
    killed(network)
    network.advance(seconds=60.0)
    assert request.outcome is not None
    return request.outcome


OUTCOMES = {
    Ending.ANSWERED: lambda: (network := waiting(0.1), network.client().request(Ask(WAITS))),
    Ending.REFUSED: lambda: (network := waiting(60.0), network.client().request(Ask(WAITS, deadline_s=90))),
    Ending.UNREACHABLE: lambda: (network := killed(waiting(0.1)), network.client().request(echo())),
    Ending.UNKNOWN: lambda: (network := waiting(3.0), lost(network)),
    Ending.NO_PATH: lambda: (network := virtual_network(2), network.client().request(echo())),
    Ending.NO_DIRECTORY: lambda: (network := virtual_network(3), network.client(cold=True).request(echo())),
}


@pytest.mark.parametrize("ending", Ending)
def test_every_outcome_is_carried_by_frames_of_two_sizes_and_nothing_else(ending: Ending) -> None:
    network, outcome = OUTCOMES[ending]()
    network.advance(minutes=1)

    geometry = network.world.onion.geometry
    assert ending is outcome.ending
    assert network.record.sizes() <= {geometry.small, geometry.large}
    assert all(each.size in (geometry.small, geometry.large) for each in network.record.handlings)


def test_a_stream_is_carried_by_frames_of_two_sizes_whatever_it_carries() -> None:
    network = virtual_network(relays=6, destinations={("echo", 7): echo_server})
    client = network.client()
    stream = client.open_stream("echo", 7)
    for size in (1, 5_000, 300_000, 17):
        stream.send(bytes(size))
        assert size == len(stream.read(size))
    network.kill(stream.hops[1])
    stream.send(b"around", and_end=True)
    stream.read_all()

    assert {network.world.onion.geometry.small, network.world.onion.geometry.large} == network.record.sizes()


def test_no_eight_bytes_of_a_request_or_a_reply_are_seen_on_two_wires() -> None:
    """Otherwise whoever watches two wires could tell that they carry one exchange."""
    network = virtual_network(relays=9)
    client = network.client()
    client.request(echo())
    seen: dict[bytes, set[tuple[str, str]]] = {}

    def tap(sender: str, receiver: str, data: bytes) -> None:
        # The zeros that fill a frame up are the same everywhere, and say only what its size says.
        body = data[HEADER_BYTES:].rstrip(b"\0")
        for start in range(len(body) - PIECE_BYTES):
            seen.setdefault(body[start : start + PIECE_BYTES], set()).add((sender, receiver))

    network.fabric.tap = tap
    outcome = client.request(echo(b"the same sixteen bytes " * 20))

    assert outcome.is_answered
    # Three wires, each in both directions.
    assert 6 == len({direction for directions in seen.values() for direction in directions})
    assert [] == [directions for directions in seen.values() if len(directions) > 1]


def warm(**plan: object) -> tuple[VirtualNetwork, tuple[str, ...]]:
    """A network whose client has a path with all its connections; what was seen of making them is forgotten."""
    network = virtual_network(relays=9, **plan)  # type: ignore[arg-type]
    path = network.client().request(echo()).path
    network.record.clear()
    return network, path


def test_one_request_is_one_frame_each_way_on_each_wire_of_its_path_and_on_no_other() -> None:
    network, (guard, middle, last) = warm(wires=WireModel(latency_s=0.03))
    started = network.now
    network.clients[0].request(echo())
    record = network.record
    there = (("client-0", guard), (guard, middle), (middle, last))

    assert 6 == len(record.sightings)
    for number, (one, other) in enumerate(there):
        (out,), (back,) = record.between(one, other), record.between(other, one)
        assert pytest.approx(0.03 * number, abs=1e-6) == out.time - started
        assert pytest.approx(0.03 * (5 - number), abs=1e-6) == back.time - started


def test_the_record_is_complete_every_frame_on_a_wire_is_seen_by_the_relays_at_its_ends() -> None:
    network, path = warm()
    for large in (False, True, True):
        network.clients[0].request(echo(large_reply=large))
    record = network.record

    for hop in path:
        sent = [each.size for each in record.sightings if each.sender == hop]
        received = [each.size for each in record.sightings if each.receiver == hop]
        assert sent == [each.size for each in record.handlings if each.relay == hop and each.sent]
        assert received == [each.size for each in record.handlings if each.relay == hop and not each.sent]
        assert (3 if hop == path[-1] else 6) == len(sent) == len(received)


def test_only_the_first_hop_sees_the_client_and_only_the_exit_sees_the_server() -> None:
    network = virtual_network(relays=9, destinations={("echo", 7): echo_server})
    stream = network.client().open_stream("echo", 7)
    stream.send(b"hello", and_end=True)
    stream.read_all()
    guard, middle, last = stream.hops
    sees = {relay.name: network.record.neighbours(relay.name) for relay in network.relays}

    assert [guard] == [name for name, seen in sees.items() if "client-0" in seen]
    assert [last] == [name for name, seen in sees.items() if "echo:7" in seen]
    # The authority dials everybody now and then, to see who is up.
    assert {guard, last} == sees[middle] - {"authority"}
    # Both directions of five bytes, and nothing else, between exit and server.
    assert [(last, "echo:7", 5), ("echo:7", last, 5)] == [each[1:] for each in network.record.beyond]
