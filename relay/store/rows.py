"""Rows as they lie in the file, what they add up to in digests, and whether they are still what was written.

Spec: docs/specs/store.md §1.1, §3.2, §3.3, §6.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from struct import Struct
from struct import error as StructError
from typing import Any

from onionpath.crypto.tags import digest
from onionpath.swarm.hashes import message_hash
from onionpath.swarm.namespaces import is_public_inbox
from onionpath.swarm.operations import AccountId, Message, Version
from onionpath.swarm.reconciliation import DIGEST_SIZE, Key, Kind, Row, Standing

ROW_OVERHEAD = 512  # bytes of tables, indexes and half-empty pages, as measured with small messages
DIGEST_MODULUS = 1 << (8 * DIGEST_SIZE)
HOUR_MS = 3_600_000
MARGIN_MS = HOUR_MS  # for clocks that differ
LONGEST_LIFE_MS = 30 * 24 * HOUR_MS  # of a message, by the RPC
# Of what was said about a token. Not for ever, or whoever makes up accounts could fill a store for good; and not
# over at all while the account has messages, or a token that was revoked would get at them again.
TOKEN_LIFE_MS = 365 * 24 * HOUR_MS


_NUMBERS = Struct(">B4Q")


class DamagedRowError(Exception):
    """A row is not what was written; ``sequence`` is its number."""

    def __init__(self, sequence: int) -> None:
        super().__init__(f"row {sequence} is damaged")
        self.sequence = sequence


@dataclass(frozen=True, slots=True)
class Held:
    """A row of this file without its data.

    Args:
        sequence: the order in which rows became what they are at this replica.
        source: number of whoever brought it.
        data_size: bytes.
    """

    sequence: int
    standing: Standing
    namespace: int
    until_ms: int
    source: int | None
    digest: bytes
    data_size: int

    @property
    def size(self) -> int:
        """Bytes, as quotas count them."""
        return ROW_OVERHEAD + self.data_size

    @property
    def is_live(self) -> bool:
        """Whether it is a message, ended or not."""
        return self.standing.kind is Kind.LIVE

    @property
    def is_public(self) -> bool:
        """Whether it is a message that anybody could have stored."""
        return self.is_live and is_public_inbox(self.namespace)

    def is_served(self, now_ms: int) -> bool:
        """Whether it is a message that has not ended."""
        return self.is_live and self.standing.expiry_ms > now_ms


def held_of(account: AccountId, columns: tuple[Any, ...]) -> Held:
    """Read the columns that every statement for rows gives.

    Raises:
        DamagedRowError: they are not what was written.
    """
    (
        sequence,
        name,
        kind,
        version,
        expiry_version,
        expiry_ms,
        timestamp_ms,
        namespace,
        until_ms,
        source,
        recorded,
        checksum,
        size,
    ) = columns
    try:
        key = Key(account, name.decode("ascii"))
        standing = Standing(
            key, Kind(kind), Version(version), Version(expiry_version), expiry_ms, timestamp_ms
        )
        if recorded != digest_of(standing) or checksum != checksum_of(recorded, namespace, until_ms):
            raise DamagedRowError(sequence)
        return Held(sequence, standing, namespace, until_ms, source, recorded, size or 0)
    except (ValueError, TypeError, AttributeError, StructError):
        raise DamagedRowError(sequence) from None


def row_of(held: Held, data: bytes | None) -> Row:
    """The whole row.

    Raises:
        DamagedRowError: the data is not what its name says.
    """
    if held.is_live != (data is not None):
        raise DamagedRowError(held.sequence)
    key = held.standing.key
    if data is not None and message_hash(key.account, held.namespace, data) != key.name:
        raise DamagedRowError(held.sequence)
    return Row(held.standing, held.namespace, held.until_ms, data)


def message_of(row: Row) -> Message:
    """What a client gets of a live row."""
    standing = row.standing
    return Message(
        standing.key.account,
        row.namespace,
        standing.key.name,
        standing.timestamp_ms,
        standing.expiry_ms,
        row.data or b"",
    )


def digest_of(standing: Standing) -> bytes:
    """The 32 bytes with which a row counts in its bucket."""
    name = standing.key.name.encode("ascii")
    numbers = _NUMBERS.pack(
        standing.kind, standing.version, standing.expiry_version, standing.expiry_ms, standing.timestamp_ms
    )
    return digest(standing.key.account + bytes((len(name),)) + name + numbers)


def checksum_of(row_digest: bytes, namespace: int, until_ms: int) -> bytes:
    """Covers what the digest and the message's hash leave out; 16 bytes."""
    return blake2b(row_digest + b"%d %d" % (namespace, until_ms), digest_size=16).digest()


def ends_at(row: Row) -> int:
    """When the purge has to look at a row."""
    return row.standing.expiry_ms if row.standing.kind is Kind.LIVE else row.until_ms


def tombstone(key: Key, version: Version, *, namespace: int, until_ms: int) -> Row:
    """What is left of a deleted message."""
    return Row(Standing(key, Kind.DELETED, version, Version(0), 0, 0), namespace, until_ms, None)


def live_row(message: Message, version: Version) -> Row:
    """A message that was just stored."""
    key = Key(message.account, message.hash)
    standing = Standing(key, Kind.LIVE, version, version, message.expiry_ms, message.timestamp_ms)
    return Row(standing, message.namespace, message.expiry_ms + MARGIN_MS, message.data)


def has_ended(row: Row, now_ms: int) -> bool:
    """Whether nobody needs a row any more: a message that has expired, a trace that was kept long enough."""
    return ends_at(row) <= now_ms
