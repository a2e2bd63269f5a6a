"""Asks the same thing many times, with so many under way, and notes how long each took."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

import anyio


async def ask_many(ask: Callable[[], Awaitable[Any]], count: int, in_flight: int) -> list[float]:
    """Seconds of each call, in the order in which they ended."""
    times: list[float] = []
    left = iter(range(count))

    async def ask_on() -> None:
        for _ in left:
            start = time.perf_counter()
            await ask()
            times.append(time.perf_counter() - start)

    async with anyio.create_task_group() as tasks:
        for _ in range(in_flight):
            tasks.start_soon(ask_on)
    return times
