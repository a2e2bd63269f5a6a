"""The store that a relay awaits: one thread writes for many, and whoever goes away leaves all or nothing."""

from __future__ import annotations

import os
import struct
import threading
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest
import trio
import trio.testing

from onionpath.errors import KeyFileError
from onionpath.swarm.arcs import WHOLE_RING
from onionpath.swarm.operations import Delete, NewestVersion, NotDone, Retrieved, Stored, Version
from onionpath.swarm.reconciliation import Count, Counted, Missing, MissingFound
from relay.store.batches import Batch
from relay.store.disk import FILE_NAME, CheckReport, DiskStore, open_store
from relay.store.engine import Engine
from relay.store.room import Limits
from relay.store.schema import connect, migrate
from relay.store.writer import WAITING_ORDERS, Writer
from tests.store.accounts import ALICE, HOUR_MS, NOW_MS, all_of, message_of, put

HELLO = message_of(b"hello")


@pytest.fixture
def anyio_backend() -> str:
    return "trio"


async def names(store: DiskStore) -> list[str]:
    (found,) = await store.apply([all_of()], now_ms=NOW_MS)
    assert isinstance(found, Retrieved)
    return [message.hash for message in found.messages]


async def test_what_was_stored_is_there_when_the_store_is_opened_again(tmp_path: Path) -> None:
    async with open_store(tmp_path / "store") as store:
        await store.apply([put(HELLO)], now_ms=NOW_MS)
    async with open_store(tmp_path / "store") as store:
        assert [HELLO.hash] == await names(store)
        assert not store.was_damaged


async def test_callers_that_come_together_share_commits(tmp_path: Path) -> None:
    async with open_store(tmp_path / "store") as store:

        async def store_one(number: int) -> None:
            await store.apply([put(message_of(b"%d" % number))], now_ms=NOW_MS)

        async with trio.open_nursery() as nursery:
            for number in range(50):
                nursery.start_soon(store_one, number)
        statistics = store.statistics()
        assert statistics is not None
        assert statistics.commits < statistics.batches == 50
        assert 50 == len(await names(store))


async def test_one_callers_bad_operation_harms_no_neighbour(tmp_path: Path) -> None:
    async with open_store(tmp_path / "store") as store:
        fine: list[object] = []

        async def store_fine() -> None:
            fine.extend(await store.apply([put(HELLO)], now_ms=NOW_MS))

        async def store_bad() -> None:
            bad = message_of(b"bad", timestamp_ms=2**70)
            with pytest.raises(struct.error):
                await store.apply([put(message_of(b"before")), put(bad)], now_ms=NOW_MS)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(store_bad)
            nursery.start_soon(store_fine)
        assert [Stored(False, HELLO.expiry_ms, Version(NOW_MS))] == fine
        assert [HELLO.hash] == await names(store)
        assert [Counted(1, 0, 517)] == await store.apply([Count(WHOLE_RING)], now_ms=NOW_MS)


async def test_a_caller_that_is_cancelled_leaves_all_of_its_operations_or_none(tmp_path: Path) -> None:
    pairs = [(message_of(b"%d one" % number), message_of(b"%d two" % number)) for number in range(60)]
    async with open_store(tmp_path / "store") as store:
        async with trio.open_nursery() as nursery:
            for one, two in pairs:
                nursery.start_soon(lambda one=one, two=two: store.apply([put(one), put(two)], now_ms=NOW_MS))
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        stored = set(await names(store))
    assert [] == [one for one, two in pairs if (one.hash in stored) != (two.hash in stored)]


async def test_closing_carries_out_what_waits(tmp_path: Path) -> None:
    engine = engine_in(tmp_path)
    writer = Writer(engine)
    for number in range(100):
        writer.hand_in(Batch((put(message_of(b"%d" % number)),), NOW_MS))
    await trio.to_thread.run_sync(writer.close)

    assert 100 == engine.statistics().orders
    assert [NotDone.DAMAGED] == await writer.commit(Batch((put(HELLO),), NOW_MS))


def engine_in(tmp_path: Path, disk_free_size: Callable[[], int] = lambda: 2**40) -> Engine:
    connection = connect(str(tmp_path / FILE_NAME))
    migrate(connection)
    return Engine(connection, limits=Limits(), disk_free_size=disk_free_size)


async def test_too_much_that_waits_is_refused_at_once(tmp_path: Path) -> None:
    writer = Writer(engine_in(tmp_path))
    question = NewestVersion(ALICE)
    for _ in range(3):
        writer.hand_in(Batch((question,) * WAITING_ORDERS, NOW_MS))

    assert [NotDone.BUSY] == await writer.commit(Batch((question,), NOW_MS))
    await trio.to_thread.run_sync(writer.close)


async def test_only_the_owner_can_read_the_files(tmp_path: Path) -> None:
    async with open_store(tmp_path / "store") as store:
        await store.apply([put(HELLO)], now_ms=NOW_MS)
        modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "store").iterdir()}
    assert {FILE_NAME: 0o600, f"{FILE_NAME}-wal": 0o600, f"{FILE_NAME}-shm": 0o600} == modes


