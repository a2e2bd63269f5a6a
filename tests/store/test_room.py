"""Who fills an account, a source's share or the disk keeps new messages out, and none of the old ones."""

from __future__ import annotations

from onionpath.swarm.operations import (
    Delete,
    Deleted,
    Expire,
    ExpiryRule,
    NotDone,
    Result,
    Retrieved,
    Revoke,
    Stored,
    Version,
)
from onionpath.swarm.reconciliation import Finding, Key, Purge, Removed, Take, Taken
from relay.store.inline import InlineStore
from relay.store.room import MIB, Limits
from relay.store.rows import ROW_OVERHEAD
from simulations.disk.simulated import SimulatedDisk
from tests.store.accounts import ALICE, BOB, HOUR_MS, NOW_MS, all_of, message_of, put
from tests.store.test_exchange import live_names, rows

SMALL = Limits(total_size=100_000, account_size=4 * (ROW_OVERHEAD + 100), account_messages=100)


def filled(store: InlineStore, *, namespace: int, source: bytes = b"") -> tuple[int, Result | Finding]:
    """Store messages of 100 bytes until one is refused; gives how many were taken, and the refusal."""
    for number in range(300):
        message = message_of(b"%100d" % number, namespace=namespace)
        (result,) = store.apply([put(message, source=source)], now_ms=NOW_MS)
        if not isinstance(result, Stored):
            return number, result
    raise AssertionError("nothing was refused")


def test_strangers_fill_three_quarters_of_an_account_and_its_owner_the_rest() -> None:
    with InlineStore(limits=SMALL) as store:
        assert (3, NotDone.ACCOUNT_FULL) == filled(store, namespace=0)
        assert (1, NotDone.ACCOUNT_FULL) == filled(store, namespace=2)
        assert 3 == len(live_names(store))


def test_messages_are_counted_as_well_as_their_bytes() -> None:
    limits = Limits(account_messages=4)
    with InlineStore(limits=limits) as store:
        assert (3, NotDone.ACCOUNT_FULL) == filled(store, namespace=0)
        assert (1, NotDone.ACCOUNT_FULL) == filled(store, namespace=2)


def test_a_full_account_takes_again_what_it_has_and_deletes() -> None:
    with InlineStore(limits=SMALL) as store:
        filled(store, namespace=0)
        first = message_of(b"%100d" % 0)

        (again,) = store.apply([put(first, NOW_MS + 1)], now_ms=NOW_MS)
        assert Stored(True, first.expiry_ms, Version(NOW_MS + 1)) == again
        (deleted,) = store.apply([Delete(ALICE, (first.hash,), Version(NOW_MS + 2))], now_ms=NOW_MS)
        assert Deleted({0: (first.hash,)}) == deleted


def test_an_outbox_is_replaced_in_a_full_account() -> None:
    with InlineStore(limits=Limits(account_messages=1)) as store:
        store.apply([put(message_of(b"old", namespace=-1), is_alone=True)], now_ms=NOW_MS)
        new = message_of(b"new", namespace=-1)

        (stored,) = store.apply([put(new, NOW_MS + 1, is_alone=True)], now_ms=NOW_MS)

        assert Stored(False, new.expiry_ms, Version(NOW_MS + 1)) == stored


def test_a_source_gets_as_much_as_it_leaves_free_and_others_still_store() -> None:
    limits = Limits(total_size=40 * (ROW_OVERHEAD + 100))
    with InlineStore(limits=limits) as store:
        # Half is the reserve; of the other half the source takes half.
        assert (10, NotDone.SOURCE_FULL) == filled(store, namespace=0, source=b"flooder")
        assert (5, NotDone.SOURCE_FULL) == filled(store, namespace=10, source=b"other")


