"""Streams over real TCP on loopback, with calls lost, repeated and reordered."""

from __future__ import annotations

import socket
from ipaddress import ip_address

import pytest
import trio
import trio.testing

from onionpath.onion.statuses import Reason
from onionpath.service.exit_policy import IPAddress
from onionpath.service.stream import ReplyFlags, StreamReply, StreamRequest
from relay.exit.limits import StreamLimits
from tests.exit.servers import CLOSE, END, OPEN, TOKEN, ask, call, local_exit, server

LOOPBACK = b"127.0.0.1"
WAIT_MS = 5_000


def opening(port: int, data: bytes = b"", *, token: bytes = TOKEN, at_least: int = 1) -> StreamRequest:
    return StreamRequest(
        token, OPEN, LOOPBACK, port, data=data, at_least=at_least, at_most=1000, wait_ms=WAIT_MS
    )


async def shout(stream: trio.SocketStream) -> None:
    """Answer every chunk in capitals."""
    async for chunk in stream:
        await stream.send_all(chunk.upper())


async def test_the_reply_to_an_open_carries_the_first_bytes_of_the_server() -> None:
    async with server(shout) as port, local_exit() as service:
        reply = await ask(service, opening(port, b"hello", at_least=5))

    assert StreamReply(5, 0, b"HELLO") == reply


async def test_a_repeated_open_connects_once_and_is_answered_alike() -> None:
    connections = 0

    async def count(stream: trio.SocketStream) -> None:
        nonlocal connections
        connections += 1
        await shout(stream)

    async with server(count) as port, local_exit() as service:
        replies = [await ask(service, opening(port, b"hello", at_least=5)) for _ in range(3)]

    assert 1 == connections
    assert [StreamReply(5, 0, b"HELLO")] * 3 == replies


async def test_a_token_that_is_open_elsewhere_is_refused() -> None:
    async with server(shout) as port, local_exit() as service:
        await ask(service, opening(port, b"a"))
        reply = await call(service, opening(port + 1, b"a"))

    assert Reason.BAD_CALL == reply.reason


async def test_a_token_that_was_never_opened_is_unknown() -> None:
    async with local_exit() as service:
        assert Reason.STREAM_UNKNOWN == (await call(service, StreamRequest(TOKEN))).reason


async def test_a_closed_stream_is_not_opened_again_by_a_late_open() -> None:
    """Otherwise a reordered packet would send somebody's request a second time."""
    async with server(shout) as port, local_exit() as service:
        await ask(service, opening(port, b"a"))
        assert StreamReply() == await ask(service, StreamRequest(TOKEN, CLOSE))
        assert StreamReply() == await ask(service, StreamRequest(TOKEN, CLOSE))

        assert Reason.STREAM_UNKNOWN == (await call(service, opening(port, b"a"))).reason
        assert 1 == service.statistics().opened


async def test_reordered_upstream_bytes_are_taken_in_order() -> None:
    async with server(shout) as port, local_exit() as service, trio.open_nursery() as nursery:
        await ask(service, opening(port, at_least=0))
        late = StreamRequest(TOKEN, upstream_offset=3, data=b"def", wait_ms=WAIT_MS)
        nursery.start_soon(ask, service, late)
        await trio.testing.wait_all_tasks_blocked()
        await ask(service, StreamRequest(TOKEN, data=b"abc", wait_ms=WAIT_MS))

        reply = await ask(service, StreamRequest(TOKEN, at_least=6, at_most=6, wait_ms=WAIT_MS))

    assert StreamReply(6, 0, b"ABCDEF") == reply


async def test_a_gap_is_answered_with_where_to_continue() -> None:
    async with server(shout) as port, local_exit() as service:
        await ask(service, opening(port, b"abc", at_least=3))
        reply = await ask(service, StreamRequest(TOKEN, upstream_offset=10, data=b"xyz"))

    assert 3 == reply.upstream_received


async def test_two_ends_that_wait_for_a_gap_do_not_wake_each_other_for_ever() -> None:
    async with server(shout) as port, local_exit() as service, trio.open_nursery() as nursery:
        await ask(service, opening(port, at_least=0))
        for _ in range(2):
            nursery.start_soon(
                ask, service, StreamRequest(TOKEN, END, upstream_offset=3, data=b"d", wait_ms=WAIT_MS)
            )
        await trio.testing.wait_all_tasks_blocked()
        await ask(service, StreamRequest(TOKEN, data=b"abc", wait_ms=WAIT_MS))
        reply = await ask(service, StreamRequest(TOKEN, at_least=5, at_most=5, wait_ms=WAIT_MS))

    assert StreamReply(4, 0, b"ABCD", ReplyFlags.END) == reply


