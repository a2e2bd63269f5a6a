"""A stream over calls that get lost, doubled and reordered, against the relay's own exit."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from random import Random

import anyio
import pytest
import trio
import trio.testing

from onionpath.client.path_pool import PathPool
from onionpath.client.ready_path import Need, ReadyPath
from onionpath.client.stream import OnionStream
from onionpath.errors import DeadlineError, Edge, MalformedError, RefusedError, StreamError, UnreachableError
from onionpath.onion.geometry import Geometry
from onionpath.onion.packets import Answer, OnionCall, ReplyHead
from onionpath.onion.statuses import Reason, ReplyStatus
from onionpath.service.calls import Call, Reply, ServiceId
from onionpath.service.stream import RequestFlags, StreamReply, StreamRequest
from onionpath.service.stream_client import MAX_CONTINUATIONS
from relay.exit.streams import StreamService
from tests.directory.networks import NOW, descriptor, network
from tests.exit.servers import local_exit, server

GEOMETRY = Geometry()
EIGHT = network([descriptor(name) for name in range(8)]).directory()
Handler = Callable[[trio.SocketStream], Awaitable[None]]


@pytest.fixture
def anyio_backend() -> str:
    """The exit that answers here runs on trio alone; test_client.py has both loops."""
    return "trio"


class StraightCarrier:
    """Takes each call straight to an exit's service; loses, doubles and delays as it is told."""

    def __init__(
        self, service: StreamService | EmptyAnswers, *, choice: Random | None = None, lose: float = 0.0
    ) -> None:
        self.service = service
        self.choice = choice or Random(1)
        self.lose = lose
        self.paths = PathPool(Random(1))
        self.requests: list[StreamRequest] = []
        self.retired: list[tuple[ReadyPath, Edge | None]] = []
        self.fail_next: list[Exception] = []
        self.change: Callable[[StreamReply], StreamReply] = lambda reply: reply

    async def path_to_exit(self) -> ReadyPath:
        return self.paths.ready(EIGHT, Need(ServiceId.STREAM), "one", now=NOW)

    def is_current(self, ready: ReadyPath) -> bool:
        return True

    def retire(self, ready: ReadyPath, edge: Edge | None) -> None:
        self.retired.append((ready, edge))
        self.paths.retire(ready)

    async def exchange(self, ready: ReadyPath, call: OnionCall, *, timeout_s: float) -> Answer:
        self.requests.append(StreamRequest.decode(call.body))
        if self.fail_next:
            raise self.fail_next.pop(0)
        capacity = GEOMETRY.reply_capacity(call.reply_class, GEOMETRY.last_depth)
        asked = Call(call.service, call.body, call.idempotency_key, capacity, 1, NOW)
        for _ in range(self.choice.choice([0, 0, 0, 5])):
            await trio.lowlevel.checkpoint()
        luck = self.choice.random()
        if luck < self.lose:
            raise DeadlineError("lost on its way there")
        if luck < 2 * self.lose:
            await self.service.answer(asked)  # a copy arrives first
        reply = await self.service.answer(asked)
        if luck > 1 - self.lose:
            raise DeadlineError("lost on its way back")
        body = reply.body
        if reply.status is ReplyStatus.ANSWERED:
            body = self.change(StreamReply.decode(body)).encode()
        return Answer(2, ReplyHead(reply.status, reply.reason), body, (0, 0, 0))


@asynccontextmanager
async def opened(
    handler: Handler, *, seed: int = 1, lose: float = 0.0
) -> AsyncIterator[tuple[OnionStream, StraightCarrier]]:
    """A stream to a server that does this, with its calls under way."""
    async with server(handler) as port, local_exit() as service:
        carrier = StraightCarrier(service, choice=Random(seed))
        stream = new_stream(carrier, port)
        await stream.open()
        carrier.lose = lose
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream.run)
            with trio.fail_after(20):
                yield stream, carrier
            await stream.aclose()


def new_stream(carrier: StraightCarrier, port: int) -> OnionStream:
    return OnionStream(carrier, token=os.urandom(16), host="127.0.0.1", port=port, geometry=GEOMETRY)


async def shout(stream: trio.SocketStream) -> None:
    async for chunk in stream:
        await stream.send_all(chunk.upper())


async def read_all(stream: OnionStream) -> bytes:
    received = bytearray()
    try:
        while True:
            received += await stream.receive()
    except anyio.EndOfStream:
        return bytes(received)


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_bytes_arrive_once_and_in_order_both_ways_whatever_happens_to_the_calls(seed: int) -> None:
    choice = Random(seed)
    up, down = choice.randbytes(700_000), choice.randbytes(900_000)
    arrived = hashlib.sha256()

    async def exchange(stream: trio.SocketStream) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream.send_all, down)
            async for chunk in stream:
                arrived.update(chunk)

    async with opened(exchange, seed=seed, lose=0.03) as (stream, _), trio.open_nursery() as nursery:

        async def send() -> None:
            await stream.send(up)
            await stream.send_eof()

        nursery.start_soon(send)
        received = await read_all(stream)

    assert hashlib.sha256(down).digest() == hashlib.sha256(received).digest()
    assert hashlib.sha256(up).digest() == arrived.digest()


async def test_a_server_may_speak_first() -> None:
    async def greet(stream: trio.SocketStream) -> None:
        await stream.send_all(b"220 hello")
        await stream.receive_some()

    async with opened(greet) as (stream, _):
        # Nothing was sent, and the stream's own task has not begun when this one waits.
        assert b"220 hello" == await stream.receive()


