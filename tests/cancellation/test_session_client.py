"""A client of Session's format that is cancelled, at whatever step, leaves nothing behind."""

from __future__ import annotations

import gc
from itertools import count
from pathlib import Path

import pytest

from onionpath.client.client import Client
from onionpath.service.calls import ServiceId
from tests.cancellation.stepping import cancelled_at_each_step
from tests.client.conftest import anyio_backend  # noqa: F401  # each test here runs on both loops
from tests.client.session_nodes import session_world
from tests.client.test_session_client import until, until_closed


async def test_a_call_that_is_cancelled_anywhere_leaves_no_connection_busy(tmp_path: Path) -> None:
    async with session_world(tmp_path) as world, Client(world.list, format="session") as client:
        doors = client._network.doors  # type: ignore[union-attr]

        async def call() -> None:
            await client.call(ServiceId.STORAGE, b"{}", to=world.list[3])

        async def then() -> None:
            await until(lambda: not doors.in_flight)

        assert 1 <= await cancelled_at_each_step(call, then=then)
        assert 200 == (await client.call(ServiceId.STORAGE, b"{}", to=world.list[3])).status


@pytest.mark.slow
async def test_a_client_that_is_cancelled_anywhere_leaves_no_connection(tmp_path: Path) -> None:
    numbers = count()
    async with session_world(tmp_path) as world:

        async def live() -> None:
            state = tmp_path / f"state {next(numbers)}"
            async with Client(world.list, format="session", state=state) as client:
                await client.call(ServiceId.STORAGE, b"{}", to=world.list[3])

        steps = await cancelled_at_each_step(live, then=lambda: until_closed(world))
        gc.collect()
        assert 3 < steps