async def test_bytes_after_the_end_are_refused() -> None:
    async with server(shout) as port, local_exit() as service:
        await ask(service, opening(port, at_least=0))
        await ask(service, StreamRequest(TOKEN, END, data=b"abc", wait_ms=WAIT_MS))
        more = await call(service, StreamRequest(TOKEN, upstream_offset=3, data=b"d"))
        shorter = await call(service, StreamRequest(TOKEN, END, data=b"ab"))

    assert [Reason.BAD_CALL] * 2 == [more.reason, shorter.reason]


async def test_bytes_acknowledged_before_they_came_are_refused() -> None:
    async with server(shout) as port, local_exit() as service:
        await ask(service, opening(port, at_least=0))
        reply = await call(service, StreamRequest(TOKEN, acknowledged=1, read_at=1))

    assert Reason.BAD_CALL == reply.reason


async def test_unacknowledged_bytes_are_given_again_and_forgotten_ones_are_a_reset() -> None:
    async with server(shout) as port, local_exit() as service:
        await ask(service, opening(port, b"abcdef", at_least=6))
        again = StreamRequest(TOKEN, read_at=2, at_least=4, at_most=4, wait_ms=WAIT_MS)
        assert b"CDEF" == (await ask(service, again)).data
        assert b"CDEF" == (await ask(service, again)).data
        await ask(service, StreamRequest(TOKEN, read_at=4, acknowledged=4))

        assert StreamReply(6, 2, b"", ReplyFlags.RESET) == await ask(service, again)
        assert b"EF" == (await ask(service, StreamRequest(TOKEN, read_at=4, at_most=9))).data


async def test_a_poll_that_becomes_the_head_is_answered_with_what_is_there() -> None:
    async with server(shout) as port, local_exit() as service, trio.open_nursery() as nursery:
        await ask(service, opening(port, b"abcdef", at_least=6))
        answers = []

        async def behind() -> None:
            request = StreamRequest(TOKEN, read_at=4, at_least=100, at_most=100, wait_ms=WAIT_MS)
            answers.append(await ask(service, request))

        nursery.start_soon(behind)
        await trio.testing.wait_all_tasks_blocked()
        assert [] == answers
        await ask(service, StreamRequest(TOKEN, read_at=4, acknowledged=4))
        await trio.testing.wait_all_tasks_blocked()
        # Not only when its wait is over.
        assert [StreamReply(6, 4, b"EF")] == answers


async def test_the_end_of_each_direction_is_carried_to_the_other_side() -> None:
    received = []

    async def collect(stream: trio.SocketStream) -> None:
        received.extend([chunk async for chunk in stream])
        await stream.send_all(b"thanks")

    async with server(collect) as port, local_exit() as service:
        await ask(service, opening(port, at_least=0))
        request = StreamRequest(TOKEN, END, data=b"all", at_least=7, at_most=9, wait_ms=WAIT_MS)
        reply = await ask(service, request)
        beyond = await ask(service, StreamRequest(TOKEN, read_at=50, at_least=1, at_most=9, wait_ms=WAIT_MS))

    assert b"all" == b"".join(received)
    assert StreamReply(3, 0, b"thanks", ReplyFlags.END) == reply
    assert StreamReply(3, 6, b"", ReplyFlags.END) == beyond


async def test_bytes_before_a_reset_are_still_delivered() -> None:
    async def break_off(stream: trio.SocketStream) -> None:
        await stream.send_all(b"half a")
        await stream.receive_some(1)
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    async with server(break_off) as port, local_exit() as service:
        first = await ask(service, opening(port, at_least=6))
        await ask(service, StreamRequest(TOKEN, data=b"x", wait_ms=WAIT_MS))
        reply = await ask(service, StreamRequest(TOKEN, at_least=7, at_most=9, wait_ms=WAIT_MS))
        last = await ask(service, StreamRequest(TOKEN, read_at=6, at_least=1, at_most=9, wait_ms=WAIT_MS))

    assert b"half a" == first.data
    assert StreamReply(1, 0, b"half a", ReplyFlags.RESET) == reply
    assert StreamReply(1, 6, b"", ReplyFlags.RESET) == last


async def test_a_closed_stream_still_writes_what_it_has_taken() -> None:
    received = bytearray()
    done = trio.Event()

    async def collect(stream: trio.SocketStream) -> None:
        async for chunk in stream:
            received.extend(chunk)
        done.set()

    async with server(collect) as port, local_exit() as service:
        await ask(service, opening(port, at_least=0))
        await ask(service, StreamRequest(TOKEN, data=b"x" * 500_000, wait_ms=WAIT_MS))
        await ask(service, StreamRequest(TOKEN, CLOSE))
        await done.wait()

    assert 500_000 == len(received)


