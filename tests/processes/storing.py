"""A program that stores as fast as it can in the folder that it is given, and prints each hash once it is acknowledged.

    python -m tests.processes.storing FOLDER SEED COUNT CALLERS

With several callers at a time commits hold many messages. It ends after COUNT messages, or never if that is 0.
"""

from __future__ import annotations

import os
import sys
from itertools import count
from pathlib import Path

import trio

from onionpath.swarm.operations import Stored
from relay.store.disk import open_store
from tests.store.accounts import NOW_MS, account_named, message_of, put


def data_of(seed: str, number: int) -> bytes:
    """What message ``number`` of a run says."""
    return f"{seed} {number} ".encode() * 40


async def store_on(folder: Path, seed: str, most: int, callers: int) -> None:
    numbers = iter(range(most)) if most else count()

    async def store_some() -> None:
        for number in numbers:
            message = message_of(data_of(seed, number), account=account_named(f"{number % 20}"))
            (result,) = await store.apply([put(message, NOW_MS + number)], now_ms=NOW_MS)
            if isinstance(result, Stored):
                # One system call for each: what the reader has, was acknowledged before the kill.
                os.write(1, f"{message.hash}\n".encode())

    async with open_store(folder) as store, trio.open_nursery() as nursery:
        for _ in range(callers):
            nursery.start_soon(store_some)


if __name__ == "__main__":
    trio.run(store_on, Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
