"""The client's work cancelled at every wait, on both event loops: nothing stays under way, here or at the relays."""

from __future__ import annotations

import gc
from collections.abc import Callable
from itertools import count
from pathlib import Path

import anyio
import pytest

from onionpath.client.client import Client
from onionpath.client.stream import OnionStream
from onionpath.errors import OnionPathError
from onionpath.service.calls import ServiceId
from tests.cancellation.stepping import Stepped, cancelled_at_each_step
from tests.client.conftest import world  # noqa: F401  # a fixture: the network in a thread of its own
from tests.client.worlds import World


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def until(condition: Callable[[], object]) -> None:
    """Wait, in real time, for what other threads and real sockets bring about."""
    with anyio.fail_after(10):
        while not condition():  # noqa: ASYNC110  # there is nothing to wait on in another thread
            await anyio.sleep(0.01)


def links_of_clients(world: World) -> int:  # noqa: F811
    nodes = [world.network.authority, *world.network.relays]
    return sum(link.is_client for node in nodes for link in node.switch._links)


def streams_at_exits(world: World) -> int:  # noqa: F811
    return sum(relay.exit.statistics().running for relay in world.network.relays if relay.exit is not None)


def in_flight(client: Client) -> int:
    assert client._running is not None
    return client._network.connections.in_flight


async def test_a_call_leaves_nothing_under_way(world: World) -> None:  # noqa: F811
    async with Client(world.root) as client:

        async def call() -> None:
            await client.call(ServiceId.ECHO, b"hello")

        async def then() -> None:
            await until(lambda: 0 == in_flight(client))
            # What was cancelled in the middle must not have spoilt the connection for those that come after it.
            assert b"after" == (await client.call(ServiceId.ECHO, b"after", isolation="after")).body

        assert 1 <= await cancelled_at_each_step(call, then=then)


async def test_a_call_that_makes_the_connection_leaves_nothing_open(world: World) -> None:  # noqa: F811
    async with Client(world.root) as client:
        assert client._running is not None
        connections = client._network.connections

        async def then() -> None:
            # Whoever closes a connection while a packet is being written to it makes the client blame its guard.
            await until(lambda: 0 == in_flight(client))
            with anyio.fail_after(10):
                # A connection may just have been made when its call was cancelled; then it is there for the next one.
                while links_of_clients(world):
                    for endpoint in list(connections._open):
                        await connections._open.pop(endpoint).aclose()
                    await anyio.sleep(0.01)

        await then()
        cancelled = 0
        # The connection is made in another task, so that the moments of this one's cancellation are times.
        for number in range(20):
            with anyio.move_on_after(number / 4_000) as scope:
                await client.call(ServiceId.ECHO, b"hello")
            cancelled += scope.cancelled_caught
            await then()
        assert 5 < cancelled
    gc.collect()


async def test_a_stream_whose_opening_was_cancelled_is_forgotten_by_its_exit(world: World) -> None:  # noqa: F811
    """Otherwise each cancelled opening holds a connection at the exit for a minute."""
    before = streams_at_exits(world)
    async with Client(world.root) as client:

        async def open_stream() -> None:
            stream = await client.open_stream("127.0.0.1", world.shout_port)
            await stream.aclose()

        async def then() -> None:
            await until(lambda: not client._network.streams and not in_flight(client))
            # The next takes the same way, so once it is open the exit has seen the one before.
            await (await client.open_stream("127.0.0.1", world.shout_port)).aclose()
            await until(lambda: not client._network.streams and streams_at_exits(world) <= before)

        assert 2 <= await cancelled_at_each_step(open_stream, then=then)


async def test_a_stream_whose_send_was_cancelled_is_closed(world: World) -> None:  # noqa: F811
    """Nobody can say how much of it was sent, so whatever came after it could be read as something else."""
    async with Client(world.root) as client:
        for step in range(1, 9):
            stream = await client.open_stream("127.0.0.1", world.shout_port)
            with anyio.CancelScope() as scope:
                sending = Stepped(stream.send(bytes(6_000_000)), at=step, act=scope.cancel)
                await sending
            assert sending.steps >= step
            with pytest.raises(anyio.ClosedResourceError):
                await stream.send(b"more")
            with pytest.raises(anyio.ClosedResourceError):
                await stream.receive()
        await until(lambda: not client._network.streams)


async def read_exactly(stream: OnionStream, size: int) -> bytes:
    received = b""
    while len(received) < size:
        received += await stream.receive()
    return received


async def test_a_cancelled_receive_loses_no_byte(world: World) -> None:  # noqa: F811
    async with Client(world.root) as client:
        stream = await client.open_stream("127.0.0.1", world.shout_port)
        expected, received = b"", b""
        for step in range(1, 12):
            data = b"%03d" % step * 1_000
            expected += data.upper()
            await stream.send(data)
            with anyio.CancelScope() as scope:
                while len(received) < len(expected):
                    receiving = Stepped(stream.receive(100), at=1 + step % 3, act=scope.cancel)
                    got = await receiving
                    assert isinstance(got, bytes)
                    received += got
            received += await read_exactly(stream, len(expected) - len(received))
            assert expected == received
        await stream.aclose()


KEPT = {"directory", "directory.lock", "guards", "guards.lock"}


def names_in(folder: Path) -> set[str]:
    return {file.name for file in folder.rglob("*") if file.is_file()}


async def test_a_client_that_is_cancelled_anywhere_leaves_no_connection_and_no_half_file(
    world: World,  # noqa: F811
    tmp_path: Path,
) -> None:
    numbers = count()

    async def live() -> None:
        async with Client(world.root, state=tmp_path / str(next(numbers))) as client:
            stream = await client.open_stream("127.0.0.1", world.shout_port)
            await stream.send(b"hello")
            await stream.receive()

    async def then() -> None:
        await until(lambda: not links_of_clients(world))
        assert KEPT >= names_in(tmp_path)

    steps = await cancelled_at_each_step(live, then=then)
    gc.collect()

    assert 8 < steps
    assert KEPT == names_in(tmp_path)


async def test_a_call_that_outlives_its_client_leaves_no_connection(world: World) -> None:  # noqa: F811
    """A connection may be in the making while the client is closed."""
    for step in range(1, 8):
        client, begun = Client(world.root), anyio.Event()
        failures: list[Exception] = []

        async def call(
            client: Client = client,
            begun: anyio.Event = begun,
            step: int = step,
            failures: list[Exception] = failures,
        ) -> None:
            try:
                await Stepped(client.call(ServiceId.ECHO, b"hello"), at=step, act=begun.set)
            except Exception as error:
                failures.append(error)
            begun.set()

        async with anyio.create_task_group() as group:
            await client.__aenter__()
            group.start_soon(call)
            await begun.wait()
            await client.__aexit__(None, None, None)
        assert all(isinstance(failure, OnionPathError) for failure in failures), failures
    await until(lambda: not links_of_clients(world))
    gc.collect()