async def test_a_refused_connection_is_refused_alike_each_time() -> None:
    dialled = []

    async def refuse(address: IPAddress, port: int) -> trio.SocketStream:
        dialled.append((address, port))
        raise ConnectionRefusedError

    async with local_exit(connect=refuse) as service:
        reasons = {(await call(service, opening(443))).reason for _ in range(3)}

    assert {Reason.CONNECTION_REFUSED} == reasons
    assert [(ip_address("127.0.0.1"), 443)] == dialled


async def test_a_slow_caller_slows_the_server_and_loses_nothing() -> None:
    sent = 0

    async def pour(stream: trio.SocketStream) -> None:
        nonlocal sent
        while sent < 20_000_000:
            await stream.send_all(bytes(10_000))
            sent += 10_000

    limits = StreamLimits(downstream=100_000)
    async with server(pour) as port, local_exit(stream_limits=limits) as service:
        await ask(service, opening(port))
        await trio.testing.wait_all_tasks_blocked(0.05)

        assert 100_000 == service.statistics().held
        stopped_at = sent
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert stopped_at == sent < 20_000_000


async def test_streams_that_hoard_leave_the_others_their_floor() -> None:
    async def pour(stream: trio.SocketStream) -> None:
        await stream.send_all(bytes(3_000_000))

    limits = StreamLimits(streams=10, floor=1000, waiting_floor=0, total=220_000)
    async with server(pour) as port, local_exit(stream_limits=limits) as service:
        await ask(service, opening(port, token=b"a" * 16))
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert 101_000 == service.statistics().held

        reply = await ask(service, opening(port, token=b"b" * 16, at_least=1000))
        assert bytes(1000) == reply.data


async def test_the_number_of_streams_is_bounded_in_all_and_for_each_link() -> None:
    limits = StreamLimits(streams=3, streams_per_link=2)
    async with server(shout) as port, local_exit(stream_limits=limits) as service:
        callers = (1, 1, 1, 2, 2)
        reasons = [
            (await call(service, opening(port, b"x", token=bytes([n]) * 16), caller=caller)).reason
            for n, caller in enumerate(callers)
        ]

        assert [Reason.NONE, Reason.NONE, Reason.STREAM_LIMIT, Reason.NONE, Reason.STREAM_LIMIT] == reasons


async def test_closing_the_service_closes_every_connection() -> None:
    ended = trio.Event()

    async def until_closed(stream: trio.SocketStream) -> None:
        await shout(stream)
        ended.set()

    async with server(until_closed) as port:
        async with local_exit() as service:
            await ask(service, opening(port, b"x"))
        await ended.wait()

    assert (0, 0, 0) == (service.statistics().open, service.statistics().running, service.statistics().held)


class Pair:
    """Connects to the other end of a socket pair, since an autojump clock doesn't wait for TCP."""

    def __init__(self) -> None:
        ours, theirs = trio.socket.socketpair()
        self.server = trio.SocketStream(theirs)
        self._exit = trio.SocketStream(ours)

    async def connect(self, address: IPAddress, port: int) -> trio.SocketStream:
        return self._exit


def test_a_stream_without_calls_is_forgotten_after_a_minute() -> None:
    async def main() -> None:
        pair = Pair()
        async with local_exit(connect=pair.connect) as service:
            await ask(service, opening(443, at_least=0))
            await trio.sleep(59)
            await ask(service, StreamRequest(TOKEN))
            await trio.sleep(59)
            assert 1 == service.statistics().open
            await trio.sleep(2)

            assert 0 == service.statistics().open
            assert Reason.STREAM_UNKNOWN == (await call(service, opening(443))).reason
            assert b"" == await pair.server.receive_some()
            await pair.server.aclose()

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def test_a_server_that_hangs_is_an_empty_answer_after_the_wait_and_never_after_20_s() -> None:
    async def main() -> None:
        pair = Pair()
        async with local_exit(connect=pair.connect) as service:
            await ask(service, opening(443, at_least=0))
            waits = []
            for wait_ms in (3_000, 600_000):
                began = trio.current_time()
                reply = await ask(service, StreamRequest(TOKEN, at_least=1, at_most=9, wait_ms=wait_ms))
                assert StreamReply() == reply
                waits.append(trio.current_time() - began)
            assert [3.0, 20.0] == pytest.approx(waits)
        await pair.server.aclose()

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
