"""One caller's changes to the tables: every row that comes or goes is booked for its account, bucket and source.

A ledger lives inside one savepoint. What it has booked it writes at the end, in ``write``; if the savepoint is rolled
back, the ledger is dropped, and nothing remembers it. Whatever reads rows here raises ``DamagedRowError`` for a damaged
one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import apsw

from onionpath.directory.swarms import account_position
from onionpath.swarm.arcs import bucket_of
from onionpath.swarm.namespaces import is_public_inbox
from onionpath.swarm.operations import AccountId
from onionpath.swarm.reconciliation import DIGEST_SIZE, Kind, Row
from relay.store import statements
from relay.store.room import Usage
from relay.store.rows import (
    DIGEST_MODULUS,
    ROW_OVERHEAD,
    Held,
    checksum_of,
    digest_of,
    ends_at,
    held_of,
)

SIGN = 2**63  # SQLite's integers are signed; positions keep their order


@dataclass(slots=True)
class Holder:
    """An account's line."""

    number: int
    account: AccountId
    newest: int
    usage: Usage
    bucket: int


@dataclass(slots=True)
class _Source:
    number: int
    size: int


@dataclass(slots=True)
class _Bucket:
    rows: int = 0
    total: int = 0


@dataclass(slots=True)
class Ledger:
    """See above.

    Args:
        grown: bytes by which the store has grown, as quotas count them.
    """

    connection: apsw.Connection
    grown: int = 0
    _holders: dict[AccountId, Holder] = field(default_factory=dict)
    _buckets: dict[int, _Bucket] = field(default_factory=dict)
    _sources: dict[int, _Source] = field(default_factory=dict)

    def holder(self, account: AccountId) -> Holder | None:
        """The line of an account, if it holds anything."""
        if account not in self._holders:
            found = self.connection.execute(statements.ACCOUNT, (account,)).fetchone()
            if found is None:
                return None
            number, newest, *usage = found
            self._holders[account] = Holder(
                number, account, newest, Usage(*usage), bucket_of(account_position(account[1:]))
            )
        return self._holders[account]

    def holder_or_new(self, account: AccountId) -> Holder:
        """The line of an account, made if it has none."""
        if self.holder(account) is None:
            position = account_position(account[1:]) - SIGN
            self.connection.execute(statements.ADD_ACCOUNT, (account, position))
        found = self.holder(account)
        assert found is not None  # noqa: S101 - it was just made
        return found

    def find(self, holder: Holder, name: str) -> Held | None:
        """The row of a key, if there is one."""
        columns = self.connection.execute(
            statements.ROW, (holder.number, name.encode(errors="replace"))
        ).fetchone()
        return None if columns is None else held_of(holder.account, columns)

    def select(self, holder: Holder, statement: str, values: tuple[Any, ...]) -> list[Held]:
        """All rows of an account that a statement gives, which gets the account's number before the values."""
        rows = self.connection.execute(statement, (holder.number, *values)).fetchall()
        return [held_of(holder.account, columns) for columns in rows]

    def put(self, holder: Holder, held: Held | None, row: Row, *, source: bytes = b"") -> None:
        """Let a row stand instead of the one that is held, if any.

        A message where none was gets the next sequence number; one that was there keeps its own.
        """
        if held is None or (row.standing.kind is Kind.LIVE and not held.is_live):
            self._add(holder, held, row, source)
        elif row.standing.kind is Kind.LIVE:
            self._change_standing(holder, held, row)
        else:
            self._change_to_trace(holder, held, row)
        holder.newest = max(holder.newest, row.standing.newest)

    def renew(self, holder: Holder, held: Held, row: Row, *, source: bytes = b"") -> None:
        """Let a message stand instead of the same one that has ended: it comes anew, with the next number."""
        self._add(holder, held, row, source)
        holder.newest = max(holder.newest, row.standing.newest)

    def erase(self, holder: Holder, held: Held) -> None:
        """Forget a row without trace."""
        self.connection.execute(statements.FORGET_ROW, (held.sequence,))
        self._book(holder, held.standing.kind, held.digest, -1, held.data_size, held.namespace)
        self._charge(held.source, -held.size)

    def source_size(self, source: bytes) -> int:
        """Bytes that came from a source and are here."""
        return self._source(source).size if source else 0

    def write(self) -> None:
        """Write what was booked, and begin anew."""
        for holder in self._holders.values():
            self._write_holder(holder)
        for number, bucket in self._buckets.items():
            self._write_bucket(number, bucket)
        for source in self._sources.values():
            values = (source.size, source.number) if source.size > 0 else (source.number,)
            self.connection.execute(
                statements.SET_SOURCE if source.size > 0 else statements.FORGET_SOURCE, values
            )
        self._holders.clear()
        self._buckets.clear()
        self._sources.clear()

    def _add(self, holder: Holder, held: Held | None, row: Row, source: bytes) -> None:
        if held is not None:
            self.erase(holder, held)
        standing, recorded = row.standing, digest_of(row.standing)
        number = self._source(source).number if source else None
        values = (
            holder.number,
            standing.key.name.encode(),
            int(standing.kind),
            standing.version,
            standing.expiry_version,
            standing.expiry_ms,
            standing.timestamp_ms,
            row.namespace,
            row.until_ms,
            number,
            recorded,
            checksum_of(recorded, row.namespace, row.until_ms),
            ends_at(row),
            row.data,
        )
        self.connection.execute(statements.ADD_ROW, values)
        self.connection.execute(statements.FORGET_MISSING, (holder.account, standing.key.name))
        data_size = len(row.data or b"")
        self._book(holder, standing.kind, recorded, 1, data_size, row.namespace)
        self._charge(number, ROW_OVERHEAD + data_size)

    def _change_standing(self, holder: Holder, held: Held, row: Row) -> None:
        standing, recorded = row.standing, digest_of(row.standing)
        values = (
            standing.version,
            standing.expiry_version,
            standing.expiry_ms,
            standing.timestamp_ms,
            row.until_ms,
            recorded,
            checksum_of(recorded, held.namespace, row.until_ms),
            ends_at(row),
            held.sequence,
        )
        self.connection.execute(statements.SET_STANDING, values)
        self._book(holder, held.standing.kind, held.digest, -1, held.data_size, held.namespace)
        self._book(holder, standing.kind, recorded, 1, held.data_size, held.namespace)

    def _change_to_trace(self, holder: Holder, held: Held, row: Row) -> None:
        standing, recorded = row.standing, digest_of(row.standing)
        values = (
            int(standing.kind),
            standing.version,
            row.until_ms,
            recorded,
            checksum_of(recorded, held.namespace, row.until_ms),
            ends_at(row),
            held.sequence,
        )
        self.connection.execute(statements.SET_TRACE, values)
        self._book(holder, held.standing.kind, held.digest, -1, held.data_size, held.namespace)
        self._book(holder, standing.kind, recorded, 1, 0, held.namespace)
        self._charge(held.source, -held.size)

    def _book(
        self, holder: Holder, kind: Kind, digest: bytes, sign: int, data_size: int, namespace: int
    ) -> None:
        size, usage = sign * (ROW_OVERHEAD + data_size), holder.usage
        self.grown += size
        usage.size += size
        if kind is Kind.LIVE:
            usage.messages += sign
            if is_public_inbox(namespace):
                usage.public_size += size
                usage.public_messages += sign
        else:
            usage.traces += sign
        bucket = self._buckets.setdefault(holder.bucket, _Bucket())
        bucket.rows += sign
        bucket.total += sign * int.from_bytes(digest, "big")

    def _charge(self, number: int | None, size: int) -> None:
        if number is None:
            return
        if number not in self._sources:
            found = self.connection.execute(statements.SOURCE_SIZE, (number,)).fetchone()
            self._sources[number] = _Source(number, found[0] if found else 0)
        self._sources[number].size += size

    def _source(self, source: bytes) -> _Source:
        found = self.connection.execute(statements.SOURCE, (source,)).fetchone()
        if found is None:
            self.connection.execute(statements.ADD_SOURCE, (source,))
            found = (self.connection.last_insert_rowid(), 0)
        return self._sources.setdefault(found[0], _Source(*found))

    def _write_holder(self, holder: Holder) -> None:
        usage = holder.usage
        if not usage.messages and not usage.traces:
            self.connection.execute(statements.FORGET_ACCOUNT, (holder.number,))
            return
        values = (
            holder.newest,
            usage.size,
            usage.messages,
            usage.traces,
            usage.public_size,
            usage.public_messages,
            holder.number,
        )
        self.connection.execute(statements.SET_ACCOUNT, values)

    def _write_bucket(self, number: int, change: _Bucket) -> None:
        rows, recorded = self.connection.execute(statements.BUCKET, (number,)).fetchone() or (0, b"")
        total = (int.from_bytes(recorded, "big") + change.total) % DIGEST_MODULUS
        values = (number, rows + change.rows, total.to_bytes(DIGEST_SIZE, "big"))
        self.connection.execute(statements.SET_BUCKET, values)
