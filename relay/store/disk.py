"""The store of a running relay: one file, a thread that writes, connections that read beside it.

``async with open_store(folder) as store: await store.apply(operations, now_ms=...)``. Everything that fails is an
answer; after DAMAGED, ``reopen`` sets a damaged file aside and begins anew. Spec: docs/specs/store.md §5 and §6.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import apsw
import trio

from onionpath.disk.private_files import make_private_dir, translated
from onionpath.errors import KeyFileError, SettingsError
from onionpath.swarm.operations import NotDone, Operation
from onionpath.swarm.reconciliation import Purge, Removed, Upkeep
from relay.store.batches import Answer, Batch, Reading, Repair
from relay.store.damage import check_rows, is_sound, move_aside
from relay.store.engine import Engine, EngineStatistics, read
from relay.store.opening import open_sound
from relay.store.portions import PORTION_ROWS
from relay.store.room import Limits
from relay.store.schema import connect, connect_reader
from relay.store.writer import Writer

T = TypeVar("T")

FILE_NAME = "store.db"
READERS = 4
MOST_READING = 1_024  # callers that read or wait for a reader
CHECK_STEP = 500  # rows
CLOSE_TIMEOUT_S = 30.0
DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What a check of everything found.

    Args:
        is_sound: SQLite finds nothing wrong with the file; otherwise it must be opened again.
        damaged_rows: removed, to come back from peers.
    """

    is_sound: bool
    damaged_rows: int


