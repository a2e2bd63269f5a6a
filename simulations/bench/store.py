"""``bench store``: what the store of a relay does in a second, beside bare SQLite on the same disk in the same run.

ours, N callers    ``DiskStore.apply``, one message each, N under way; durable when it returns
bare, one each     SQLite by itself: one insert of the same bytes and one sync for each message
bare, N together   the same, N inserts for each sync: what group commit could reach at best
retrieve           one message of an account, one question after the other
beside a delete    eight callers store while one account has all of its messages deleted; ``bare SQLite`` does the same
                   with one transaction for the deletion and one for each message, on a connection for each
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import apsw
import trio

from onionpath.swarm.operations import AccountId, NotDone, Put, Retrieve, Version
from relay.store.disk import DiskStore, open_store
from simulations.bench.processes import own_cpu_ns
from simulations.bench.store_beside import bare_beside_delete, beside_delete
from simulations.bench.store_rows import NOW_MS, StoreRow, made_up_messages, store_row

MOST_DELETED_SIZE = 1_500  # bytes


@dataclass(frozen=True, slots=True)
class StorePlan:
    """How many messages of which size (bytes), and how many callers have one under way."""

    messages: int = 4_000
    sizes: tuple[int, ...] = (500, 20_000)
    callers: tuple[int, ...] = (1, 8, 64)
    retrieves: int = 2_000
    deleted: int = 10_000
    folder: Path | None = None


def bench_store(plan: StorePlan, *, progress: Callable[[str], None]) -> dict[str, Any]:
    """Measure stores and retrievals on the disk of ``plan.folder``; gives the JSON of ``bench store``."""
    rows = []
    with TemporaryDirectory(prefix="onionpath-store-", dir=plan.folder) as name:
        for data_size in plan.sizes:
            for row in _measured(Path(name), data_size, plan):
                rows.append(row)
                progress(str(row))
    return {"bench": "store", "rows": [asdict(row) for row in rows]}


def _measured(folder: Path, data_size: int, plan: StorePlan) -> Iterable[StoreRow]:
    for under_way in plan.callers:
        count = plan.messages // (4 if under_way == 1 else 1)
        yield _bare(folder / f"bare-{data_size}-{under_way}.db", data_size, under_way, count)
        yield trio.run(_store, folder / f"ours-{data_size}-{under_way}", data_size, under_way, count)
    yield trio.run(_retrieve, folder / f"ours-{data_size}-{plan.callers[-1]}", data_size, plan.retrieves)
    # An account has room for ten thousand messages, if they have some 1,500 bytes each.
    if data_size <= MOST_DELETED_SIZE:
        yield bare_beside_delete(folder / f"bare-{data_size}-delete.db", data_size, plan.deleted)
        yield trio.run(beside_delete, folder / f"ours-{data_size}-delete", data_size, plan.deleted)


async def _store(folder: Path, data_size: int, under_way: int, count: int) -> StoreRow:
    left = iter(made_up_messages(data_size, count))
    times: list[float] = []

    async def store_on(store: DiskStore) -> None:
        for message in left:
            start = time.perf_counter()
            (result,) = await store.apply([Put(message, Version(NOW_MS))], now_ms=NOW_MS)
            times.append(time.perf_counter() - start)
            assert not isinstance(result, NotDone), result

    async with open_store(folder) as store:
        cpu_ns, begin = own_cpu_ns(), time.perf_counter()
        async with trio.open_nursery() as nursery:
            for _ in range(under_way):
                nursery.start_soon(store_on, store)
        return store_row("store, ours", data_size, under_way, times, begin, cpu_ns)


async def _retrieve(folder: Path, data_size: int, count: int) -> StoreRow:
    """One message of each account in turn, as a client's poll that finds one."""
    times: list[float] = []
    async with open_store(folder) as store:
        accounts = _accounts_in(folder)
        cpu_ns, begin = own_cpu_ns(), time.perf_counter()
        for number in range(count):
            question = Retrieve(accounts[number % len(accounts)], 0, None, 1, 10**7)
            start = time.perf_counter()
            await store.apply([question], now_ms=NOW_MS)
            times.append(time.perf_counter() - start)
        return store_row("retrieve, ours", data_size, 1, times, begin, cpu_ns)


def _accounts_in(folder: Path) -> list[AccountId]:
    connection = apsw.Connection(str(folder / "store.db"), flags=apsw.SQLITE_OPEN_READONLY)
    found: Any = connection.execute("SELECT account FROM accounts").fetchall()
    connection.close()
    return [AccountId(account) for (account,) in found]


def _bare(path: Path, data_size: int, together: int, count: int) -> StoreRow:
    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA journal_mode = WAL").fetchall()
    connection.execute("PRAGMA synchronous = FULL; CREATE TABLE messages (name TEXT PRIMARY KEY, data BLOB)")
    messages, times = made_up_messages(data_size, count), list[float]()
    cpu_ns, begin = own_cpu_ns(), time.perf_counter()
    for index in range(0, count, together):
        start = time.perf_counter()
        connection.execute("BEGIN IMMEDIATE")
        for message in messages[index : index + together]:
            connection.execute("INSERT INTO messages VALUES (?, ?)", (message.hash, message.data))
        connection.execute("COMMIT")
        times += [time.perf_counter() - start] * min(together, count - index)
    row = store_row("store, bare SQLite", data_size, together, times, begin, cpu_ns)
    connection.close()
    return row
