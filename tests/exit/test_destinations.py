"""No server gets more connections through an exit than a busy person's browser would make."""

from __future__ import annotations

from contextlib import AsyncExitStack
from ipaddress import ip_address, ip_network

import pytest
import trio
import trio.testing

from onionpath.onion.statuses import Reason
from onionpath.service.exit_policy import ExitPolicy, IPAddress
from relay.exit.destinations import DestinationLimits, Destinations
from relay.exit.dial import Dialer
from tests.exit.servers import no_names

SERVER, OTHER = ip_address("93.184.216.34"), ip_address("93.184.216.35")


async def connect(address: IPAddress, port: int) -> trio.SocketStream:
    ours, theirs = trio.socket.socketpair()
    theirs.close()
    return trio.SocketStream(ours)


async def refuse(address: IPAddress, port: int) -> trio.SocketStream:
    raise ConnectionRefusedError


def dialer(limits: DestinationLimits | None = None, *, listed: str = "127.0.0.1/32") -> Dialer:
    return Dialer(
        ExitPolicy.parse(["accept *:*"]),
        own=tuple,
        reachable_private=[ip_network(listed)],
        resolver=no_names,
        connect=connect,
        destinations=limits,
    )


def test_ten_new_connections_a_second_reach_one_server_and_those_of_two_more_seconds_wait() -> None:
    destinations = Destinations(DestinationLimits(concurrent=100))
    delays = [destinations.enter((SERVER.packed, 443), now=0.0) for _ in range(31)]
    assert [0.0] * 10 == delays[:10]
    assert [pytest.approx(n / 10) for n in range(1, 21)] == delays[10:30]
    assert delays[30] is None
    assert 0.0 == destinations.enter((SERVER.packed, 80), now=0.0)
    assert 0.0 == destinations.enter((OTHER.packed, 443), now=0.0)
    assert pytest.approx(0.1) == destinations.enter((SERVER.packed, 443), now=2.0)


def test_twenty_connections_at_once_reach_one_server_those_that_wait_included() -> None:
    destinations = Destinations(DestinationLimits())
    delays = [destinations.enter((SERVER.packed, 443), now=0.0) for _ in range(21)]
    assert (pytest.approx(1.0), None) == (delays[19], delays[20])
    destinations.leave((SERVER.packed, 443))
    assert 0.0 == destinations.enter((SERVER.packed, 443), now=5.5)
    assert destinations.enter((SERVER.packed, 443), now=5.5) is None


def test_a_server_whose_waiting_connections_were_given_up_is_spared_all_the_same() -> None:
    """Otherwise a caller who opens and closes gets a new second's connections each second."""
    destinations = Destinations(DestinationLimits(concurrent=100))
    for _ in range(30):
        destinations.enter((SERVER.packed, 443), now=0.0)
        destinations.leave((SERVER.packed, 443))
    assert pytest.approx(0.6) == destinations.enter((SERVER.packed, 443), now=1.5)


def test_servers_that_nobody_uses_are_forgotten_and_those_in_use_are_not() -> None:
    destinations = Destinations(DestinationLimits(concurrent=1))
    assert 0.0 == destinations.enter((SERVER.packed, 1), now=0.0)
    for port in range(1000):
        destinations.enter((OTHER.packed, port), now=2.0 + port / 100)
        destinations.leave((OTHER.packed, port))
    assert len(destinations) < 350
    assert destinations.enter((SERVER.packed, 1), now=20.0) is None


def test_a_connection_counts_until_it_is_closed_also_when_its_address_is_translated() -> None:
    async def main() -> None:
        exit_ = dialer(DestinationLimits(concurrent=2))
        async with AsyncExitStack() as open_ones:
            for host in (SERVER, ip_address("64:ff9b::93.184.216.34")):
                result = await open_ones.enter_async_context(exit_.dial(host, 443, 1))
                assert isinstance(result, trio.SocketStream)
            async with exit_.dial(SERVER, 443, 2) as refused:
                assert Reason.STREAM_LIMIT == refused
        async with exit_.dial(SERVER, 443, 2) as result:
            assert isinstance(result, trio.SocketStream)

    trio.run(main)


def test_connections_that_fail_count_for_the_rate_and_leave_no_place_taken() -> None:
    async def main() -> list[tuple[Reason, float]]:
        exit_ = Dialer(
            ExitPolicy.parse(["accept *:*"]),
            own=tuple,
            resolver=no_names,
            connect=refuse,
            destinations=DestinationLimits(concurrent=2, per_s=2),
        )
        started_at, results = trio.current_time(), []
        for _ in range(4):
            async with exit_.dial(SERVER, 443, 1) as result:
                assert isinstance(result, Reason)
                results.append((result, trio.current_time() - started_at))
        return results

    assert [(Reason.CONNECTION_REFUSED, pytest.approx(at_s)) for at_s in (0, 0, 0.5, 1)] == trio.run(
        main, clock=trio.testing.MockClock(autojump_threshold=0)
    )


def test_what_a_browser_opens_at_once_is_all_connected_within_a_second() -> None:
    async def main() -> None:
        exit_, connected_at = dialer(), list[float]()
        started_at = trio.current_time()

        async def visit() -> None:
            async with exit_.dial(SERVER, 443, 1) as result:
                assert isinstance(result, trio.SocketStream)
                connected_at.append(trio.current_time() - started_at)
                await trio.sleep(10)

        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(visit)
            await trio.sleep(5)
            assert [0.0] * 10 + [pytest.approx(n / 10) for n in range(1, 11)] == connected_at
            async with exit_.dial(SERVER, 443, 1) as result:
                assert Reason.STREAM_LIMIT == result

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def test_servers_of_the_operator_are_not_spared() -> None:
    async def main() -> None:
        exit_ = dialer(DestinationLimits(concurrent=1), listed="93.184.216.34/32")
        async with exit_.dial(SERVER, 443, 1), exit_.dial(SERVER, 443, 1) as second:
            assert isinstance(second, trio.SocketStream)

    trio.run(main)
