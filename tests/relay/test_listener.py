"""The gate: how many connections, from whom, and how fast; and what it remembers of them."""

from __future__ import annotations

import socket
from collections.abc import Iterable

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from onionpath.injected import UnixTime
from relay.listener import Gate, GateLimits, accept_forever, bind, source_of
from tests.relay.nodes import clock

NOW = UnixTime(1_800_000_000.0)


def admitted(gate: Gate, addresses: Iterable[str], *, now: UnixTime = NOW) -> list[str]:
    return [source for address in addresses if (source := gate.admit(address, now=now)) is not None]


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
    ],
)
def test_a_source_is_an_ipv4_address_or_an_ipv6_64(address: str, source: str) -> None:
    assert source == source_of(address)


def test_one_source_has_so_many_connections_and_no_more() -> None:
    gate = Gate(GateLimits(per_source=3))
    hosts = [f"2001:db8::{number}" for number in range(1, 6)]

    assert 3 == len(admitted(gate, hosts))
    assert 1 == len(admitted(gate, ["2001:db8:0:1::1"]))
    assert {"source_full": 2} == gate.counts()


def test_a_mapped_address_gets_no_second_share() -> None:
    gate = Gate(GateLimits(per_source=1))

    assert ["192.0.2.1"] == admitted(gate, ["192.0.2.1", "::ffff:192.0.2.1"])


def test_all_sources_together_are_bounded_and_leaving_makes_room() -> None:
    gate = Gate(GateLimits(connections=2))
    one, _ = admitted(gate, ["192.0.2.1", "192.0.2.2", "192.0.2.3"])
    assert {"connections_full": 1} == gate.counts()

    gate.leave(one)

    assert ["192.0.2.3"] == admitted(gate, ["192.0.2.3", "192.0.2.4"])


def test_one_source_connects_so_fast_and_no_faster() -> None:
    gate = Gate(GateLimits(per_second=1, burst=2))

    assert 2 == len(admitted(gate, ["192.0.2.1"] * 5))
    assert 1 == len(admitted(gate, ["192.0.2.1"] * 5, now=UnixTime(NOW + 1)))
    assert 1 == len(admitted(gate, ["192.0.2.9"]))
    assert {"source_too_fast": 7} == gate.counts()


@pytest.mark.slow
def test_what_a_gate_remembers_is_bounded_however_many_sources_come() -> None:
    gate = Gate(GateLimits())
    for number in range(20_000):
        source = gate.admit(f"2001:db8:{number // 65_536:x}:{number % 65_536:x}::1", now=NOW)
        assert source is not None
        gate.leave(source)

    assert Gate.REMEMBERED_SOURCES == len(gate._rates)
    assert 0 == len(gate._open)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), max_size=100))
def test_admitting_and_leaving_keep_the_bounds_in_any_order(steps: list[tuple[bool, int]]) -> None:
    gate = Gate(GateLimits(connections=7, per_source=3, burst=1_000))
    inside: list[str] = []
    for enters, number in steps:
        if enters:
            inside += admitted(gate, [f"192.0.2.{number}"])
        elif inside:
            gate.leave(inside.pop(number % len(inside)))
        assert len(inside) <= 7
        assert all(inside.count(source) <= 3 for source in inside)
    assert len(inside) == gate._open.total() == gate._open_in_all


async def test_a_refused_connection_is_closed_and_the_next_one_is_served() -> None:
    gate = Gate(GateLimits(per_source=1))
    listener = bind("127.0.0.1", 0)
    served = 0
    leave = trio.Event()

    async def serve(sock: socket.socket) -> None:
        nonlocal served
        served += 1
        await leave.wait()

    async def accept() -> None:
        await accept_forever(listener, gate, serve, nursery, clock=clock)

    port = listener.getsockname()[1]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(accept)
        first = await trio.open_tcp_stream("127.0.0.1", port)
        second = await trio.open_tcp_stream("127.0.0.1", port)
        assert b"" == await second.receive_some()
        leave.set()
        assert b"" == await first.receive_some()
        third = await trio.open_tcp_stream("127.0.0.1", port)
        assert b"" == await third.receive_some()
        nursery.cancel_scope.cancel()
    for stream in (first, second, third):
        await stream.aclose()
    listener.close()

    assert 2 == served
    assert {"source_full": 1} == gate.counts()


def test_a_port_that_is_taken_is_an_error_and_leaks_no_socket() -> None:
    listener = bind("127.0.0.1", 0)
    with pytest.raises(OSError, match="in use"):
        bind("127.0.0.1", listener.getsockname()[1])
    listener.close()
