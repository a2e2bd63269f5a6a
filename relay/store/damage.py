"""Damage on the disk: rows that are not what was written are removed and listed, counts that are wrong made anew.

A file of which SQLite itself says that it is damaged can't be repaired row by row: it is moved aside, and peers refill
an empty one. Spec: docs/specs/store.md §6.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw

from onionpath.directory.swarms import account_position
from onionpath.swarm.arcs import bucket_of, whole_bucket
from onionpath.swarm.operations import AccountId
from relay.store import statements
from relay.store.comparison import digest_between
from relay.store.ledger import SIGN
from relay.store.rows import ROW_OVERHEAD, DamagedRowError, held_of, row_of

_SIDE_FILES = ("", "-wal", "-shm")


def remove_damaged(connection: apsw.Connection, sequence: int) -> bool:
    """Remove a row, list it as missing, and count its account and bucket anew; False if there is no such row."""
    found: Any = connection.execute(statements.DAMAGED_ROW, (sequence,)).fetchone()
    if found is None:
        return False
    account, number, name = found
    connection.execute(statements.FORGET_ROW, (sequence,))
    if not isinstance(account, bytes):
        recount_all(connection)
        return True
    # What it says of itself may be wrong as well; as a list for people and peers that is good enough.
    connection.execute(statements.ADD_MISSING, (account, bytes(name).decode("ascii", "replace")))
    recount(connection, number, account)
    return True


def recount(connection: apsw.Connection, number: int, account: bytes) -> None:
    """Count an account and its bucket from their rows."""
    usage: Any = connection.execute(statements.RECOUNT, (number, ROW_OVERHEAD)).fetchone()
    size, messages, traces, public_size, public_messages = usage
    if messages or traces:
        newest = connection.execute(statements.NEWEST, (number,)).fetchone()
        values = (*(newest or (0,)), size, messages, traces, public_size, public_messages, number)
        connection.execute(statements.SET_ACCOUNT, values)
    else:
        connection.execute(statements.FORGET_ACCOUNT, (number,))
    bucket = bucket_of(account_position(account[1:]))
    counted = digest_between(bucket, whole_bucket(bucket), connection)
    connection.execute(statements.SET_BUCKET, (bucket, counted.rows, counted.digest))


def recount_all(connection: apsw.Connection) -> None:
    """Count everything anew, and forget rows of accounts that aren't there."""
    connection.execute(statements.FORGET_ORPHANS)
    connection.execute(statements.FORGET_BUCKETS)
    accounts: Any = connection.execute(statements.ACCOUNTS_BETWEEN, (-SIGN, SIGN - 1)).fetchall()
    for number, account, _ in accounts:
        recount(connection, number, account)


@dataclass(frozen=True, slots=True)
class Checked:
    """A step through all rows.

    Args:
        last: sequence number to go on after; None at the end.
    """

    damaged: tuple[int, ...]
    last: int | None


def check_rows(connection: apsw.Connection, *, after: int, most: int) -> Checked:
    """Read rows whole and find those that aren't what was written."""
    rows: Any = connection.execute(statements.ROWS_AFTER, (after, most)).fetchall()
    damaged = tuple(_damaged(rows))
    return Checked(damaged, rows[-1][1] if len(rows) == most else None)


def _damaged(rows: list[tuple[Any, ...]]) -> Iterator[int]:
    for account, *columns, data in rows:
        try:
            if account is None:
                raise DamagedRowError(columns[0])
            row_of(held_of(AccountId(account), tuple(columns)), data)
        except DamagedRowError as error:
            yield error.sequence


def is_sound(connection: apsw.Connection, *, is_quick: bool) -> bool:
    """Whether SQLite finds nothing wrong with the file."""
    try:
        found: Any = connection.pragma("quick_check" if is_quick else "integrity_check")
    except apsw.Error:
        return False
    return bool(found == "ok")


def move_aside(path: Path) -> Path:
    """Rename a damaged file with what belongs to it, for whoever wants to know why; gives its new name.

    One that was moved before gives way, so that damage doesn't fill the disk.
    """
    aside = path.with_name(f"{path.name}.damaged")
    for suffix in _SIDE_FILES:
        aside.with_name(aside.name + suffix).unlink(missing_ok=True)
        old = path.with_name(path.name + suffix)
        if old.exists():
            old.replace(aside.with_name(aside.name + suffix))
    return aside