async def test_a_folder_that_others_can_enter_is_refused(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir(mode=0o755)
    with pytest.raises(KeyFileError, match="chmod 700"):
        async with open_store(tmp_path / "store"):
            pass


async def test_deleted_messages_are_not_left_in_the_files(tmp_path: Path) -> None:
    secret = message_of(b"nobody shall read this again" * 10)
    async with open_store(tmp_path / "store") as store:
        await store.apply([put(secret)], now_ms=NOW_MS)
        await store.apply([Delete(ALICE, (secret.hash,), Version(NOW_MS))], now_ms=NOW_MS)
    files = list((tmp_path / "store").iterdir())

    assert [FILE_NAME] == [path.name for path in files]
    assert secret.data[:28] not in files[0].read_bytes()


async def test_purging_goes_on_until_nothing_that_ended_is_left(tmp_path: Path) -> None:
    async with open_store(tmp_path / "store") as store:
        await store.apply([put(message_of(b"%d" % number)) for number in range(7)], now_ms=NOW_MS)

        assert 0 == await store.purge(now_ms=NOW_MS, most=3)
        assert 7 == await store.purge(now_ms=HELLO.expiry_ms, most=3)


async def test_a_row_that_a_reader_finds_damaged_is_removed_by_the_writer(tmp_path: Path) -> None:
    async with open_store(tmp_path / "store") as store:
        await store.apply([put(HELLO)], now_ms=NOW_MS)
        damage(tmp_path)
        assert [] == await names(store)
        await store.apply([put(message_of(b"next"))], now_ms=NOW_MS)

        (missing,) = await store.apply([Missing()], now_ms=NOW_MS)
        assert isinstance(missing, MissingFound)
        assert [HELLO.hash] == [key.name for key in missing.keys]


def damage(tmp_path: Path) -> None:
    connection = apsw.Connection(str(tmp_path / "store" / FILE_NAME))
    connection.execute("UPDATE rows SET data = x'00' WHERE sequence = 1")
    connection.close()


async def test_a_check_finds_what_nobody_has_asked_for(tmp_path: Path) -> None:
    async with open_store(tmp_path / "store") as store:
        await store.apply([put(HELLO), put(message_of(b"other"))], now_ms=NOW_MS)
        damage(tmp_path)

        assert CheckReport(is_sound=True, damaged_rows=1) == await store.check()
        assert CheckReport(is_sound=True, damaged_rows=0) == await store.check()


async def test_a_file_that_breaks_is_set_aside_and_the_store_goes_on_empty(tmp_path: Path) -> None:
    async with open_store(tmp_path / "store") as store:
        await store.apply([put(HELLO)], now_ms=NOW_MS)
    path = tmp_path / "store" / FILE_NAME
    content = bytearray(path.read_bytes())
    content[4096:] = os.urandom(len(content) - 4096)
    path.write_bytes(content)

    async with open_store(tmp_path / "store") as store:
        assert store.was_damaged
        assert [] == await names(store)
        assert isinstance((await store.apply([put(HELLO)], now_ms=NOW_MS + HOUR_MS))[0], Stored)
    assert content == (tmp_path / "store" / f"{FILE_NAME}.damaged").read_bytes()


async def test_a_store_is_reopened_in_place(tmp_path: Path) -> None:
    async with open_store(tmp_path / "store") as store:
        await store.apply([put(HELLO)], now_ms=NOW_MS)
        await store.reopen()
        assert [HELLO.hash] == await names(store)
        assert not store.was_damaged


async def test_a_disk_that_cannot_be_opened_again_leaves_a_store_that_says_so(tmp_path: Path) -> None:
    async with open_store(tmp_path / "store") as store:
        # In the place of a file a folder, as a disk that fails has nothing that can be opened either.
        path = tmp_path / "store" / FILE_NAME
        await store.close()
        path.rename(tmp_path / "elsewhere")
        path.mkdir()

        await store.reopen()

        assert store.is_broken
        assert [NotDone.DAMAGED] == await store.apply([put(HELLO)], now_ms=NOW_MS)
        path.rmdir()
        await store.reopen()
        assert [] == await names(store)


async def test_a_caller_that_gives_up_while_it_waits_has_done_nothing(tmp_path: Path) -> None:
    may_go_on, is_under_way = threading.Event(), trio.Event()
    token = trio.lowlevel.current_trio_token()

    def free_size_when_told() -> int:
        token.run_sync_soon(is_under_way.set)
        may_go_on.wait(10)
        return 2**40

    writer = Writer(engine_in(tmp_path, free_size_when_told))
    given_up = message_of(b"given up")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer.commit, Batch((put(HELLO),), NOW_MS))
        await is_under_way.wait()
        with trio.move_on_after(0):
            await writer.commit(Batch((put(given_up),), NOW_MS))
        may_go_on.set()

    (found,) = await writer.commit(Batch((all_of(),), NOW_MS))
    assert isinstance(found, Retrieved)
    assert (HELLO,) == found.messages
    await trio.to_thread.run_sync(writer.close)
