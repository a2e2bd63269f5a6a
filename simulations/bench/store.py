"""``bench store``: what the store of a relay does in a second, beside bare SQLite on the same disk in the same run.

ours, N callers    ``DiskStore.apply``, one message each, N under way; durable when it returns
bare, one each     SQLite by itself: one insert of the same bytes and one sync for each message
bare, N together   the same, N inserts for each sync: what group commit could reach at best
retrieve           one message of an account, one question after the other
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import apsw
import trio

from onionpath.swarm.hashes import message_hash
from onionpath.swarm.operations import AccountId, Message, NotDone, Put, Retrieve, Version
from relay.store.disk import DiskStore, open_store
from simulations.bench.processes import own_cpu_ns

NOW_MS = 1_800_000_000_000
DAY_MS = 86_400_000
ACCOUNTS = 200


@dataclass(frozen=True, slots=True)
class StorePlan:
    """How many messages of which size (bytes), and how many callers have one under way."""

    messages: int = 4_000
    sizes: tuple[int, ...] = (500, 20_000)
    callers: tuple[int, ...] = (1, 8, 64)
    retrieves: int = 2_000
    folder: Path | None = None


@dataclass(frozen=True, slots=True)
class StoreRow:
    """One measurement; ``cpu_us`` is of this whole process, for each message or retrieval."""

    what: str
    data_size: int
    under_way: int
    count: int
    per_second: int
    p50_ms: float
    p99_ms: float
    cpu_us: float


def bench_store(plan: StorePlan, *, progress: Callable[[str], None]) -> dict[str, Any]:
    """Measure stores and retrievals on the disk of ``plan.folder``; gives the JSON of ``bench store``."""
    rows = []
    with TemporaryDirectory(prefix="onionpath-store-", dir=plan.folder) as name:
        for data_size in plan.sizes:
            for row in _measured(Path(name), data_size, plan):
                rows.append(row)
                progress(_line(row))
    return {"bench": "store", "rows": [asdict(row) for row in rows]}


def _measured(folder: Path, data_size: int, plan: StorePlan) -> Iterable[StoreRow]:
    for under_way in plan.callers:
        count = plan.messages // (4 if under_way == 1 else 1)
        yield _bare(folder / f"bare-{data_size}-{under_way}.db", data_size, under_way, count)
        yield trio.run(_store, folder / f"ours-{data_size}-{under_way}", data_size, under_way, count)
    yield trio.run(_retrieve, folder / f"ours-{data_size}-{plan.callers[-1]}", data_size, plan.retrieves)


def _messages(data_size: int, count: int) -> list[Message]:
    accounts = [AccountId(b"\x05" + os.urandom(32)) for _ in range(ACCOUNTS)]
    messages = []
    for number in range(count):
        account, data = accounts[number % ACCOUNTS], os.urandom(data_size)
        name = message_hash(account, 0, data)
        messages.append(Message(account, 0, name, NOW_MS, NOW_MS + DAY_MS, data))
    return messages


async def _store(folder: Path, data_size: int, under_way: int, count: int) -> StoreRow:
    left = iter(_messages(data_size, count))
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
        return _row("store, ours", data_size, under_way, times, begin, cpu_ns)


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
        return _row("retrieve, ours", data_size, 1, times, begin, cpu_ns)


def _accounts_in(folder: Path) -> list[AccountId]:
    connection = apsw.Connection(str(folder / "store.db"), flags=apsw.SQLITE_OPEN_READONLY)
    found: Any = connection.execute("SELECT account FROM accounts").fetchall()
    connection.close()
    return [AccountId(account) for (account,) in found]


def _bare(path: Path, data_size: int, together: int, count: int) -> StoreRow:
    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA journal_mode = WAL").fetchall()
    connection.execute("PRAGMA synchronous = FULL; CREATE TABLE messages (name TEXT PRIMARY KEY, data BLOB)")
    messages, times = _messages(data_size, count), list[float]()
    cpu_ns, begin = own_cpu_ns(), time.perf_counter()
    for index in range(0, count, together):
        start = time.perf_counter()
        connection.execute("BEGIN IMMEDIATE")
        for message in messages[index : index + together]:
            connection.execute("INSERT INTO messages VALUES (?, ?)", (message.hash, message.data))
        connection.execute("COMMIT")
        times += [time.perf_counter() - start] * min(together, count - index)
    row = _row("store, bare SQLite", data_size, together, times, begin, cpu_ns)
    connection.close()
    return row


def _row(
    what: str, data_size: int, under_way: int, times: list[float], begin: float, cpu_ns: int
) -> StoreRow:
    elapsed, cpu_ns = time.perf_counter() - begin, own_cpu_ns() - cpu_ns
    cuts = statistics.quantiles(times, n=100)
    return StoreRow(
        what=what,
        data_size=data_size,
        under_way=under_way,
        count=len(times),
        per_second=round(len(times) / elapsed),
        p50_ms=round(cuts[49] * 1000, 3),
        p99_ms=round(cuts[98] * 1000, 3),
        cpu_us=round(cpu_ns / len(times) / 1000, 1),
    )


def _line(row: StoreRow) -> str:
    return (
        f"{row.what:<18} {row.data_size:>6} B, {row.under_way:>3} at a time: {row.per_second:6} /s,"
        f" p50 {row.p50_ms:7.3f} ms, p99 {row.p99_ms:7.3f} ms, CPU {row.cpu_us:6.1f} µs"
    )
