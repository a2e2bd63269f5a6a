"""What a replica tells its peers of what it holds: digests, lists of standings, whole rows. Nothing here writes.

Spec: docs/specs/store.md §3.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import apsw

from onionpath.directory.swarms import account_position
from onionpath.swarm.arcs import Arc, bucket_of, whole_bucket
from onionpath.swarm.operations import AccountId
from onionpath.swarm.reconciliation import (
    DIGEST_SIZE,
    BucketDigest,
    Count,
    Counted,
    Digested,
    Digests,
    Fetch,
    Fetched,
    Key,
    List,
    Listed,
    Missing,
    MissingFound,
    Row,
    Standing,
)
from relay.store import statements
from relay.store.ledger import SIGN
from relay.store.rows import DIGEST_MODULUS, DamagedRowError, has_ended, held_of, row_of


def digests(asked: Digests, connection: apsw.Connection) -> Digested:
    """Of whole buckets as they are kept; of parts added up now."""
    if asked.arc.start >= asked.arc.end:
        return Digested(())
    first, last = bucket_of(asked.arc.start), bucket_of(asked.arc.end - 1)
    found = {
        bucket: BucketDigest(bucket, rows, total)
        for bucket, rows, total in connection.execute(statements.BUCKETS, (first, last))
    }
    # Only the first and the last bucket can be cut.
    for bucket in {first, last}:
        piece = whole_bucket(bucket).overlap(asked.arc)
        if piece is not None and piece != whole_bucket(bucket):
            found.pop(bucket, None)
            part = digest_between(bucket, piece, connection)
            found |= {bucket: part} if part.rows else {}
    return Digested(tuple(found[bucket] for bucket in sorted(found)))


def digest_between(bucket: int, piece: Arc, connection: apsw.Connection) -> BucketDigest:
    """The digest of part of a bucket, or of all of it, from its rows."""
    rows = total = 0
    for (digest,) in connection.execute(statements.DIGESTS_BETWEEN, _bounds(piece)):
        rows += 1
        total += int.from_bytes(digest, "big")
    return BucketDigest(bucket, rows, (total % DIGEST_MODULUS).to_bytes(DIGEST_SIZE, "big"))


def _bounds(arc: Arc) -> tuple[int, int]:
    return arc.start - SIGN, arc.end - 1 - SIGN


def listing(asked: List, connection: apsw.Connection, damaged: set[int]) -> Listed:
    """The standings of a bucket's part, page by page."""
    piece = whole_bucket(asked.bucket).overlap(asked.arc)
    found: list[Standing] = []
    for standing in _standings(piece, asked.after, connection, asked.most + 1, damaged) if piece else ():
        if len(found) == asked.most:
            return Listed(tuple(found), True)
        found.append(standing)
    return Listed(tuple(found), False)


def _standings(
    piece: Arc, after: Key | None, connection: apsw.Connection, most: int, damaged: set[int]
) -> Iterator[Standing]:
    start, end = _bounds(piece)
    passed = (start - 1, b"")
    if after is not None:
        passed = (account_position(after.account[1:]) - SIGN, bytes(after.account))
    # The accounts are read to the end first: whoever takes few standings would leave a statement open.
    accounts: Any = connection.execute(statements.ACCOUNTS_BETWEEN, (max(start, passed[0]), end))
    for number, account, position in accounts.fetchall():
        if (position, account) < passed:
            continue
        name = after.name.encode() if after and (position, account) == passed else b""
        for columns in connection.execute(statements.AFTER_NAME, (number, name, most)).fetchall():
            try:
                yield held_of(AccountId(account), columns).standing
            except DamagedRowError as error:
                damaged.add(error.sequence)


def fetch(asked: Fetch, connection: apsw.Connection, damaged: set[int], *, now_ms: int) -> Fetched:
    """Whole rows, checked."""
    room, rows = asked.max_size, list[Row]()
    for index, key in enumerate(asked.keys):
        row = _whole(key, connection, damaged)
        if row is None or has_ended(row, now_ms):
            continue
        room -= len(row.data or b"")
        if rows and room < 0:
            return Fetched(tuple(rows), asked.keys[index:])
        rows.append(row)
    return Fetched(tuple(rows), ())


def _whole(key: Key, connection: apsw.Connection, damaged: set[int]) -> Row | None:
    account = connection.execute(statements.ACCOUNT, (key.account,)).fetchone()
    if account is None:
        return None
    columns = connection.execute(
        statements.ROW_WITH_DATA, (account[0], key.name.encode(errors="replace"))
    ).fetchone()
    try:
        return None if columns is None else row_of(held_of(key.account, columns[:-1]), columns[-1])
    except DamagedRowError as error:
        damaged.add(error.sequence)
        return None


def count(asked: Count, connection: apsw.Connection) -> Counted:
    """Add up what accounts hold."""
    sums: Any = connection.execute(statements.COUNT_BETWEEN, _bounds(asked.arc)).fetchone()
    return Counted(*sums)


def missing(asked: Missing, connection: apsw.Connection) -> MissingFound:
    """What was damaged and hasn't come back."""
    found: Any = connection.execute(statements.MISSING, (asked.most,)).fetchall()
    return MissingFound(tuple(Key(AccountId(account), name) for account, name in found))
