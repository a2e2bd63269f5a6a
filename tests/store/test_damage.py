"""Whatever happens to the bytes on the disk: no message is served that is not as it was stored."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import apsw
import pytest

from onionpath.swarm.arcs import WHOLE_RING
from onionpath.swarm.operations import Message, NotDone, Retrieved, Stored, Version
from onionpath.swarm.reconciliation import (
    Count,
    Counted,
    Fetch,
    Key,
    Missing,
    MissingFound,
    Take,
    Taken,
)
from relay.store.inline import InlineStore
from simulations.disk.simulated import SimulatedDisk, StoredFile
from tests.store.accounts import ALICE, NOW_MS, account_named, all_of, message_of, put
from tests.store.test_exchange import digests, live_names, rows

PATH, LOG = "store.db", "store.db-wal"
HELLO = message_of(b"hello")
ACCOUNTS = [account_named(f"account {number}") for number in range(4)]
PAGE_SIZE = 4096


def filled_disk() -> tuple[SimulatedDisk, dict[str, Message]]:
    """A store that was killed: of its messages some are in the file and some in the log."""
    choice, disk = Random(3), SimulatedDisk()
    messages = [
        message_of(choice.randbytes(choice.choice((20, 400, 9_000))), account=choice.choice(ACCOUNTS))
        for _ in range(60)
    ]
    store = InlineStore(PATH, vfs=disk.vfs, checkpoint_pages=100)
    for message in messages:
        store.apply([put(message)], now_ms=NOW_MS)
    rest = disk.after_kill()
    store.close()
    disk.close()
    return rest, {message.hash: message for message in messages}


def flip(content: bytearray, choice: Random) -> None:
    for _ in range(choice.randint(1, 64)):
        content[choice.randrange(len(content))] ^= choice.randrange(1, 256)


def truncate(content: bytearray, choice: Random) -> None:
    del content[choice.randrange(len(content)) :]


def zero_a_page(content: bytearray, choice: Random) -> None:
    page = choice.randrange(-(-len(content) // PAGE_SIZE)) * PAGE_SIZE
    content[page : page + PAGE_SIZE] = bytes(len(content[page : page + PAGE_SIZE]))


def served(store: InlineStore) -> Iterator[Message]:
    for result in store.apply([all_of(account) for account in ACCOUNTS], now_ms=NOW_MS):
        if isinstance(result, Retrieved):
            yield from result.messages


def altered_after_damage(trials: int, choice: Random) -> tuple[list[Message], int]:
    """Messages that came out other than they went in, and how many came out as they were."""
    disk, messages = filled_disk()
    altered: list[Message] = []
    whole = 0
    for _ in range(trials):
        damaged = disk.after_kill()
        file = damaged.files[choice.choice((PATH, LOG))]
        choice.choice((flip, flip, truncate, zero_a_page))(file.seen, choice)
        with InlineStore(PATH, vfs=damaged.vfs, set_aside=damaged.set_aside) as store:
            for message in served(store):
                altered += [message] if messages.get(message.hash) != message else []
                whole += 1
        damaged.close()
    return altered, whole


def test_no_altered_message_is_served_whatever_happens_to_the_disk() -> None:
    altered, whole = altered_after_damage(30, Random(5))

    assert [] == altered
    assert whole > 30 * 20  # most survive, so there was something to alter


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_no_altered_message_is_served_in_a_thousand_trials() -> None:
    altered, _ = altered_after_damage(1_000, Random(6))

    assert [] == altered


CHANGES = {
    "data": "UPDATE rows SET data = x'6a656c6c6f' WHERE sequence = 1",
    "timestamp_ms": "UPDATE rows SET timestamp_ms = timestamp_ms + 1 WHERE sequence = 1",
    "expiry_ms": "UPDATE rows SET expiry_ms = expiry_ms + 1 WHERE sequence = 1",
    "version": "UPDATE rows SET version = version + 1 WHERE sequence = 1",
    "expiry_version": "UPDATE rows SET expiry_version = expiry_version + 1 WHERE sequence = 1",
    "until_ms": "UPDATE rows SET until_ms = until_ms + 1 WHERE sequence = 1",
    "namespace": "UPDATE rows SET namespace = namespace + 10 WHERE sequence = 1",
    "name": "UPDATE rows SET name = x'ff' WHERE sequence = 1",
    "kind": "UPDATE rows SET kind = 7 WHERE sequence = 1",
    "digest": "UPDATE rows SET digest = zeroblob(32) WHERE sequence = 1",
}


def with_damage(path: Path, column: str) -> InlineStore:
    """A store with two messages, of which one was changed behind its back."""
    with InlineStore(str(path)) as store:
        store.apply([put(HELLO), put(message_of(b"other"))], now_ms=NOW_MS)
    with apsw.Connection(str(path)) as connection:
        connection.execute(CHANGES[column])
    connection.close()
    return InlineStore(str(path))


@pytest.mark.parametrize("column", CHANGES)
def test_a_row_that_was_changed_on_the_disk_is_removed_and_counted_no_more(
    column: str, tmp_path: Path
) -> None:
    with with_damage(tmp_path / PATH, column) as store:
        everything = [Fetch((Key(ALICE, HELLO.hash),), 9_999), all_of(namespace=0), all_of(namespace=10)]
        first = store.apply(everything, now_ms=NOW_MS)
        store.apply([put(message_of(b"third"))], now_ms=NOW_MS)

        assert HELLO not in [
            message for each in first if isinstance(each, Retrieved) for message in each.messages
        ]
        assert 1 == store.statistics().removed_rows or column == "name"
        with InlineStore() as other:
            other.apply([Take(rows(store))], now_ms=NOW_MS)
            assert digests(other) == digests(store)


def test_a_damaged_row_is_listed_as_missing_until_a_peer_brings_it(tmp_path: Path) -> None:
    with InlineStore() as peer:
        peer.apply([put(HELLO)], now_ms=NOW_MS)
        peers_rows = rows(peer)
    with with_damage(tmp_path / PATH, "data") as store:
        store.apply([all_of()], now_ms=NOW_MS)
        assert [MissingFound((Key(ALICE, HELLO.hash),))] == store.apply([Missing()], now_ms=NOW_MS)

        assert [Taken(1)] == store.apply([Take(peers_rows)], now_ms=NOW_MS)
        assert [MissingFound(())] == store.apply([Missing()], now_ms=NOW_MS)
        assert HELLO.hash in live_names(store)


def test_a_change_that_meets_a_damaged_row_is_made_as_if_there_were_none(tmp_path: Path) -> None:
    with with_damage(tmp_path / PATH, "expiry_ms") as store:
        assert [Stored(False, HELLO.expiry_ms, Version(NOW_MS))] == store.apply([put(HELLO)], now_ms=NOW_MS)
        assert [Counted(2, 0, 1034)] == store.apply([Count(WHOLE_RING)], now_ms=NOW_MS)


def test_a_file_that_is_no_store_is_set_aside_and_an_empty_one_begun() -> None:
    disk = SimulatedDisk()
    disk.files[PATH] = StoredFile(bytearray(b"no database" * 1_000))
    with InlineStore(PATH, vfs=disk.vfs, set_aside=disk.set_aside) as store:
        assert store.was_damaged
        assert () == digests(store)


def test_after_a_failed_sync_nothing_more_is_carried_out_until_the_store_is_opened_again() -> None:
    disk = SimulatedDisk()
    with InlineStore(PATH, vfs=disk.vfs) as store:
        store.apply([put(HELLO)], now_ms=NOW_MS)
        disk.is_failing = True
        assert [NotDone.DAMAGED] == store.apply([put(message_of(b"lost"))], now_ms=NOW_MS)
        disk.is_failing = False
        assert [NotDone.DAMAGED] == store.apply([all_of()], now_ms=NOW_MS)
        assert store.is_broken
        rest = disk.after_kill()
    with InlineStore(PATH, vfs=rest.vfs, set_aside=rest.set_aside) as store:
        assert HELLO.hash in live_names(store)