def test_what_a_source_brought_counts_no_more_when_it_is_deleted() -> None:
    limits = Limits(total_size=40 * (ROW_OVERHEAD + 100))
    with InlineStore(limits=limits) as store:
        filled(store, namespace=0, source=b"flooder")
        store.apply([Delete(ALICE, tuple(live_names(store)), Version(NOW_MS + 1))], now_ms=NOW_MS)

        # Their tombstones take room still, and so leave the source less than at first.
        assert (6, NotDone.SOURCE_FULL) == filled(store, namespace=20, source=b"flooder")


def test_in_the_reserve_nothing_new_is_taken_and_everything_that_frees_goes_on() -> None:
    free = [MIB * 200]
    with InlineStore(disk_free_size=lambda: free[0]) as store:
        kept, shortened = message_of(b"kept"), message_of(b"shortened")
        store.apply([put(kept), put(shortened)], now_ms=NOW_MS)
        free[0] = Limits().reserve_size

        later = Version(NOW_MS + 1)
        new, unknown = message_of(b"new"), message_of(b"unknown")
        expiry_ms = NOW_MS + HOUR_MS
        answers = store.apply(
            [
                put(new, later),
                Revoke(ALICE, (bytes(36),), True, later),
                Delete(ALICE, (kept.hash, unknown.hash), later),
                Expire(ALICE, (shortened.hash,), (expiry_ms,), ExpiryRule.SHORTEN, later),
            ],
            now_ms=NOW_MS,
        )
        deleted = Deleted({0: (kept.hash,)}, unmarked=frozenset((unknown.hash,)))
        assert [NotDone.DISK_FULL, NotDone.DISK_FULL, deleted] == answers[:3]
        assert [Removed(1)] == store.apply([Purge()], now_ms=expiry_ms)


def test_rows_of_peers_are_refused_by_name_when_there_is_no_room() -> None:
    message = message_of(b"of a peer")
    with InlineStore() as peer:
        peer.apply([put(message)], now_ms=NOW_MS)
        peers_rows = rows(peer)
    with InlineStore(disk_free_size=lambda: 0) as store:
        assert [Taken(0, refused=(Key(ALICE, message.hash),))] == store.apply(
            [Take(peers_rows)], now_ms=NOW_MS
        )


def test_a_disk_that_is_full_is_an_answer_and_old_messages_stay() -> None:
    """SQLite hears of it from the system, whatever was asked before."""
    disk = SimulatedDisk()
    with InlineStore("store.db", vfs=disk.vfs) as store:
        old = message_of(b"old")
        store.apply([put(old)], now_ms=NOW_MS)
        disk.size -= disk.free_size

        large = message_of(bytes(60_000), account=BOB)
        assert [NotDone.DISK_FULL] == store.apply([put(large)], now_ms=NOW_MS)
        assert [old.hash] == live_names(store)
        disk.size += MIB
        (stored,) = store.apply([put(large)], now_ms=NOW_MS)
        assert isinstance(stored, Stored)
        assert not store.is_broken


def test_deletions_are_tried_alone_on_a_full_disk() -> None:
    disk = SimulatedDisk()
    with InlineStore("store.db", vfs=disk.vfs) as store:
        old = message_of(b"old")
        store.apply([put(old)], now_ms=NOW_MS)
        disk.size += 40_000 - disk.free_size

        large = message_of(bytes(60_000), account=BOB)
        delete = Delete(ALICE, (old.hash,), Version(NOW_MS + 1))
        assert [NotDone.DISK_FULL, Deleted({0: (old.hash,)})] == store.apply(
            [put(large), delete], now_ms=NOW_MS
        )
        (found,) = store.apply([all_of()], now_ms=NOW_MS)
        assert Retrieved((), False) == found


def test_what_a_source_brought_counts_no_more_when_it_has_ended() -> None:
    limits = Limits(total_size=40 * (ROW_OVERHEAD + 100))
    with InlineStore(limits=limits) as store:
        filled(store, namespace=0, source=b"flooder")
        store.apply([Purge()], now_ms=NOW_MS + 24 * HOUR_MS)

        assert (10, NotDone.SOURCE_FULL) == filled(store, namespace=0, source=b"flooder")
