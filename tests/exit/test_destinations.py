"""No server gets more connections through an exit than a busy person's browser would make."""

from __future__ import annotations

from contextlib import AsyncExitStack
from ipaddress import ip_address, ip_network

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


def test_ten_new_connections_a_second_and_twenty_at_once_reach_one_server() -> None:
    destinations = Destinations(DestinationLimits())
    assert [True] * 10 + [False] == [destinations.enter((SERVER.packed, 443), now=0.0) for _ in range(11)]
    assert destinations.enter((SERVER.packed, 80), now=0.0)
    assert destinations.enter((OTHER.packed, 443), now=0.0)
    assert [True, False] == [destinations.enter((SERVER.packed, 443), now=0.1) for _ in range(2)]
    assert [True] * 9 + [False] == [destinations.enter((SERVER.packed, 443), now=5.0) for _ in range(10)]
    destinations.leave((SERVER.packed, 443))
    assert destinations.enter((SERVER.packed, 443), now=5.5)


def test_servers_that_nobody_uses_are_forgotten_and_those_in_use_are_not() -> None:
    destinations = Destinations(DestinationLimits(concurrent=1))
    assert destinations.enter((SERVER.packed, 1), now=0.0)
    for port in range(1000):
        destinations.enter((OTHER.packed, port), now=2.0 + port / 100)
        destinations.leave((OTHER.packed, port))
    assert len(destinations) < 150
    assert not destinations.enter((SERVER.packed, 1), now=20.0)


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
    async def main() -> list[Reason]:
        exit_ = Dialer(
            ExitPolicy.parse(["accept *:*"]),
            own=tuple,
            resolver=no_names,
            connect=refuse,
            destinations=DestinationLimits(concurrent=2, per_s=3),
        )
        reasons = []
        for _ in range(4):
            async with exit_.dial(SERVER, 443, 1) as result:
                assert isinstance(result, Reason)
                reasons.append(result)
        return reasons

    assert [Reason.CONNECTION_REFUSED] * 3 + [Reason.STREAM_LIMIT] == trio.run(
        main, clock=trio.testing.MockClock()
    )


def test_servers_of_the_operator_are_not_spared() -> None:
    async def main() -> None:
        exit_ = dialer(DestinationLimits(concurrent=1), listed="93.184.216.34/32")
        async with exit_.dial(SERVER, 443, 1), exit_.dial(SERVER, 443, 1) as second:
            assert isinstance(second, trio.SocketStream)

    trio.run(main)
