"""What whoever stores sees of it that somebody else has ten thousand messages deleted.

The callers store one message after the other from before the deletion until its end, and only what was under way
between its first and its last moment is counted.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import apsw
import trio

from onionpath.swarm.operations import Delete, Deleted, Message, NotDone, Put, Version
from relay.store.disk import DiskStore, open_store
from simulations.bench.processes import own_cpu_ns
from simulations.bench.store_rows import NOW_MS, StoreRow, made_up_messages, store_row

CALLERS = 8
# More than are stored meanwhile, on the fastest disk.
MOST_STORED = 20_000
# Anybody's messages have three quarters of an account's room, its owner's all of it.
OWNERS_NAMESPACE = 2
FILL_STEP = 500
SETTLE_S = 0.2
LATER = Version(NOW_MS + 1)

_Times = list[tuple[float, float]]


async def beside_delete(folder: Path, data_size: int, deleted: int) -> StoreRow:
    """Measure our store."""
    times: _Times = []
    victims = made_up_messages(data_size, deleted, accounts=1, namespace=OWNERS_NAMESPACE)
    left = iter(made_up_messages(data_size, MOST_STORED))
    names = tuple(message.hash for message in victims)
    async with open_store(folder) as store:
        for start in range(0, deleted, FILL_STEP):
            some = victims[start : start + FILL_STEP]
            await store.apply([Put(message, Version(NOW_MS)) for message in some], now_ms=NOW_MS)
        async with trio.open_nursery() as nursery:
            has_ended = trio.Event()
            for _ in range(CALLERS):
                nursery.start_soon(_store_on, store, left, times, has_ended)
            await trio.sleep(SETTLE_S)
            cpu_ns, begin = own_cpu_ns(), time.perf_counter()
            (answer,) = await store.apply([Delete(victims[0].account, names, LATER)], now_ms=NOW_MS)
            assert isinstance(answer, Deleted), answer
            has_ended.set()
        return _row("ours, beside a delete", data_size, CALLERS, times, begin, cpu_ns)


async def _store_on(store: DiskStore, left: Iterator[Message], times: _Times, has_ended: trio.Event) -> None:
    for message in left:
        start = time.perf_counter()
        (result,) = await store.apply([Put(message, Version(NOW_MS))], now_ms=NOW_MS)
        assert not isinstance(result, NotDone), result
        times.append((start, time.perf_counter()))
        if has_ended.is_set():
            return


def bare_beside_delete(path: Path, data_size: int, deleted: int) -> StoreRow:
    """Measure bare SQLite: one transaction for all that is deleted."""
    times: _Times = []
    connection, has_ended = _connected(path), threading.Event()
    connection.execute("CREATE TABLE messages (name TEXT PRIMARY KEY, data BLOB)")
    victims = made_up_messages(data_size, deleted)
    with connection:
        connection.executemany(
            "INSERT INTO messages VALUES (?, ?)", ((each.hash, each.data) for each in victims)
        )
    messages = made_up_messages(data_size, MOST_STORED)
    thread = threading.Thread(target=_store_bare, args=(path, messages, times, has_ended))
    # Who stores without pause leaves hardly a gap for the lock, so it is taken first.
    connection.execute("BEGIN IMMEDIATE")
    thread.start()
    cpu_ns, begin = own_cpu_ns(), time.perf_counter()
    connection.executemany("DELETE FROM messages WHERE name = ?", ((each.hash,) for each in victims))
    connection.execute("COMMIT")
    has_ended.set()
    thread.join()
    row = _row("bare, beside a delete", data_size, 1, times, begin, cpu_ns)
    connection.close()
    return row


def _store_bare(path: Path, messages: Sequence[Message], times: _Times, has_ended: threading.Event) -> None:
    connection = _connected(path)
    for message in messages:
        start = time.perf_counter()
        connection.execute("INSERT INTO messages VALUES (?, ?)", (message.hash, message.data))
        times.append((start, time.perf_counter()))
        if has_ended.is_set():
            break
    connection.close()


def _connected(path: Path) -> apsw.Connection:
    connection = apsw.Connection(str(path))
    connection.set_busy_timeout(60_000)
    connection.execute(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON"
    ).fetchall()
    return connection


def _row(what: str, data_size: int, under_way: int, times: _Times, begin: float, cpu_ns: int) -> StoreRow:
    beside = [end - start for start, end in times if end > begin]
    return store_row(what, data_size, under_way, beside, begin, cpu_ns)
