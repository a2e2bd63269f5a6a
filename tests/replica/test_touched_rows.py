"""What a change has met, and what whoever missed it lacks."""

from __future__ import annotations

import pytest

from onionpath.crypto.identity import RelayId
from onionpath.swarm.operations import (
    AccountId,
    Change,
    Delete,
    Deleted,
    DeleteWhere,
    Expire,
    ExpireWhere,
    Expiring,
    ExpiryRule,
    Message,
    NotDone,
    Outdone,
    Put,
    Result,
    Revoke,
    Revoked,
    Shortened,
    Stored,
    Version,
)
from relay.store.replica.changes import brought_by, is_made, keys_of, outdone_by, touched_by

ACCOUNT, VERSION, LATER = AccountId(b"\x03" + bytes(32)), Version(5), Version(6)
PUT = Put(Message(ACCOUNT, 0, "one", 1, 2, b""), VERSION)
DELETE = Delete(ACCOUNT, ("one", "two"), VERSION)
WHERE = DeleteWhere(ACCOUNT, None, None, VERSION)
EXPIRE = Expire(ACCOUNT, ("one", "two"), (3, 3), ExpiryRule.EXTEND, VERSION)
EXPIRE_WHERE = ExpireWhere(ACCOUNT, 0, 3, VERSION)
REVOKE = Revoke(ACCOUNT, (b"t" * 36,), True, VERSION)


@pytest.mark.parametrize(
    ("touched", "change", "result"),
    [
        ((), PUT, Stored(False, 2, VERSION)),
        (("one", "two"), DELETE, Deleted({0: ("one",)})),
        (("one",), DELETE, Deleted({}, None, frozenset(("two",)))),
        (("one", "two"), WHERE, Deleted({0: ("two",), 7: ("one",)})),
        (("one", "two"), EXPIRE, Expiring({"two": 3}, {"one": 9})),
        (("one",), EXPIRE_WHERE, Shortened({0: ("one",)})),
        ((), REVOKE, Revoked(1)),
    ],
)
def test_rows_that_a_condition_chose_are_named(
    touched: tuple[str, ...], change: Change, result: Result
) -> None:
    assert touched == touched_by(change, result)


@pytest.mark.parametrize(
    ("version", "result"),
    [
        (LATER, Outdone(LATER)),
        (LATER, Deleted({}, LATER)),
        (LATER, Expiring({}, {}, LATER)),
        (LATER, Revoked(0, LATER)),
        (None, Stored(True, 2, LATER)),
        (None, NotDone.DISK_FULL),
    ],
)
def test_what_is_later_is_told(version: Version | None, result: Result) -> None:
    assert version == outdone_by(result)


def test_what_is_not_done_is_not_made() -> None:
    assert is_made(Stored(False, 2, VERSION))
    assert not is_made(NotDone.DISK_FULL)


@pytest.mark.parametrize(
    ("names", "change"),
    [
        (["one"], PUT),
        (["met"], DELETE),
        (["met"], WHERE),
        (["met"], EXPIRE),
        (["74" * 36], REVOKE),
    ],
)
def test_whoever_missed_a_change_lacks_its_rows(names: list[str], change: Change) -> None:
    assert names == [key.name for key in keys_of(change, {"met"})]


def test_what_is_stored_counts_for_the_member_that_was_asked() -> None:
    first = RelayId(b"f" * 32)

    changed = brought_by(PUT, first)

    assert isinstance(changed, Put)
    assert first == changed.source
    assert DELETE == brought_by(DELETE, first)
