"""What a store is asked and what it answers: the one language between requests, replication and the disk.

Every change carries a *version*: milliseconds of the clock of whoever took the request, raised above all versions that
it knows of the same message. Replicas that have seen the same changes, in whatever order and however often, hold the
same: of two changes of one message the higher version wins, of equal ones the deletion, then the later expiry.
A deletion leaves a *tombstone* until no replica can still bring back what was deleted. Spec: docs/specs/storage.md §5.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import NewType, Protocol

AccountId = NewType("AccountId", bytes)
"""33 bytes: Session's prefix and a key."""

Version = NewType("Version", int)
"""Milliseconds; see above."""


@dataclass(frozen=True, slots=True)
class Message:
    """One stored message.

    Args:
        hash: 43 characters, made of account, namespace and data; two messages with one hash are the same.
        timestamp_ms, expiry_ms: as the sender gave them; the latter changes.
        data: at most 76,800 bytes.
    """

    account: AccountId = field(repr=False)
    namespace: int
    hash: str = field(repr=False)
    timestamp_ms: int
    expiry_ms: int
    data: bytes = field(repr=False)


# Changes.


@dataclass(frozen=True, slots=True)
class Put:
    """Store a message. One that is there only gets the later expiry.

    Args:
        is_alone: all others of its namespace are deleted: a public outbox holds one.
    """

    message: Message
    version: Version
    is_alone: bool = False


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete messages by hash, in whatever namespace; unknown hashes are no error."""

    account: AccountId = field(repr=False)
    hashes: tuple[str, ...]
    version: Version


@dataclass(frozen=True, slots=True)
class DeleteWhere:
    """Delete what is in a namespace, or in all if None, and has a timestamp up to ``until_ms``, or any if None."""

    account: AccountId = field(repr=False)
    namespace: int | None
    until_ms: int | None
    version: Version


class ExpiryRule(Enum):
    """Which expiries are changed."""

    SET = ""
    SHORTEN = "shorten"
    EXTEND = "extend"


@dataclass(frozen=True, slots=True)
class Expire:
    """Give messages new expiries; as many of these as hashes."""

    account: AccountId = field(repr=False)
    hashes: tuple[str, ...]
    expiries_ms: tuple[int, ...]
    rule: ExpiryRule
    version: Version


@dataclass(frozen=True, slots=True)
class ExpireWhere:
    """Shorten the expiry of everything in a namespace, or in all if None, that expires later."""

    account: AccountId = field(repr=False)
    namespace: int | None
    expiry_ms: int
    version: Version


@dataclass(frozen=True, slots=True)
class Revoke:
    """Refuse these subaccount tokens of 36 bytes from now on, or accept them again; the latest 50 are kept."""

    account: AccountId = field(repr=False)
    tokens: tuple[bytes, ...] = field(repr=False)
    is_revoked: bool
    version: Version


Change = Put | Delete | DeleteWhere | Expire | ExpireWhere | Revoke


# Questions.


@dataclass(frozen=True, slots=True)
class Retrieve:
    """Messages of a namespace in the order in which this replica stored them.

    Args:
        after: the hash of the last one that is known; one that isn't here means from the start.
        most: of messages; None for any number.
        max_size: bytes, as Session counts them: 4/3 of the data and 143 for each. At least one message is given.
    """

    account: AccountId = field(repr=False)
    namespace: int
    after: str | None = field(repr=False)
    most: int | None
    max_size: int


@dataclass(frozen=True, slots=True)
class Expiries:
    """When these messages expire."""

    account: AccountId = field(repr=False)
    hashes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class IsRevoked:
    """Whether a subaccount token is refused."""

    account: AccountId = field(repr=False)
    token: bytes = field(repr=False)


Question = Retrieve | Expiries | IsRevoked
Operation = Change | Question


# Answers.


@dataclass(frozen=True, slots=True)
class Stored:
    """Of ``Put``: it is on disk.

    Args:
        was_there: it had been before, and not deleted since.
        version: under which it stands now: the one that was given, or a higher one if a tombstone had that.
    """

    was_there: bool
    expiry_ms: int
    version: Version


@dataclass(frozen=True, slots=True)
class Deleted:
    """What is gone, hashes sorted, by namespace."""

    by_namespace: Mapping[int, tuple[str, ...]]

    @property
    def hashes(self) -> tuple[str, ...]:
        """All of them, sorted."""
        return tuple(sorted(each for hashes in self.by_namespace.values() for each in hashes))


@dataclass(frozen=True, slots=True)
class Shortened:
    """Of ``ExpireWhere``: what expires earlier than before, hashes sorted, by namespace."""

    by_namespace: Mapping[int, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Expiring:
    """Of ``Expire`` and ``Expiries``: what has which expiry now.

    Args:
        updated: changed, or asked for.
        unchanged: there, and left as they were.
    """

    updated: Mapping[str, int]
    unchanged: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Retrieved:
    """Of ``Retrieve``; whether there is more after these."""

    messages: tuple[Message, ...]
    has_more: bool


@dataclass(frozen=True, slots=True)
class Revoked:
    """How many tokens were changed, or whether the one asked for is refused (1 or 0)."""

    count: int


class NotDone(Enum):
    """Why nothing was changed."""

    DISK_FULL = "disk full"  # only deletions are taken now
    ACCOUNT_FULL = "account full"
    SOURCE_FULL = "source full"
    DAMAGED = "damaged"  # the store is being rebuilt


Result = Stored | Deleted | Shortened | Expiring | Retrieved | Revoked | NotDone


class Store(Protocol):
    """One replica's store.

    What ``apply`` returns is durable: whoever acknowledges has nothing more to wait for. The real one commits many
    batches together in a thread of its own; in virtual time it answers at once.
    """

    def apply(self, operations: Sequence[Operation], *, now_ms: int) -> list[Result]:
        """Carry out operations in order, each seeing the ones before; one result each."""
        ...
