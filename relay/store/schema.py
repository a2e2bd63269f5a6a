"""The store's tables, how a connection is set up, and the ladder of migrations from every earlier version.

``MIGRATIONS[n]`` leads from version n to n + 1; 0 is an empty file. A step that was released is never changed: the next
one is added behind it. All steps run in one transaction, so that a kill leaves either version.
Spec: docs/specs/store.md §5.1.
"""

from __future__ import annotations

from collections.abc import Sequence

import apsw

from onionpath.errors import UsageError

# Rows carry their account's number, and accounts their position, so that what lies on an arc is found by one index.
_FIRST = """
CREATE TABLE accounts (
    id INTEGER PRIMARY KEY,
    account BLOB NOT NULL UNIQUE,
    position INTEGER NOT NULL,          -- on the ring, minus 2**63, because SQLite's numbers are signed
    newest INTEGER NOT NULL,            -- the highest version of any change
    size INTEGER NOT NULL,
    messages INTEGER NOT NULL,
    traces INTEGER NOT NULL,            -- tombstones and tokens
    public_size INTEGER NOT NULL,
    public_messages INTEGER NOT NULL
) STRICT;
CREATE INDEX accounts_position ON accounts (position, account);

CREATE TABLE rows (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    account INTEGER NOT NULL,
    name BLOB NOT NULL,                 -- as bytes, because damaged text cannot even be read
    kind INTEGER NOT NULL,
    version INTEGER NOT NULL,
    expiry_version INTEGER NOT NULL,
    expiry_ms INTEGER NOT NULL,
    timestamp_ms INTEGER NOT NULL,
    namespace INTEGER NOT NULL,
    until_ms INTEGER NOT NULL,
    source INTEGER,
    digest BLOB NOT NULL,
    checksum BLOB NOT NULL,
    ends_ms INTEGER NOT NULL,           -- when the purge has to look at it
    data BLOB                           -- the last, so that nothing else is read through its pages
) STRICT;
CREATE UNIQUE INDEX rows_name ON rows (account, name);
CREATE INDEX rows_namespace ON rows (account, kind, namespace, sequence);
CREATE INDEX rows_end ON rows (ends_ms);

CREATE TABLE buckets (bucket INTEGER PRIMARY KEY, rows INTEGER NOT NULL, digest BLOB NOT NULL) STRICT;
CREATE TABLE sources (id INTEGER PRIMARY KEY, source BLOB NOT NULL UNIQUE, size INTEGER NOT NULL) STRICT;
CREATE TABLE missing (account BLOB NOT NULL, name TEXT NOT NULL, PRIMARY KEY (account, name)) STRICT, WITHOUT ROWID;

CREATE TABLE notes (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE debts (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    member BLOB NOT NULL,
    account BLOB NOT NULL,
    name TEXT NOT NULL,
    UNIQUE (member, account, name)
) STRICT;
CREATE INDEX debts_member ON debts (member, sequence);
"""

MIGRATIONS: tuple[str, ...] = (_FIRST,)

# SQLite answers some of these, and goes on to the next one only when the answer was read.
_SETTINGS = """
PRAGMA locking_mode = {locking};
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
PRAGMA secure_delete = ON;
PRAGMA trusted_schema = OFF;
PRAGMA cell_size_check = ON;
PRAGMA temp_store = MEMORY;
PRAGMA journal_size_limit = 67108864;
PRAGMA wal_autocheckpoint = {checkpoint_pages};
"""
# SQLite's own number: 4 MiB of log, which take about 10 ms to move into the file.
CHECKPOINT_PAGES = 1_000
BUSY_TIMEOUT_MS = 5_000


class NewerSchemaError(UsageError):
    """The file was written by a later version of this program, and nothing of it may be touched."""

    def __init__(self, found: int, known: int) -> None:
        super().__init__(f"the store has format {found}, and this program knows {known} at most")
        self.found = found
        self.known = known


def connect(
    path: str,
    *,
    vfs: str | None = None,
    is_exclusive: bool = False,
    checkpoint_pages: int = CHECKPOINT_PAGES,
) -> apsw.Connection:
    """A connection that writes.

    Args:
        is_exclusive: no other connection is made beside it; needed where the file system has no shared memory.
        checkpoint_pages: once so many are in the log, they are moved into the file.
    """
    connection = apsw.Connection(path, vfs=vfs)
    connection.set_busy_timeout(BUSY_TIMEOUT_MS)
    locking = "EXCLUSIVE" if is_exclusive else "NORMAL"
    connection.execute(_SETTINGS.format(locking=locking, checkpoint_pages=checkpoint_pages)).fetchall()
    return connection


def connect_reader(path: str) -> apsw.Connection:
    """A connection that only reads, beside the one that writes."""
    connection = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READONLY)
    connection.set_busy_timeout(BUSY_TIMEOUT_MS)
    connection.execute(
        "PRAGMA query_only = ON; PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;"
    ).fetchall()
    return connection


def migrate(connection: apsw.Connection, steps: Sequence[str] = MIGRATIONS) -> int:
    """Bring the tables to the latest version; gives the one that was found.

    Raises:
        NewerSchemaError: the file is of a later program.
    """
    found = int(connection.pragma("user_version"))
    if found > len(steps):
        raise NewerSchemaError(found, len(steps))
    if found < len(steps):
        with connection:
            for step in steps[found:]:
                connection.execute(step).fetchall()
            connection.pragma("user_version", len(steps))
    return found
