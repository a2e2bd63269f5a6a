"""What a change has met: which rows, and whether it counts as made."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from onionpath.crypto.identity import RelayId
from onionpath.swarm.operations import (
    Change,
    Delete,
    Deleted,
    Expiring,
    NotDone,
    Outdone,
    Put,
    Result,
    Revoke,
    Revoked,
    Shortened,
    Version,
)
from onionpath.swarm.reconciliation import Key


def brought_by(change: Change, first: RelayId) -> Change:
    """The same change, on the account of the member that a client asked: no one of them fills the others' stores."""
    return replace(change, source=first) if isinstance(change, Put) else change


def outdone_by(result: Result) -> Version | None:
    """The version above which it has to be made again, if it has to."""
    match result:
        case Outdone(version):
            return version
        case Deleted() | Expiring() | Revoked():
            return result.outdone_by
    return None


def touched_by(change: Change, result: Result) -> tuple[str, ...]:
    """The rows that the change has met, where others may have met other ones.

    Whoever makes a ``Put`` or a ``Revoke`` has the very same rows afterwards, whatever was there before.
    """
    match change, result:
        case ((Put() | Revoke()), _):
            return ()
        case Delete(_, hashes), Deleted():
            # One that has neither the message nor room for its tombstone would let it back in.
            return tuple(sorted(set(hashes) - result.unmarked))
        case _, Deleted():
            return result.hashes
        case _, Shortened(by_namespace):
            return tuple(sorted(_all_of(by_namespace)))
        case _, Expiring(updated, unchanged):
            return tuple(sorted({*updated, *unchanged}))
    return ()


def is_made(result: Result) -> bool:
    """Whether it is on disk, as it was asked for."""
    return not isinstance(result, NotDone) and outdone_by(result) is None


def keys_of(change: Change, touched: Collection[str]) -> tuple[Key, ...]:
    """The rows that a member has missed that wasn't there."""
    match change:
        case Put(message):
            names: tuple[str, ...] = (message.hash,)
        case Revoke(_, tokens):
            names = tuple(token.hex() for token in tokens)
        case _:
            names = tuple(sorted(touched))
    account = change.message.account if isinstance(change, Put) else change.account
    return tuple(Key(account, name) for name in names)


def _all_of(by_namespace: Mapping[int, tuple[str, ...]]) -> set[str]:
    return {name for names in by_namespace.values() for name in names}
