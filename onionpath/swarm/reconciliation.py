"""How replicas find out what differs, and exchange it: digests of arcs, standings, rows.

    ``Digests`` of an arc      -> which buckets differ from the peer's
    ``List`` of a bucket       -> which keys differ, and whose standing is later (``Standing.rank``)
    ``Fetch`` here, ``Take`` there: the later row wins, so taking is idempotent and may be repeated in any order
    ``LetGo`` of exactly what a new member has confirmed, once its arc is somebody else's

Digests depend on what is held alone, never on the order in which it came. Rows that have ended (``Purge``) count until
they are purged, so replicas that purge at different moments may differ for so long. Spec: docs/specs/store.md §3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple, Protocol

from onionpath.swarm.arcs import Arc
from onionpath.swarm.operations import AccountId, Operation, Result, Version

DIGEST_SIZE = 32  # bytes


class Kind(IntEnum):
    """What a row is. Of two of one version the one with the higher number wins."""

    LIVE = 0  # a message
    DELETED = 1  # its tombstone
    ACCEPTED = 2  # a subaccount's token that is accepted again
    REVOKED = 3  # one that is refused


class Key(NamedTuple):
    """What a row is about. Replicas compare these by the hundred thousand, hence a tuple, and ``Standing`` too.

    Args:
        name: a message's hash, or a token as 72 lower-case hex digits.
    """

    account: AccountId
    name: str

    # Whose it is belongs into no log.
    def __repr__(self) -> str:
        return "Key()"


class Standing(NamedTuple):
    """How things stand with one key, as digests see it. A tombstone's and token's last three are 0.

    Args:
        version: of what made it a message, a tombstone or a token of this kind.
        expiry_version: of what gave a message its expiry, ``version`` or later. It has no say against a deletion: or
            whoever had missed that could bring a message back by giving it another expiry.
    """

    key: Key
    kind: Kind
    version: Version
    expiry_version: Version
    expiry_ms: int
    timestamp_ms: int

    @property
    def rank(self) -> tuple[int, int, int, int, int]:
        """Of two standings of one key the higher rank is the later one."""
        return (self.version, self.kind, self.expiry_version, self.expiry_ms, self.timestamp_ms)

    @property
    def newest(self) -> Version:
        """The latest version of anything about it."""
        return max(self.version, self.expiry_version)


@dataclass(frozen=True, slots=True)
class Row:
    """All that a replica holds of one key.

    Args:
        namespace: 0 for tokens, and for tombstones of messages that were never here.
        until_ms: until then it is kept, as a tombstone if need be: any replica may still have an earlier standing.
        data: None unless it is a message.
    """

    standing: Standing
    namespace: int
    until_ms: int
    data: bytes | None = field(repr=False)


# What is asked.


@dataclass(frozen=True, slots=True)
class Digests:
    """The digests of all buckets of an arc that aren't empty; at its edges of the part that is on the arc."""

    arc: Arc


@dataclass(frozen=True, slots=True)
class List:
    """The standings of a bucket's part on an arc, ascending by (position, account, name).

    Args:
        after: go on after this key; None for the first.
    """

    bucket: int
    arc: Arc
    after: Key | None = None
    most: int = 1_000


@dataclass(frozen=True, slots=True)
class Fetch:
    """Rows by key, as many as ``max_size`` bytes of data hold and at least one; missing and ended ones are left out."""

    keys: tuple[Key, ...]
    max_size: int


@dataclass(frozen=True, slots=True)
class Take:
    """Rows of a peer: each is merged by rank. What is not what its hash says is refused."""

    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class LetGo:
    """Forget rows, without tombstones, that stand exactly so; what changed since is kept."""

    standings: tuple[Standing, ...]


@dataclass(frozen=True, slots=True)
class Count:
    """How much an arc holds."""

    arc: Arc


@dataclass(frozen=True, slots=True)
class Purge:
    """Remove what has ended, at most so many rows, so that nobody waits long behind it."""

    most: int = 500


@dataclass(frozen=True, slots=True)
class Missing:
    """Which rows were damaged on this disk and haven't come back from a peer."""

    most: int = 1_000


# What replication keeps beside the rows, in the same commits, so that it is never newer or older than they are.


@dataclass(frozen=True, slots=True)
class Note:
    """Keep these bytes under a name, instead of what was there; at most 1 MiB."""

    name: str
    value: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Noted:
    """What was noted under a name."""

    name: str


@dataclass(frozen=True, slots=True)
class Owe:
    """Remember that a member has missed what these keys say now; what it is owed already is no error.

    Args:
        member: its identity, 32 bytes.
        most: keys that are remembered for one member; more are not, since digests find them as well.
    """

    member: bytes
    keys: tuple[Key, ...]
    most: int = 100_000


@dataclass(frozen=True, slots=True)
class Owed:
    """Keys that a member has missed, the oldest first."""

    member: bytes
    most: int = 1_000


@dataclass(frozen=True, slots=True)
class Settle:
    """A member has these now, or is none any more if None: forget what it is owed."""

    member: bytes
    keys: tuple[Key, ...] | None


Upkeep = Digests | List | Fetch | Take | LetGo | Count | Purge | Missing | Note | Noted | Owe | Owed | Settle


# What is found.


@dataclass(frozen=True, slots=True)
class BucketDigest:
    """What a bucket holds: equal in two replicas if, and but for 1 in 2**128 only if, they hold the same.

    Args:
        digest: 32 bytes.
    """

    bucket: int
    rows: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Digested:
    """Of ``Digests``, ascending by bucket."""

    buckets: tuple[BucketDigest, ...]


@dataclass(frozen=True, slots=True)
class Listed:
    """Of ``List``; whether there is more after these."""

    standings: tuple[Standing, ...]
    has_more: bool


@dataclass(frozen=True, slots=True)
class Fetched:
    """Of ``Fetch``, in the order asked for.

    Args:
        left: keys for which there was no more room.
    """

    rows: tuple[Row, ...]
    left: tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class Taken:
    """Of ``Take``.

    Args:
        changed: rows that were later than what was here.
        wrong: keys of rows that no honest peer gives: another hash, an impossible kind or size.
        refused: keys for which there is no room.
    """

    changed: int
    wrong: tuple[Key, ...] = ()
    refused: tuple[Key, ...] = ()


@dataclass(frozen=True, slots=True)
class Removed:
    """Of ``LetGo`` and ``Purge``: how many rows are gone."""

    rows: int


@dataclass(frozen=True, slots=True)
class Counted:
    """Of ``Count``.

    Args:
        traces: tombstones and tokens.
        size: bytes, as quotas count them.
    """

    messages: int
    traces: int
    size: int


@dataclass(frozen=True, slots=True)
class MissingFound:
    """Of ``Missing``."""

    keys: tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class NoteFound:
    """Of ``Note`` and ``Noted``: what is noted now; None if nothing is."""

    value: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class OwedFound:
    """Of ``Owe``, ``Owed`` and ``Settle``: what was asked for, nothing for the other two."""

    keys: tuple[Key, ...] = ()


Finding = Digested | Listed | Fetched | Taken | Removed | Counted | MissingFound | NoteFound | OwedFound


class Store(Protocol):
    """One replica's store.

    What ``apply`` returns is durable: whoever acknowledges has nothing more to wait for. The real one commits many
    batches together in a thread of its own, and its ``apply`` is awaited; in virtual time it answers at once.
    """

    def apply(self, operations: Sequence[Operation | Upkeep], *, now_ms: int) -> list[Result | Finding]:
        """Carry out operations in order, each seeing the ones before; one result each."""
        ...
