"""What a store is asked and what it answers: the one language between requests, replication and the disk.

Every change carries a *version*: milliseconds of the clock of whoever took the request, raised above all versions that
its store knows of the same account (``NewestVersion``). Of two changes of one message the higher version wins, of equal
ones the deletion, then the later expiry, then the later timestamp. So replicas that have exchanged what they hold, in
whatever order and however often, hold the same, and a late copy of an old change brings nothing back.
A store never raises a version by itself: it says that the change is *outdone*, and whoever took the request tries again
above that. A deletion leaves a *tombstone* until no replica can still bring back what was deleted.
What replicas tell each other of what they hold is in ``reconciliation``. Spec: docs/specs/store.md §1 and §2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import NewType

AccountId = NewType("AccountId", bytes)
"""33 bytes: Session's prefix and a key."""

ACCOUNT_SIZE = 33  # bytes

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
        is_alone: its namespace holds one message, the one of the highest version: a public outbox.
        source: who brought it, at most 32 bytes; what one source brings must not fill the store.
    """

    message: Message
    version: Version
    is_alone: bool = False
    source: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete messages by hash, in whatever namespace; unknown hashes are no error, and must not come back either."""

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


@dataclass(frozen=True, slots=True)
class NewestVersion:
    """The highest version that anything of an account has here; a new change goes above it."""

    account: AccountId = field(repr=False)


Question = Retrieve | Expiries | IsRevoked | NewestVersion
Operation = Change | Question


# Answers.


@dataclass(frozen=True, slots=True)
class Stored:
    """Of ``Put``: it is on disk.

    Args:
        was_there: it had been before, and not deleted since.
        version: under which it stands now: the one that was given, or a higher one that it had already.
    """

    was_there: bool
    expiry_ms: int
    version: Version


@dataclass(frozen=True, slots=True)
class Outdone:
    """Of ``Put``: nothing was stored, for a deletion of this version, or the one message of an outbox, stands."""

    version: Version


@dataclass(frozen=True, slots=True)
class Deleted:
    """What is gone, hashes sorted, by namespace.

    Args:
        outdone_by: the highest version among messages that were left, because theirs is later than the deletion's.
        unmarked: hashes of a ``Delete`` of which nothing is here and for whose tombstones there was no room.
    """

    by_namespace: Mapping[int, tuple[str, ...]]
    outdone_by: Version | None = None
    unmarked: frozenset[str] = frozenset()

    @property
    def hashes(self) -> tuple[str, ...]:
        """All of them, sorted."""
        return tuple(sorted(each for hashes in self.by_namespace.values() for each in hashes))


@dataclass(frozen=True, slots=True)
class Shortened:
    """Of ``ExpireWhere``: what expires earlier than before, hashes sorted, by namespace.

    Args:
        outdone_by: the highest version among messages that were left, because theirs is later than the change's.
    """

    by_namespace: Mapping[int, tuple[str, ...]]
    outdone_by: Version | None = None


@dataclass(frozen=True, slots=True)
class Expiring:
    """Of ``Expire`` and ``Expiries``: what has which expiry now.

    Args:
        updated: changed, or asked for.
        unchanged: there, and left as they were.
        outdone_by: the highest version among those in neither, because theirs is later than the change's.
    """

    updated: Mapping[str, int]
    unchanged: Mapping[str, int] = field(default_factory=dict)
    outdone_by: Version | None = None


@dataclass(frozen=True, slots=True)
class Retrieved:
    """Of ``Retrieve``; whether there is more after these."""

    messages: tuple[Message, ...]
    has_more: bool


@dataclass(frozen=True, slots=True)
class Revoked:
    """How many tokens were changed, or whether the one asked for is refused (1 or 0).

    Args:
        outdone_by: the highest version among tokens about which something later was said.
    """

    count: int
    outdone_by: Version | None = None


@dataclass(frozen=True, slots=True)
class VersionFound:
    """Of ``NewestVersion``; 0 if nothing is here."""

    version: Version


class NotDone(Enum):
    """Why nothing was changed."""

    DISK_FULL = "disk full"  # only deletions are taken now
    ACCOUNT_FULL = "account full"
    SOURCE_FULL = "source full"
    DAMAGED = "damaged"  # the store must be rebuilt
    BUSY = "busy"  # too much waits for the disk


Result = Stored | Outdone | Deleted | Shortened | Expiring | Retrieved | Revoked | VersionFound | NotDone
