"""The client, on asyncio and on trio, in a real network that runs in a thread of its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from onionpath.client.client import Client
from onionpath.client.status import State
from onionpath.directory.address import Address
from onionpath.directory.trust import Authority, TrustRoot
from onionpath.errors import (
    DeadlineError,
    RefusedError,
    SignatureThresholdError,
    StaleDirectoryError,
    UnreachableError,
    UsageError,
)
from onionpath.injected import UnixTime
from onionpath.service.calls import ServiceId
from tests.client.worlds import World
from tests.directory.networks import identity


def unreachable_root(world: World, port: int) -> TrustRoot:
    """The same network, with its authority at a port where nobody listens."""
    (signer,) = world.root.authorities
    moved = Authority(signer.identity, Address("127.0.0.1", port), signer.link_key_hash)
    return TrustRoot(world.root.network_id, "test", (moved,), 1, world.root.parameters)


def snapshot_in(state: Path) -> Path:
    """The one snapshot of a directory in a state folder."""
    (file,) = state.glob("*/directory")
    return file


async def test_a_call_comes_back_and_the_status_says_so(world: World) -> None:
    async with Client(world.root) as client:
        assert State.WAITING is client.status().state
        answer = await client.call(ServiceId.ECHO, b"hello")

        assert b"hello" == answer.body
        assert (State.READY, 4) == (client.status().state, client.status().relays)
    assert State.CLOSED is client.status().state


async def test_a_stream_carries_bytes_to_a_server_and_back(world: World) -> None:
    async with Client(world.root) as client:
        stream = await client.open_stream("127.0.0.1", world.shout_port)
        await stream.send(b"hello")
        assert b"HELLO" == await stream.receive()
        assert 1 == client.status().streams
        await stream.aclose()


async def test_a_client_that_was_not_entered_refuses_every_use(world: World) -> None:
    client = Client(world.root)
    for use in (client.call(ServiceId.ECHO, b""), client.open_stream("127.0.0.1", 1)):
        with pytest.raises(UsageError, match="async with"):
            await use
    await client.aclose()


async def test_a_client_is_entered_once(world: World) -> None:
    client = Client(world.root)
    async with client:
        with pytest.raises(UsageError, match="once"):
            await client.__aenter__()
    with pytest.raises(UsageError, match="once"):
        await client.__aenter__()
    with pytest.raises(UsageError, match="async with"):
        await client.call(ServiceId.ECHO, b"")


async def test_closing_is_legal_from_any_task_and_more_than_once(world: World) -> None:
    async with Client(world.root) as client, anyio.create_task_group() as group:
        stream = await client.open_stream("127.0.0.1", world.shout_port)
        group.start_soon(client.aclose)
        with pytest.raises((anyio.ClosedResourceError, anyio.BrokenResourceError)), anyio.fail_after(5):
            await stream.receive()
        await client.aclose()

        with pytest.raises(UsageError):
            await client.call(ServiceId.ECHO, b"")


async def test_the_programs_own_exception_comes_out_as_it_is(world: World) -> None:
    """An ExceptionGroup around it would break every ``except`` of a program that embeds the client."""
    with pytest.raises(ZeroDivisionError):
        async with Client(world.root):
            raise ZeroDivisionError


async def test_an_error_on_entering_comes_out_as_it_is(world: World, closed_port: int) -> None:
    with pytest.raises(UnreachableError):
        async with Client(unreachable_root(world, closed_port)):
            raise AssertionError("entered")


async def test_a_cancelled_call_leaves_nothing_behind(world: World) -> None:
    async with Client(world.root) as client:
        await client.call(ServiceId.ECHO, b"connects")
        with anyio.move_on_after(0.0005):
            while True:
                await client.call(ServiceId.ECHO, b"x")
        connections = client._network.connections if client._running else None
        assert connections is not None
        with anyio.fail_after(1):
            while connections.in_flight:
                await anyio.lowlevel.checkpoint()
        assert b"still works" == (await client.call(ServiceId.ECHO, b"still works")).body


async def test_cancelling_around_the_client_closes_it(world: World) -> None:
    with anyio.move_on_after(0.3) as scope:
        async with Client(world.root) as client:
            stream = await client.open_stream("127.0.0.1", world.shout_port)
            await stream.receive()
    assert scope.cancelled_caught
    assert State.CLOSED is client.status().state


async def test_many_calls_at_once_share_connections(world: World) -> None:
    bodies = []

    async def ask(client: Client, number: int) -> None:
        bodies.append((await client.call(ServiceId.ECHO, bytes([number]))).body)

    async with Client(world.root) as client:
        with anyio.fail_after(20):
            async with anyio.create_task_group() as group:
                for number in range(20):
                    group.start_soon(ask, client, number)

    assert {bytes([number]) for number in range(20)} == set(bodies)


async def test_a_refusal_names_its_reason(world: World, closed_port: int) -> None:
    async with Client(world.root) as client:
        with pytest.raises(RefusedError) as caught:
            await client.open_stream("127.0.0.1", closed_port)
    assert ("connection_refused", 2) == (caught.value.reason, caught.value.hop)


async def test_a_body_that_fits_no_packet_is_the_callers_mistake(world: World) -> None:
    async with Client(world.root) as client:
        with pytest.raises(UsageError, match="at most"):
            await client.call(ServiceId.ECHO, bytes(200_000))


async def test_statuses_follow_the_client_to_its_end(world: World) -> None:
    seen = []

    async def follow(client: Client) -> None:
        async for status in client.statuses():
            seen.append(status.state)

    async with anyio.create_task_group() as group:
        async with Client(world.root) as client:
            group.start_soon(follow, client)
            await client.call(ServiceId.ECHO, b"x")
            await anyio.lowlevel.checkpoint()
    assert State.CLOSED is seen[-1]
    assert State.READY in seen or State.WAITING in seen


# The directory.


async def test_the_directory_is_kept_and_used_without_any_authority(
    world: World, tmp_path: Path, closed_port: int
) -> None:
    async with Client(world.root, state=tmp_path):
        pass
    file = snapshot_in(tmp_path)

    async with Client(unreachable_root(world, closed_port), state=tmp_path) as client:
        assert b"x" == (await client.call(ServiceId.ECHO, b"x")).body
    assert 0o700 == file.parent.stat().st_mode & 0o777


@pytest.mark.parametrize("damage", [lambda data: b"", lambda data: data[:300], lambda data: b"x" + data])
async def test_a_damaged_snapshot_is_ignored(
    world: World, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    async with Client(world.root, state=tmp_path):
        pass
    file = snapshot_in(tmp_path)
    file.write_bytes(damage(file.read_bytes()))

    async with Client(world.root, state=tmp_path) as client:
        assert b"x" == (await client.call(ServiceId.ECHO, b"x")).body


async def test_a_document_that_a_stranger_signed_is_refused(world: World) -> None:
    (signer,) = world.root.authorities
    stranger = Authority(identity("stranger").public, signer.address, signer.link_key_hash)
    root = TrustRoot(world.root.network_id, "test", (stranger,), 1, world.root.parameters)
    with pytest.raises(SignatureThresholdError):
        async with Client(root):
            raise AssertionError("entered")


@pytest.mark.parametrize("hours", [-2, 5])
async def test_a_clock_that_is_hours_off_is_named_as_the_likely_cause(world: World, hours: int) -> None:
    client = Client(world.root)
    client._clock = client._network.keeper._clock = lambda: UnixTime(time.time() + 3600 * hours)
    with pytest.raises(StaleDirectoryError, match="clock"):
        async with client:
            raise AssertionError("entered")


async def test_a_disk_that_cannot_be_written_does_not_end_a_running_client(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("onionpath.client.directory_schedule.RETRY_S", 0.01)
    monkeypatch.setattr("onionpath.client.directory_schedule.JITTER_S", 0.0)
    async with Client(world.root, state=tmp_path) as client:
        assert client._running is not None
        client._running.background.cancel()
        file = snapshot_in(tmp_path)
        keeper = client._network.keeper

        tried = 0

        async def fetch(connections: object) -> None:
            nonlocal tried
            tried += 1
            raise UsageError(f"cannot write {file}: no space left")

        monkeypatch.setattr(keeper, "fetch", fetch)
        monkeypatch.setattr(type(keeper.directory), "is_fresh", lambda self, now: False)
        monkeypatch.setattr(keeper, "_clock", lambda: UnixTime(keeper.directory.document.fresh_until + 1))
        assert client._network.connections is not None
        with anyio.move_on_after(0.1) as scope:
            await keeper.refresh_forever(client._network.connections, [])
        assert scope.cancelled_caught
        assert tried


async def test_a_deadline_that_is_too_short_is_a_deadline_error(world: World) -> None:
    async with Client(world.root) as client:
        with pytest.raises(DeadlineError):
            await client.open_stream("127.0.0.1", world.shout_port, deadline_s=0.00001)
        assert b"x" == (await client.call(ServiceId.ECHO, b"x")).body


def test_a_client_is_made_outside_of_any_loop_and_used_in_another(world: World) -> None:
    client = Client(world.root)

    async def use() -> bytes:
        async with client:
            return (await client.call(ServiceId.ECHO, b"x")).body

    assert b"x" == asyncio.run(use())
