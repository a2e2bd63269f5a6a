"""Whatever callers send and leave waiting, an exit holds no more than it promises and serves the others."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio
import trio.testing

from onionpath.onion.statuses import Reason
from onionpath.service.exit_policy import IPAddress
from onionpath.service.stream import StreamReply, StreamRequest
from relay.exit.limits import StreamLimits
from relay.exit.streams import StreamService
from tests.exit.servers import CLOSE, TOKEN, ask, call, local_exit, server
from tests.exit.test_streams import Pair, opening, shout

GAP = 3  # No byte of this offset has arrived.
WAIT_MS = 5_000


def gap(size: int, *, token: bytes = TOKEN) -> StreamRequest:
    return StreamRequest(token, upstream_offset=GAP, data=bytes(size), wait_ms=WAIT_MS)


async def test_bytes_that_wait_with_their_call_are_counted_and_come_out_of_the_budget() -> None:
    limits = StreamLimits(streams=1, floor=0, waiting_floor=0, total=800_000)
    async with (
        server(shout) as port,
        local_exit(stream_limits=limits) as service,
        trio.open_nursery() as nursery,
    ):
        await ask(service, opening(port, at_least=0))
        for _ in range(2):
            nursery.start_soon(call, service, gap(100_000))
        await trio.testing.wait_all_tasks_blocked()
        assert 400_000 == service.statistics().held

        assert Reason.SERVICE_BUSY == (await call(service, gap(100_000))).reason
        assert 400_000 == service.statistics().held
        nursery.cancel_scope.cancel()
    assert 0 == service.statistics().held


async def test_bytes_that_wait_for_a_dial_are_counted_too() -> None:
    async def hang(address: IPAddress, port: int) -> trio.SocketStream:
        await trio.sleep_forever()
        raise AssertionError

    limits = StreamLimits(streams=1, floor=0, waiting_floor=0, total=240_000)
    async with local_exit(connect=hang, stream_limits=limits) as service, trio.open_nursery() as nursery:
        nursery.start_soon(call, service, opening(443, bytes(60_000)))
        await trio.testing.wait_all_tasks_blocked()
        assert 120_000 == service.statistics().held
        assert Reason.SERVICE_BUSY == (await call(service, opening(443, bytes(60_000)))).reason
        nursery.cancel_scope.cancel()


async def test_a_call_that_cannot_wait_says_how_much_of_it_was_taken() -> None:
    limits = StreamLimits(streams=1, floor=0, waiting_floor=0, total=2_000)
    async with server(shout) as port, local_exit(stream_limits=limits) as service:
        await ask(service, opening(port, at_least=0))
        reply = await ask(service, StreamRequest(TOKEN, data=bytes(3_000), wait_ms=WAIT_MS))
    assert StreamReply(upstream_received=1_000) == reply


async def test_a_stream_that_ends_while_it_waits_for_memory_leaves_its_turn_to_the_next() -> None:
    async def pour(stream: trio.SocketStream) -> None:
        await stream.send_all(bytes(100_000))

    limits = StreamLimits(streams=3, floor=0, waiting_floor=0, total=1_000)
    hoards, leaves, waits = (bytes([n]) * 16 for n in range(3))
    async with server(pour) as port, local_exit(stream_limits=limits) as service:
        for each in (hoards, leaves, waits):
            await ask(service, opening(port, token=each, at_least=0))
            await trio.testing.wait_all_tasks_blocked(0.01)
        await ask(service, StreamRequest(leaves, CLOSE))
        await trio.testing.wait_all_tasks_blocked(0.01)
        await ask(service, StreamRequest(hoards, CLOSE))

        reply = await ask(service, StreamRequest(waits, at_least=1, at_most=9, wait_ms=WAIT_MS))
    assert bytes(9) == reply.data


async def test_one_stream_keeps_no_more_waiting_than_a_client_ever_sends_ahead() -> None:
    limits = StreamLimits(waiting=200_000)
    async with (
        server(shout) as port,
        local_exit(stream_limits=limits) as service,
        trio.open_nursery() as nursery,
    ):
        await ask(service, opening(port, at_least=0))
        nursery.start_soon(call, service, gap(100_000))
        await trio.testing.wait_all_tasks_blocked()
        assert Reason.SERVICE_BUSY == (await call(service, gap(1))).reason
        nursery.cancel_scope.cancel()


async def test_the_calls_that_wait_are_bounded_for_a_stream_and_for_a_link() -> None:
    limits = StreamLimits(calls_per_stream=2, calls_per_link=3)
    poll = StreamRequest(TOKEN, at_least=1, at_most=1, wait_ms=WAIT_MS)
    other = bytes(16)
    async with (
        server(shout) as port,
        local_exit(stream_limits=limits) as service,
        trio.open_nursery() as nursery,
    ):
        await ask(service, opening(port, at_least=0))
        for _ in range(2):
            nursery.start_soon(call, service, poll)
        await trio.testing.wait_all_tasks_blocked()
        assert Reason.SERVICE_BUSY == (await call(service, poll)).reason

        nursery.start_soon(call, service, opening(port, token=other))
        await trio.testing.wait_all_tasks_blocked()
        again = StreamRequest(other)
        assert Reason.SERVICE_BUSY == (await call(service, again)).reason
        assert Reason.NONE == (await call(service, again, caller=2)).reason
        nursery.cancel_scope.cancel()


def token(n: int) -> bytes:
    return bytes([n]) * 16


async def open_over(service: StreamService, *, link: int, n: int) -> Reason:
    return (await call(service, opening(443, at_least=0, token=token(n)), caller=link)).reason


class Pairs:
    """Connects to sockets of this process, as often as wanted."""

    def __init__(self) -> None:
        self.servers: list[trio.SocketStream] = []

    async def connect(self, address: IPAddress, port: int) -> trio.SocketStream:
        pair = Pair()
        self.servers.append(pair.server)
        return await pair.connect(address, port)

    async def aclose(self) -> None:
        for each in self.servers:
            await each.aclose()


def in_virtual_time(main: Callable[[], Awaitable[None]]) -> None:
    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def test_the_stream_of_a_full_link_that_was_idle_longest_makes_room_for_a_new_one() -> None:
    async def main() -> None:
        pairs = Pairs()
        limits = StreamLimits(streams_per_link=3)
        async with local_exit(connect=pairs.connect, stream_limits=limits) as service:
            for n in range(3):
                assert Reason.NONE == await open_over(service, link=1, n=n)
            await trio.sleep(10)
            await ask(service, StreamRequest(token(0), data=b"x"))
            await pairs.servers[1].send_all(b"y")
            assert Reason.STREAM_LIMIT == await open_over(service, link=1, n=8)
            await trio.sleep(10)
            await ask(service, StreamRequest(token(2)))  # A call without bytes is no use.
            assert Reason.NONE == await open_over(service, link=1, n=9)

            known = [(await call(service, StreamRequest(token(n)))).reason for n in (0, 1, 2, 9)]
            assert [Reason.NONE, Reason.NONE, Reason.STREAM_UNKNOWN, Reason.NONE] == known
            assert (1, 3, 3) == (
                service.statistics().evicted,
                service.statistics().open,
                service.statistics().running,
            )
            assert Reason.STREAM_UNKNOWN == await open_over(service, link=1, n=2)
        await pairs.aclose()

    in_virtual_time(main)


def test_the_link_that_has_most_streams_gives_way_when_the_relay_is_full() -> None:
    async def main() -> None:
        pairs = Pairs()
        limits = StreamLimits(streams=4, streams_per_link=3)
        async with local_exit(connect=pairs.connect, stream_limits=limits) as service:
            for n, link in enumerate((2, 1, 1, 1)):
                assert Reason.NONE == await open_over(service, link=link, n=n)
            await trio.sleep(20)
            assert Reason.NONE == await open_over(service, link=3, n=9)

            known = [(await call(service, StreamRequest(token(n)))).reason for n in (0, 1, 2, 3)]
            assert [Reason.NONE, Reason.STREAM_UNKNOWN, Reason.NONE, Reason.NONE] == known
        await pairs.aclose()

    in_virtual_time(main)


def test_a_link_that_opens_stream_after_stream_leaves_room_to_remember_those_of_others() -> None:
    async def refuse(address: IPAddress, port: int) -> trio.SocketStream:
        raise ConnectionRefusedError

    async def main() -> None:
        async with local_exit(connect=refuse, stream_limits=StreamLimits(tokens=40)) as service:
            reasons = [await open_over(service, link=1, n=n) for n in range(11)]
            assert [Reason.CONNECTION_REFUSED] * 10 + [Reason.STREAM_LIMIT] == reasons
            assert Reason.CONNECTION_REFUSED == await open_over(service, link=2, n=100)
            await trio.sleep(181)
            assert Reason.CONNECTION_REFUSED == await open_over(service, link=1, n=101)

    in_virtual_time(main)


def test_a_stream_that_is_polled_all_its_life_ends_with_it_and_its_token_is_told_why() -> None:
    async def main() -> None:
        pairs, started_at = Pairs(), trio.current_time()
        async with local_exit(connect=pairs.connect, stream_limits=StreamLimits(life_s=100.0)) as service:
            assert Reason.NONE == await open_over(service, link=1, n=1)
            poll = StreamRequest(token(1), at_least=1, at_most=1, wait_ms=20_000)
            reasons = [(await call(service, poll)).reason for _ in range(6)]
            assert [Reason.NONE] * 4 == reasons[:4]
            assert [Reason.STREAM_LIMIT] == reasons[5:]
            assert 100.0 == pytest.approx(trio.current_time() - started_at)
            assert (0, 0) == (service.statistics().running, service.statistics().held)
            assert Reason.STREAM_LIMIT == await open_over(service, link=1, n=1)
            assert Reason.NONE == await open_over(service, link=1, n=2)
        await pairs.aclose()

    in_virtual_time(main)