class DiskStore:
    """One store in one folder; made by ``open_store``, which closes it. For tasks of one trio loop.

    ``was_damaged`` says that what had been there was set aside, and that this store must be refilled before it answers
    for its accounts.
    """

    def __init__(self, folder: Path, limits: Limits) -> None:
        self._path = folder / FILE_NAME
        self._limits = limits
        self._writer: Writer | None = None
        self._engine: Engine | None = None
        self._readers: deque[apsw.Connection] = deque()
        self._reader_limit = trio.CapacityLimiter(READERS)
        self._reading = 0
        self._is_broken = False
        self.was_damaged = False

    async def apply(self, operations: Sequence[Operation | Upkeep], *, now_ms: int) -> list[Answer]:
        """Carry out operations in order, each seeing the ones before; one answer each. What is answered is durable.

        A caller that is cancelled has all of them carried out, or none.
        """
        batch = Batch(tuple(operations), now_ms)
        if self.is_broken or self._writer is None:
            return batch.answers(NotDone.DAMAGED)
        if batch.is_reading:
            return await self._read(batch)
        return await self._writer.commit(batch)

    @property
    def is_broken(self) -> bool:
        """Whether nothing is carried out until ``reopen``."""
        return self._is_broken or self._engine is None or self._engine.is_broken

    def statistics(self) -> EngineStatistics | None:
        """Counts since it was opened; None while it is not open."""
        return self._engine.statistics() if self._engine else None

    async def purge(self, *, now_ms: int, most: int = PORTION_ROWS) -> int:
        """Remove what has ended, in steps between which others write; gives the number of rows."""
        total = 0
        while True:
            (answer,) = await self.apply([Purge(most)], now_ms=now_ms)
            if not isinstance(answer, Removed):
                return total
            total += answer.rows
            if answer.rows < most:
                return total

    async def check(self) -> CheckReport:
        """Read everything and compare it with what was written; takes seconds per gigabyte, beside other work."""
        damaged, after = 0, 0
        while True:
            found = await self._with_reader(partial(check_rows, after=after, most=CHECK_STEP))
            if found is None:
                return CheckReport(False, damaged)
            damaged += len(found.damaged)
            if self._writer is not None and (found.damaged or found.last is None):
                await self._writer.commit(Batch((Repair(found.damaged, all=found.last is None),), 0))
            if found.last is None:
                break
            after = found.last
        is_whole = await self._with_reader(partial(is_sound, is_quick=False))
        self._is_broken |= not is_whole
        return CheckReport(bool(is_whole), damaged)

    async def reopen(self) -> None:
        """Close, check everything, set a damaged file aside, and open again; a disk that fails leaves this broken."""
        await self.close()
        with suppress(SettingsError, KeyFileError):
            await self.open(is_quick=False)

    async def check_every_day(self) -> None:
        """Check everything once a day, until cancelled: rows that nobody asks for decay unseen."""
        while True:
            await trio.sleep(DAY_S)
            await self.check()

    async def open(self, *, is_quick: bool = True) -> None:
        """Open the file. Called by ``open_store``."""
        self._engine = await trio.to_thread.run_sync(partial(self._open, is_quick=is_quick))
        self._writer = Writer(self._engine)
        self._is_broken = False

    async def close(self) -> None:
        """Carry out what waits, and let go of the file; after 30 s without it."""
        writer, self._writer, self._engine = self._writer, None, None
        with trio.CancelScope(shield=True, deadline=trio.current_time() + CLOSE_TIMEOUT_S):
            # Whoever still reads has a token; nobody new comes, because there is no writer any more.
            for turn in range(READERS):
                await self._reader_limit.acquire_on_behalf_of(turn)
            while self._readers:
                self._readers.pop().close()
            for turn in range(READERS):
                self._reader_limit.release_on_behalf_of(turn)
            if writer is not None:
                await trio.to_thread.run_sync(writer.close, abandon_on_cancel=True)

    def _open(self, *, is_quick: bool) -> Engine:
        make_private_dir(self._path.parent)
        try:
            opened = open_sound(self._connect, set_aside=partial(move_aside, self._path), is_quick=is_quick)
        except apsw.Error as error:
            raise SettingsError(f"{self._path} can't be opened: {error}", file=str(self._path)) from error
        self.was_damaged |= opened.was_damaged
        self._readers.extend(connect_reader(str(self._path)) for _ in range(READERS))
        return Engine(opened.connection, limits=self._limits, disk_free_size=self._disk_free_size)

    def _connect(self) -> apsw.Connection:
        with translated(self._path):
            # SQLite would make it readable for others; what it makes beside it takes the mode of this one.
            os.close(os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
        return connect(str(self._path))

    def _disk_free_size(self) -> int:
        found = os.statvfs(self._path.parent)
        return found.f_bavail * found.f_frsize

    async def _read(self, batch: Batch) -> list[Answer]:
        if self._reading >= MOST_READING:
            return batch.answers(NotDone.BUSY)
        self._reading += 1
        try:
            found = await self._with_reader(partial(_read_all, batch=batch))
        finally:
            self._reading -= 1
        if found is None:
            return batch.answers(NotDone.DAMAGED)
        answers, damaged = found
        if damaged and self._writer is not None:
            self._writer.hand_in(Batch((Repair(damaged),), batch.now_ms))
        return answers

    async def _with_reader(self, work: Callable[[apsw.Connection], T]) -> T | None:
        """Do something on a connection that reads; None if the file can't be read."""
        return await trio.to_thread.run_sync(self._borrow, work, limiter=self._reader_limit)

    def _borrow(self, work: Callable[[apsw.Connection], T]) -> T | None:
        try:
            reader = self._readers.pop()
        except IndexError:
            return None
        try:
            return work(reader)
        except apsw.Error:
            self._is_broken = True
            return None
        finally:
            self._readers.append(reader)


def _read_all(connection: apsw.Connection, *, batch: Batch) -> tuple[list[Answer], tuple[int, ...]]:
    damaged = set[int]()
    with connection:  # one snapshot for all of them
        answers = [
            read(order, connection, damaged, now_ms=batch.now_ms)
            for order in batch.orders
            if isinstance(order, Reading)
        ]
    return answers, tuple(sorted(damaged))


@asynccontextmanager
async def open_store(folder: Path, limits: Limits | None = None) -> AsyncIterator[DiskStore]:
    """Open the store of a folder, which is made if missing; the relay's lock keeps other processes out of it.

    Raises:
        NewerSchemaError: it was written by a later version of this program.
        KeyFileError: the folder or file can't be made, or is open to others.
        SettingsError: SQLite can't write there, because the disk is full or broken.
    """
    store = DiskStore(folder, limits or Limits())
    await store.open()
    try:
        yield store
    finally:
        await store.close()
