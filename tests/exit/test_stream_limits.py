"""Whatever callers send and leave waiting, an exit holds no more than it promises and serves the others."""

from __future__ import annotations

import trio
import trio.testing

from onionpath.onion.statuses import Reason
from onionpath.service.stream import StreamReply, StreamRequest
from relay.exit.limits import StreamLimits
from tests.exit.servers import TOKEN, ask, call, local_exit, server
from tests.exit.test_streams import opening, shout

GAP = 3  # No byte of this offset has arrived.
WAIT_MS = 5_000


def gap(size: int, *, token: bytes = TOKEN) -> StreamRequest:
    return StreamRequest(token, upstream_offset=GAP, data=bytes(size), wait_ms=WAIT_MS)


async def test_bytes_that_wait_with_their_call_are_counted_and_come_out_of_the_budget() -> None:
    limits = StreamLimits(streams=1, floor=0, waiting_floor=0, total=500_000)
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
    async def hang(address: object, port: int) -> trio.SocketStream:
        await trio.sleep_forever()
        raise AssertionError

    limits = StreamLimits(streams=1, floor=0, waiting_floor=0, total=150_000)
    async with local_exit(connect=hang, stream_limits=limits) as service, trio.open_nursery() as nursery:
        nursery.start_soon(call, service, opening(443, bytes(60_000)))
        await trio.testing.wait_all_tasks_blocked()
        assert 120_000 == service.statistics().held
        assert Reason.SERVICE_BUSY == (await call(service, opening(443, bytes(60_000)))).reason
        nursery.cancel_scope.cancel()


async def test_a_call_that_cannot_wait_says_how_much_of_it_was_taken() -> None:
    limits = StreamLimits(streams=1, floor=0, waiting_floor=0, total=1_000)
    async with server(shout) as port, local_exit(stream_limits=limits) as service:
        await ask(service, opening(port, at_least=0))
        reply = await ask(service, StreamRequest(TOKEN, data=bytes(3_000), wait_ms=WAIT_MS))
    assert StreamReply(upstream_received=1_000) == reply


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
