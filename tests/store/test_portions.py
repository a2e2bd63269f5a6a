"""Large changes are carried out in portions, and nobody but whoever waits beside them can tell."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from onionpath.swarm.operations import (
    Delete,
    Deleted,
    DeleteWhere,
    Expire,
    ExpireWhere,
    Expiring,
    ExpiryRule,
    NotDone,
    Retrieved,
    Shortened,
    Stored,
    Version,
)
from onionpath.swarm.reconciliation import (
    Key,
    Note,
    Owe,
    Owed,
    OwedFound,
    Settle,
)
from relay.store.batches import Batch
from relay.store.disk import FILE_NAME, open_store
from relay.store.engine import Engine
from relay.store.inline import InlineStore
from relay.store.portions import PORTION_ROWS, Course, rows_at_once
from relay.store.room import Limits
from relay.store.schema import connect, migrate
from relay.store.writer import Writer
from tests.store.accounts import ALICE, BOB, HOUR_MS, NOW_MS, all_of, message_of, put

LATER = Version(NOW_MS + 1)
MANY = [message_of(b"%d" % number, namespace=(0, 2)[number % 2]) for number in range(2 * PORTION_ROWS + 50)]
HASHES = tuple(message.hash for message in MANY)
BY_NAMESPACE = {
    namespace: tuple(sorted(message.hash for message in MANY if message.namespace == namespace))
    for namespace in (0, 2)
}
PORTIONS = 3


@pytest.fixture
def anyio_backend() -> str:
    return "trio"


def filled(store: InlineStore) -> InlineStore:
    for message in MANY:
        store.apply([put(message)], now_ms=NOW_MS)
    return store


def commits_of(store: InlineStore, order: object) -> tuple[int, object]:
    before = store.statistics().commits
    (answer,) = store.apply([order], now_ms=NOW_MS)  # type: ignore[list-item]
    return store.statistics().commits - before, answer


def test_a_large_delete_is_many_commits_and_one_answer() -> None:
    with filled(InlineStore()) as store:
        assert (PORTIONS, Deleted(BY_NAMESPACE)) == commits_of(store, Delete(ALICE, HASHES, LATER))


def test_deleting_all_is_many_commits_and_one_answer() -> None:
    with filled(InlineStore()) as store:
        assert (PORTIONS, Deleted(BY_NAMESPACE)) == commits_of(store, DeleteWhere(ALICE, None, None, LATER))
        assert (1, Deleted({})) == commits_of(store, DeleteWhere(BOB, None, None, LATER))


def test_deleting_a_namespace_leaves_the_other() -> None:
    with filled(InlineStore()) as store:
        expected = Deleted({2: BY_NAMESPACE[2]})
        assert (2, expected) == commits_of(store, DeleteWhere(ALICE, 2, None, LATER))
        assert (2, Deleted({0: BY_NAMESPACE[0]})) == commits_of(store, DeleteWhere(ALICE, 0, None, LATER))


def test_shortening_all_is_many_commits_and_one_answer() -> None:
    with filled(InlineStore()) as store:
        expected = Shortened(BY_NAMESPACE)
        assert (PORTIONS, expected) == commits_of(store, ExpireWhere(ALICE, None, NOW_MS + HOUR_MS, LATER))


def test_many_new_expiries_are_many_commits_and_one_answer() -> None:
    with filled(InlineStore()) as store:
        expiries = tuple(NOW_MS + HOUR_MS + number for number in range(len(HASHES)))
        expected = Expiring(dict(zip(HASHES, expiries, strict=True)))
        expire = Expire(ALICE, HASHES, expiries, ExpiryRule.SET, LATER)
        assert (PORTIONS, expected) == commits_of(store, expire)


def test_what_outdoes_a_part_of_a_large_change_is_told() -> None:
    with filled(InlineStore()) as store:
        store.apply([put(MANY[-1], Version(LATER + 7))], now_ms=NOW_MS)
        (answer,) = store.apply([Delete(ALICE, HASHES, LATER)], now_ms=NOW_MS)

        assert isinstance(answer, Deleted)
        assert (LATER + 7, len(HASHES) - 1) == (answer.outdone_by, len(answer.hashes))


def test_what_is_owed_to_several_is_packed_and_taken_back_in_portions() -> None:
    keys = tuple(Key(ALICE, name) for name in HASHES)
    orders = (Owe(b"a" * 32, keys), Owe(b"b" * 32, keys[:30]))
    assert PORTION_ROWS == rows_at_once(Batch(orders, NOW_MS))
    with InlineStore() as store:
        assert [OwedFound(), OwedFound()] == store.apply(orders, now_ms=NOW_MS)
        assert 3 == store.statistics().commits
        assert [OwedFound(keys)] == store.apply([Owed(b"a" * 32, 1_000)], now_ms=NOW_MS)
        store.apply([Settle(b"a" * 32, keys)], now_ms=NOW_MS)
        assert [OwedFound()] == store.apply([Owed(b"a" * 32, 1_000)], now_ms=NOW_MS)


def test_many_orders_without_rows_share_a_commit() -> None:
    with InlineStore() as store:
        store.apply([Delete(ALICE, (), LATER)] * PORTION_ROWS, now_ms=NOW_MS)
        assert 1 == store.statistics().commits


def test_what_is_not_row_by_row_is_never_cut() -> None:
    with filled(InlineStore()) as store:
        before = store.statistics().commits
        store.apply([put(message_of(b"new")), Delete(ALICE, HASHES, LATER)], now_ms=NOW_MS)
        assert 1 == store.statistics().commits - before


def test_a_portion_that_fails_ends_the_change_and_is_its_answer() -> None:
    course = Course(
        Batch((Delete(ALICE, HASHES, LATER), Delete(BOB, HASHES[:1], LATER)), NOW_MS), lambda _: ()
    )
    course.record([Deleted({})])
    assert course.outcome is None
    course.record([NotDone.DISK_FULL])
    assert [NotDone.DISK_FULL, NotDone.DISK_FULL] == course.outcome


def engine_in(tmp_path: Path) -> Engine:
    connection = connect(str(tmp_path / FILE_NAME))
    migrate(connection)
    return Engine(connection, limits=Limits(), disk_free_size=lambda: 2**40)


async def test_whoever_writes_beside_a_large_delete_does_not_wait_for_all_of_it(tmp_path: Path) -> None:
    order: list[str] = []
    async with open_store(tmp_path / "store") as store:
        await store.apply([put(message) for message in MANY], now_ms=NOW_MS)

        async def delete_all() -> None:
            await store.apply([Delete(ALICE, HASHES * 20, LATER)], now_ms=NOW_MS)
            order.append("all deleted")

        async def store_one() -> None:
            assert isinstance((await store.apply([put(message_of(b"beside"))], now_ms=NOW_MS))[0], Stored)
            order.append("stored")

        async with trio.open_nursery() as nursery:
            await nursery.start(started(delete_all))
            nursery.start_soon(store_one)
    assert ["stored", "all deleted"] == order


async def test_a_note_waits_for_all_that_came_before_it(tmp_path: Path) -> None:
    """A member follows a new document once that is noted, and what counted under the old one is on disk by then."""
    order: list[str] = []
    async with open_store(tmp_path / "store") as store:
        await store.apply([put(message) for message in MANY], now_ms=NOW_MS)

        async def do(what: str, *orders: object) -> None:
            await store.apply(orders, now_ms=NOW_MS)  # type: ignore[arg-type]
            order.append(what)

        async with trio.open_nursery() as nursery:
            await nursery.start(started(lambda: do("delete", Delete(ALICE, HASHES * 5, LATER))))
            await nursery.start(started(lambda: do("other delete", DeleteWhere(ALICE, None, None, LATER))))
            await nursery.start(started(lambda: do("note", Note("duties", b""))))
            await nursery.start(started(lambda: do("put", put(message_of(b"beside")))))
    assert order.index("note") > max(order.index("delete"), order.index("other delete"))
    assert "put" in order[:3]


async def test_closing_carries_out_all_portions(tmp_path: Path) -> None:
    engine = engine_in(tmp_path)
    writer = Writer(engine)
    writer.hand_in(Batch(tuple(put(message) for message in MANY), NOW_MS))
    writer.hand_in(Batch((Delete(ALICE, HASHES, LATER),), NOW_MS))
    await trio.to_thread.run_sync(writer.close)

    with InlineStore(str(tmp_path / FILE_NAME)) as store:
        assert [Retrieved((), False)] == store.apply([all_of()], now_ms=NOW_MS)


def started(work: object) -> object:
    async def run(*, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        task_status.started()
        await work()  # type: ignore[operator]

    return run