async def test_the_end_of_each_direction_reaches_the_other_side() -> None:
    heard = bytearray()

    async def collect(stream: trio.SocketStream) -> None:
        async for chunk in stream:
            heard.extend(chunk)
        await stream.send_all(b"thanks")

    async with opened(collect) as (stream, _):
        await stream.send(b"all of it")
        await stream.send_eof()

        assert b"thanks" == await read_all(stream)
        assert b"all of it" == bytes(heard)
        with pytest.raises(anyio.ClosedResourceError):
            await stream.send(b"more")


async def test_what_was_sent_before_the_end_arrives_although_the_stream_is_closed_at_once() -> None:
    """As behind a socket; a proxy closes as soon as both sides have ended."""
    heard, has_ended = bytearray(), trio.Event()

    async def collect(stream: trio.SocketStream) -> None:
        async for chunk in stream:
            heard.extend(chunk)
        has_ended.set()

    async with opened(collect) as (stream, _):
        await stream.send(bytes(500_000))
        await stream.send_eof()
        await stream.aclose()
        with trio.fail_after(10):
            await has_ended.wait()

    assert bytes(500_000) == heard


async def test_a_connection_that_breaks_is_an_error_with_its_reason_and_no_end() -> None:
    async def break_off(stream: trio.SocketStream) -> None:
        await stream.receive_some(1)
        stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    async with opened(break_off) as (stream, _):
        await stream.send(b"x")
        with pytest.raises(anyio.BrokenResourceError) as caught:
            await read_all(stream)

        assert isinstance(caught.value.__cause__, StreamError)
        assert "reset" == caught.value.__cause__.reason
        with pytest.raises(anyio.BrokenResourceError):
            await stream.send(b"y")


@pytest.mark.parametrize("reason", [Reason.PORT_REFUSED, Reason.CONNECTION_REFUSED])
async def test_a_refusal_says_who_refused_and_why(reason: Reason, closed_port: int) -> None:
    async with local_exit() as service:
        stream = new_stream(StraightCarrier(service), closed_port)
        if reason is Reason.PORT_REFUSED:
            service._dialer._policy = service._dialer._policy.parse([])
        with pytest.raises(RefusedError, match=r"hop 3.*port") as caught:
            await stream.open()

    assert (reason.name.lower(), 2) == (caught.value.reason, caught.value.hop)


async def test_a_stream_survives_the_death_of_three_paths_and_no_more() -> None:
    """Whoever kills paths in order to be chosen himself gets so many draws."""
    async with opened(shout) as (stream, carrier):
        for broken in range(1, MAX_CONTINUATIONS + 1):
            carrier.fail_next = [UnreachableError("the path broke", edge=Edge(0, 1))]
            await stream.send(b"x")
            assert b"X" == await stream.receive()
            assert broken == stream.continuations
        assert MAX_CONTINUATIONS == len({id(ready) for ready, _ in carrier.retired})
        assert {Edge(0, 1)} == {edge for _, edge in carrier.retired}

        carrier.fail_next = [UnreachableError("the path broke", edge=Edge(0, 1))]
        await stream.send(b"x")
        with pytest.raises(anyio.BrokenResourceError) as caught:
            await read_all(stream)

    assert isinstance(caught.value.__cause__, StreamError)
    assert "paths_broken" == caught.value.__cause__.reason


@pytest.mark.parametrize(
    "change",
    [
        lambda reply: replace(reply, data=b"x" * 20_000) if reply.data else reply,
        lambda reply: replace(reply, downstream_offset=reply.downstream_offset + 1) if reply.data else reply,
        lambda reply: replace(reply, upstream_received=reply.upstream_received + 1000),
    ],
    ids=["too many", "elsewhere", "never sent"],
)
async def test_an_exit_that_sends_what_was_not_asked_for_is_caught(
    change: Callable[[StreamReply], StreamReply],
) -> None:
    async with opened(shout) as (stream, carrier):
        carrier.change = change
        await stream.send(b"hello")
        with pytest.raises(anyio.BrokenResourceError) as caught:
            await read_all(stream)

    assert isinstance(caught.value.__cause__, MalformedError)


async def test_a_closed_stream_says_goodbye_and_gives_nothing_more() -> None:
    async with opened(shout) as (stream, carrier):
        await stream.send(b"x")
        assert b"X" == await stream.receive()
        await stream.aclose()
        await stream.aclose()
        await stream.say_goodbye()

        assert RequestFlags.CLOSE == carrier.requests[-1].flags
        assert 0 == carrier.service.statistics().open
        for use in (stream.receive(), stream.send(b"x")):
            with pytest.raises(anyio.ClosedResourceError):
                await use


async def test_an_idle_stream_keeps_one_small_poll_under_way() -> None:
    async with opened(shout) as (_, carrier):
        await trio.testing.wait_all_tasks_blocked(0.01)
        polls = [request for request in carrier.requests if request.at_least]

    assert 1 == len(polls)
    assert polls[0].at_most <= 8_032


class EmptyAnswers:
    """An exit that answers every call at once, takes nothing and gives nothing."""

    async def answer(self, call: Call) -> Reply:
        read_at = StreamRequest.decode(call.body).read_at
        return Reply(StreamReply(downstream_offset=read_at).encode())


def test_an_exit_that_answers_at_once_with_nothing_is_asked_some_forty_times_a_minute() -> None:
    """Without pauses its client would send as fast as it can, over relays that it shares with others."""

    async def main() -> int:
        carrier = StraightCarrier(EmptyAnswers())
        stream = new_stream(carrier, 443)
        await stream.open()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream.run)
            await stream.send(b"hello")
            await trio.sleep(60)
            await stream.aclose()
        return len(carrier.requests)

    asked = trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    assert 20 < asked < 60
