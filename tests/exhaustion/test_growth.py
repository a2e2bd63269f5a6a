"""Whoever sends ever new names fills no map: every one of them is bounded, and empty or full as promised."""

from __future__ import annotations

import random
from collections.abc import Callable
from ipaddress import IPv4Address

import pytest

from onionpath.client.path_pool import MAX_SETS, PathPool
from onionpath.client.ready_path import Need
from onionpath.crypto.identity import RelayId
from onionpath.injected import UnixTime
from onionpath.link.frames import CallBody, Kind, encode_call, encode_frame
from onionpath.onion.geometry import Geometry, SizeClass
from onionpath.onion.packets import Hop, OnionCall
from onionpath.onion.replay import slot_at
from onionpath.onion.statuses import Reason
from onionpath.service.calls import ServiceId
from relay.exit.forgotten import MAX_FORGOTTEN, REMEMBER_S, Forgotten
from relay.limits import PeerLimits, SwitchLimits
from relay.listener import Gate, GateLimits
from relay.switch import Switch
from tests.directory.networks import NOW, descriptor, network
from tests.exhaustion.sizes import container_sizes
from tests.network.memory import SLOT_S, START, MemoryNetwork, memory_network

MANY = 200_000
ANYTHING = PeerLimits(packets_per_second=1e9, burst=1e9, in_flight=2_048)
ID_AT, ID_SIZE = 8, 8  # of a frame's header


def flood(world: MemoryNetwork, switch: Switch, link_id: int, frame: bytes) -> None:
    """This frame with that many exchange ids over one link; whatever is answered is written at once."""
    changing = bytearray(frame)
    for start in range(1, MANY, 20):
        actions = switch.receive(
            link_id, b"".join(_with_id(changing, start + number) for number in range(20)), now=world.now
        )
        assert [] == actions.closes
        for serving in actions.serves:
            reply = world.relays[0].answer(serving)
            actions.writes += switch.answered(serving.call_id, reply, now=world.now).writes
        for _, data in actions.writes:
            switch.written(link_id, len(data))


def _with_id(frame: bytearray, number: int) -> bytes:
    frame[ID_AT : ID_AT + ID_SIZE] = (number * 0x9E3779B97F4A7C15 % 2**64).to_bytes(ID_SIZE, "big")
    return bytes(frame)


def request_frame() -> bytes:
    """A request under a generation that no relay has, which is refused before anything is opened."""
    geometry = Geometry()
    body = bytes(geometry.request_layer_size(SizeClass.SMALL, 0))
    return encode_frame(geometry, Kind.REQUEST, body, generation=99)


def call_frame() -> bytes:
    """An unsealed call to a service that there isn't."""
    return encode_frame(Geometry(), Kind.CALL, encode_call(CallBody(999, SizeClass.SMALL, b"")))


@pytest.mark.slow
@pytest.mark.parametrize("make", [request_frame, call_frame])
def test_a_client_with_ever_new_exchange_ids_leaves_nothing_in_a_relay(make: Callable[[], bytes]) -> None:
    world = memory_network(limits=SwitchLimits(client=ANYTHING, openings_per_second=1e9))
    client, relay = world.client(), world.relays[0]
    before = container_sizes(relay.switch)
    flood(world, relay.switch, client.end.other.link_id, make())
    # Whoever asked counts among those that share the budget for a second.
    world.advance(3)

    assert_as_before(before, container_sizes(relay.switch))


@pytest.mark.slow
def test_a_relay_that_answers_what_nobody_asked_leaves_nothing_in_another() -> None:
    world = memory_network(limits=SwitchLimits(client=ANYTHING, relay=ANYTHING, openings_per_second=1e9))
    client = world.client()
    client.request(OnionCall(ServiceId.ECHO, b"", bytes(16)))
    relay, link = world.relays[0], world.link(0, 1)
    before = container_sizes(relay.switch)
    flood(world, relay.switch, link.link_id, encode_frame(Geometry(), Kind.REJECT))

    assert relay.counts["reply_unexpected"] >= MANY
    assert_as_before(before, container_sizes(relay.switch))


def assert_as_before(before: dict[str, int], after: dict[str, int]) -> None:
    """Only counters by reason may have got a few more names."""
    grown = {path: (before.get(path, 0), size) for path, size in after.items() if size > before.get(path, 0)}
    assert all("_counts" in path and size <= 16 for path, (_, size) in grown.items()), grown


def test_ever_new_next_hops_leave_nothing_in_a_relay() -> None:
    """A client may send five such packets a second, so these are fewer."""
    world = memory_network(limits=SwitchLimits(client=ANYTHING, openings_per_second=1e9))
    client, relay = world.client(), world.relays[0]
    # The replay memory opens its slots' tables, of a fixed size, with the first packet.
    client.request(OnionCall(ServiceId.ECHO, b"", bytes(16)))
    key = world.relays[1].key.private.public
    before = container_sizes(relay.switch)
    for _ in range(30):
        strangers = [Hop(RelayId(world.entropy(32)), key, 7) for _ in range(2)]
        wrapped = world.onion.wrap(
            [relay.hop, *strangers],
            OnionCall(1, b"", bytes(16)),
            slot=slot_at(world.now, SLOT_S),
            entropy=world.entropy,
        )
        client.send_packet(wrapped.packet)
    world.run()
    assert relay.counts["edge_next_unknown"] <= 6
    world.advance(10)

    assert 30 == relay.counts["edge_next_unknown"]
    assert world.is_idle()
    assert_as_before(before, container_sizes(relay.switch))


def test_the_gate_remembers_a_bounded_number_of_sources() -> None:
    gate = Gate(GateLimits())
    for number in range(MANY):
        left = gate.admit(str(IPv4Address(0x0B000000 + number)), now=START)
        assert left is not None
        gate.leave(left)

    assert {"Gate._open": 0, "Gate._rates": Gate.REMEMBERED_SOURCES, "Gate._counts": 0} == {
        path: size for path, size in container_sizes(gate).items() if "[]" not in path
    }


def test_an_exit_remembers_a_bounded_number_of_tokens_and_a_quarter_for_one_link() -> None:
    forgotten = Forgotten()
    for number in range(MANY):
        link = number % 2 if number < MANY // 2 else number
        if forgotten.has_room_beside(0, of_link=0, link=link, now=0.0):
            forgotten.add(number.to_bytes(16, "big"), Reason.NONE, link=link, now=0.0)

    assert MAX_FORGOTTEN == len(forgotten)
    assert MAX_FORGOTTEN // 4 == forgotten._per_link[0]
    for _ in range(MAX_FORGOTTEN // 64 + 1):
        forgotten.has_room_beside(0, of_link=0, link=1, now=REMEMBER_S)
    assert {"Forgotten._tokens": 0, "Forgotten._per_link": 0} == container_sizes(forgotten)


@pytest.mark.slow
def test_a_client_keeps_a_bounded_number_of_paths_whatever_it_is_asked_to_isolate() -> None:
    directory = network([descriptor(name) for name in range(8)]).directory()
    pool, need = PathPool(random.Random(1)), Need(ServiceId.ECHO)
    for number in range(MANY // 4):
        now = UnixTime(NOW + number / 100)
        ready = pool.ready(directory, need, f"key {number}", now=now)
        if number % 10_000 == 0:
            pool.retire(ready)

    assert MAX_SETS == len(pool)
