"""Many callers' operations as one transaction, and what follows when the disk is full, broken or damaged.

| what happens                                | what follows                                                      |
|---------------------------------------------|-------------------------------------------------------------------|
| all is well                                 | one commit, which syncs the log; only then are there answers      |
| an operation raises (a mistake of ours)     | its caller's savepoint is rolled back, its caller gets the error  |
| a row is not what was written               | all is rolled back, the row removed, all carried out once more    |
| the disk is full                            | each caller alone; then without whatever needs room               |
| any other error of SQLite                   | nothing more until the store is opened again: all DAMAGED         |

Nothing here knows threads: ``writer`` and ``inline`` call it. Spec: docs/specs/store.md §5.2, §5.3, §6.1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import apsw

from onionpath.swarm.operations import (
    Delete,
    DeleteWhere,
    Expire,
    ExpireWhere,
    Expiries,
    IsRevoked,
    NewestVersion,
    NotDone,
    Put,
    Retrieve,
    Revoke,
)
from onionpath.swarm.reconciliation import (
    Count,
    Digests,
    Fetch,
    LetGo,
    List,
    Missing,
    Note,
    Noted,
    Owe,
    Owed,
    Purge,
    Settle,
    Take,
)
from relay.store import comparison, exchange, notes, statements
from relay.store.batches import Answer, Batch, Order, Outcome, Reading, Repair
from relay.store.changes import Scene, Within, carry_out
from relay.store.damage import recount_all, remove_damaged
from relay.store.ledger import Ledger
from relay.store.portions import Course, is_divisible
from relay.store.questions import answer
from relay.store.room import Limits, free_for_rows
from relay.store.rows import DamagedRowError


@dataclass(frozen=True, slots=True)
class EngineStatistics:
    """Since the start.

    Args:
        commits: transactions; as many syncs of the log.
        size: bytes held now, as quotas count them.
        removed_rows: found damaged.
    """

    commits: int
    batches: int
    orders: int
    size: int
    removed_rows: int


class Engine:
    """Carries out batches on one connection. See above.

    Args:
        disk_free_size: asks how many bytes the file system has left for us.
    """

    def __init__(
        self, connection: apsw.Connection, *, limits: Limits, disk_free_size: Callable[[], int]
    ) -> None:
        self._connection = connection
        self._limits = limits
        self._disk_free_size = disk_free_size
        self._size = self._counted_size()
        self._commits = self._batches = self._orders = self._removed_rows = 0
        self.is_broken = False

    def commit(self, batches: Sequence[Batch]) -> list[Outcome]:
        """Carry out batches; what is answered is durable."""
        if self.is_broken:
            return [batch.answers(NotDone.DAMAGED) for batch in batches]
        try:
            return self._commit_whole(batches)
        except apsw.FullError:
            self._roll_back()
            return [self._commit_alone(batch) for batch in batches]
        except apsw.Error:
            return self._break(batches)

    def course(self, batch: Batch) -> Course | None:
        """The portions in which a batch is carried out; None for one that is carried out as it is."""
        return Course(batch, self._look) if is_divisible(batch) else None

    def statistics(self) -> EngineStatistics:
        """Counts since the start."""
        return EngineStatistics(self._commits, self._batches, self._orders, self._size, self._removed_rows)

    def close(self) -> None:
        """Move the log into the file, as far as that goes, and close."""
        # A disk that is full or broken may not let us: then the next start reads the log.
        with suppress(apsw.Error):
            self._connection.pragma("wal_checkpoint", "TRUNCATE")
        with suppress(apsw.Error):
            self._connection.close()

    def _look(self, change: DeleteWhere | ExpireWhere) -> list[int]:
        values = (change.account, change.namespace)
        try:
            return sorted(number for (number,) in self._connection.execute(statements.LIVE_SEQUENCES, values))
        except apsw.Error:
            self.is_broken = True
            return []

    def _commit_alone(self, batch: Batch) -> Outcome:
        for is_starved in (False, True):
            try:
                return self._commit_whole([batch], is_starved=is_starved)[0]
            except apsw.FullError:
                self._roll_back()
            except apsw.Error:
                return self._break([batch])[0]
        return batch.answers(NotDone.DISK_FULL)

    def _commit_whole(self, batches: Sequence[Batch], *, is_starved: bool = False) -> list[Outcome]:
        """Once more after each damaged row that is met; every time there is one row less."""
        while True:
            try:
                return self._commit_once(batches, is_starved=is_starved)
            except DamagedRowError as error:
                self._roll_back()
                self._remove([error.sequence])

    def _commit_once(self, batches: Sequence[Batch], *, is_starved: bool) -> list[Outcome]:
        disk_free_size = 0 if is_starved else self._disk_free_size()
        damaged = set[int]()
        size, outcomes = self._size, list[Outcome]()
        self._connection.execute("BEGIN IMMEDIATE")
        for batch in batches:
            free_size = free_for_rows(self._limits, total_size=size, disk_free_size=disk_free_size)
            ledger = Ledger(self._connection)
            outcomes.append(
                self._attempt(batch, ledger, Scene(batch.now_ms, self._limits, free_size), damaged)
            )
            size += ledger.grown if isinstance(outcomes[-1], list) else 0
        self._connection.execute("COMMIT")
        self._size = size
        self._count(batches)
        if any(isinstance(order, Repair) for batch in batches for order in batch.orders):
            self._size = self._counted_size()
        if damaged:
            self._remove(sorted(damaged))
        return outcomes

    def _attempt(self, batch: Batch, ledger: Ledger, scene: Scene, damaged: set[int]) -> Outcome:
        self._connection.execute("SAVEPOINT caller")
        try:
            answers = [self._obey(order, ledger, scene, damaged) for order in batch.orders]
            ledger.write()
        except (apsw.Error, DamagedRowError):
            raise
        except Exception as error:
            # The caller gets it; its neighbours must not.
            self._connection.execute("ROLLBACK TO caller; RELEASE caller")
            return error
        self._connection.execute("RELEASE caller")
        return answers

    def _obey(self, order: Order, ledger: Ledger, scene: Scene, damaged: set[int]) -> Answer:
        match order:
            case Put() | Delete() | DeleteWhere() | Expire() | ExpireWhere() | Revoke() | Within():
                return carry_out(order, ledger, scene)
            case Take():
                return exchange.take(order, ledger, scene)
            case LetGo():
                return exchange.let_go(order, ledger)
            case Purge():
                return exchange.purge(order, ledger, scene)
            case Note():
                return notes.note(order, ledger.connection)
            case Owe():
                return notes.owe(order, ledger.connection)
            case Settle():
                return notes.settle(order, ledger.connection)
            case Repair():
                return self._repair(order)
        # Questions see what the operations before them have done, and so must the books.
        ledger.write()
        return read(order, ledger.connection, damaged, now_ms=scene.now_ms)

    def _repair(self, order: Repair) -> Answer:
        for sequence in order.sequences:
            if not remove_damaged(self._connection, sequence):
                raise apsw.CorruptError("an index has a row that is not there")
        if order.all:
            recount_all(self._connection)
        self._removed_rows += len(order.sequences)
        return NotDone.DAMAGED

    def _remove(self, sequences: Sequence[int]) -> None:
        with self._connection:
            self._repair(Repair(tuple(sequences)))
        self._size = self._counted_size()

    def _count(self, batches: Sequence[Batch]) -> None:
        self._commits += 1
        self._batches += len(batches)
        self._orders += sum(len(batch.orders) for batch in batches)

    def _counted_size(self) -> int:
        found: Any = self._connection.execute(statements.TOTAL_SIZE).fetchone()
        return int(found[0])

    def _break(self, batches: Sequence[Batch]) -> list[Outcome]:
        self.is_broken = True
        self._roll_back()
        return [batch.answers(NotDone.DAMAGED) for batch in batches]

    def _roll_back(self) -> None:
        # After some errors SQLite has rolled back by itself.
        if self._connection.in_transaction:
            try:
                self._connection.execute("ROLLBACK")
            except apsw.Error:
                self.is_broken = True


def read(order: Reading, connection: apsw.Connection, damaged: set[int], *, now_ms: int) -> Answer:
    """Answer what changes nothing, on any connection."""
    match order:
        case Retrieve() | Expiries() | IsRevoked() | NewestVersion():
            return answer(order, connection, damaged, now_ms=now_ms)
        case Digests():
            return comparison.digests(order, connection)
        case List():
            return comparison.listing(order, connection, damaged)
        case Fetch():
            return comparison.fetch(order, connection, damaged, now_ms=now_ms)
        case Count():
            return comparison.count(order, connection)
        case Missing():
            return comparison.missing(order, connection)
        case Noted():
            return notes.noted(order, connection)
        case Owed():
            return notes.owed(order, connection)
