"""Bodies that never end keep nobody out, and hold no more than all of them may."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from onionpath.ohttp.arrivals import Arrivals, CrowdedError
from onionpath.ohttp.asgi import BodyTooLongError, DisconnectedError, Receive

FOREVER_S = 3_600.0


def arriving(*parts: bytes, ends: bool = True) -> Receive:
    """A body in parts; one that doesn't end is waited for."""
    events = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    if ends and events:
        events[-1]["more_body"] = False

    async def receive() -> Any:
        if not events:
            await anyio.sleep_forever()
        return events.pop(0)

    return receive


async def test_a_body_is_read_whole_and_held_no_longer() -> None:
    arrivals = Arrivals(most_bytes=10)

    body = await arrivals.read(arriving(b"one", b"two"), max_bytes=6, timeout_s=FOREVER_S)

    assert (b"onetwo", 0) == (body, arrivals.held_bytes)


async def test_the_largest_of_bodies_that_never_end_is_given_up() -> None:
    arrivals = Arrivals(most_bytes=10)
    ends: dict[str, str] = {}

    async def read(name: str, *parts: bytes, ends_: bool = False) -> None:
        try:
            await arrivals.read(arriving(*parts, ends=ends_), max_bytes=100, timeout_s=FOREVER_S)
            ends[name] = "read"
        except CrowdedError:
            ends[name] = "given up"

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read, "small", b"123")
        tasks.start_soon(read, "large", b"123456")
        await anyio.wait_all_tasks_blocked()
        await read("honest", b"1234", ends_=True)
        await anyio.wait_all_tasks_blocked()

        assert {"honest": "read", "large": "given up"} == ends
        assert 3 == arrivals.held_bytes
        tasks.cancel_scope.cancel()
    assert 0 == arrivals.held_bytes


async def test_a_body_larger_than_all_may_be_is_given_up_itself() -> None:
    arrivals = Arrivals(most_bytes=10)

    with pytest.raises(CrowdedError):
        await arrivals.read(arriving(b"x" * 11, b"y"), max_bytes=100, timeout_s=FOREVER_S)

    assert 0 == arrivals.held_bytes


async def test_too_long_a_body_is_told_from_one_that_is_late_or_broken_off() -> None:
    arrivals = Arrivals(most_bytes=100)

    async def gone() -> Any:
        return {"type": "http.disconnect"}

    with pytest.raises(BodyTooLongError):
        await arrivals.read(arriving(b"x" * 11), max_bytes=10, timeout_s=FOREVER_S)
    with pytest.raises(TimeoutError):
        await arrivals.read(arriving(b"x", ends=False), max_bytes=10, timeout_s=0.0)
    with pytest.raises(DisconnectedError):
        await arrivals.read(gone, max_bytes=10, timeout_s=FOREVER_S)

    assert 0 == arrivals.held_bytes
