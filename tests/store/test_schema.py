"""The file's format: set up as promised, migrated from every earlier version, never taken back."""

from __future__ import annotations

from pathlib import Path
from random import Random

import apsw
import pytest

from relay.store import statements
from relay.store.inline import InlineStore
from relay.store.schema import MIGRATIONS, NewerSchemaError, connect, connect_reader, migrate
from simulations.disk.simulated import SimulatedDisk
from tests.store.accounts import NOW_MS, message_of, put
from tests.store.test_exchange import live_names

NEXT = (*MIGRATIONS, "ALTER TABLE rows ADD COLUMN colour TEXT; CREATE INDEX rows_colour ON rows (colour);")


def test_a_connection_is_set_up_for_safety(tmp_path: Path) -> None:
    connection = connect(str(tmp_path / "store.db"))
    expected = {
        "journal_mode": "wal",
        "synchronous": 2,
        "secure_delete": 1,
        "trusted_schema": 0,
        "cell_size_check": 1,
    }
    assert expected == {name: connection.pragma(name) for name in expected}
    migrate(connection)
    reader = connect_reader(str(tmp_path / "store.db"))
    assert [1, 0, 1] == [reader.pragma(name) for name in ("query_only", "trusted_schema", "cell_size_check")]
    connection.close()
    reader.close()


@pytest.mark.parametrize("version", range(len(MIGRATIONS)))
def test_every_earlier_version_is_brought_to_the_latest(version: int) -> None:
    connection, latest = connect(":memory:"), connect(":memory:")
    migrate(connection, MIGRATIONS[:version])
    migrate(latest)

    assert version == migrate(connection)

    assert tables(latest) == tables(connection)


def tables(connection: apsw.Connection) -> list[tuple[object, ...]]:
    return connection.execute("SELECT type, name, sql FROM sqlite_schema ORDER BY name").fetchall()


def test_messages_survive_a_migration(tmp_path: Path) -> None:
    path = str(tmp_path / "store.db")
    message = message_of(b"hello")
    with InlineStore(path) as store:
        store.apply([put(message)], now_ms=NOW_MS)
    connection = connect(path)
    assert len(MIGRATIONS) == migrate(connection, NEXT)
    assert [(None,)] == connection.execute("SELECT colour FROM rows").fetchall()
    connection.close()


def test_a_migration_that_is_killed_anywhere_leaves_either_version() -> None:
    choice, disk = Random(1), SimulatedDisk()
    with InlineStore("store.db", vfs=disk.vfs) as store:
        store.apply([put(message_of(b"hello"))], now_ms=NOW_MS)
    images: list[SimulatedDisk] = []
    disk.before_change = lambda: images.append(disk.after_power_loss(choice))
    connection = connect("store.db", vfs=disk.vfs, is_exclusive=True)
    migrate(connection, NEXT)
    connection.close()

    found = set()
    for image in images:
        connection = connect("store.db", vfs=image.vfs, is_exclusive=True)
        found.add(migrate(connection, NEXT))
        assert [(message_of(b"hello").data,)] == connection.execute("SELECT data FROM rows").fetchall()
        connection.close()
    assert {len(MIGRATIONS), len(NEXT)} == found


def test_a_file_of_a_later_program_is_left_alone(tmp_path: Path) -> None:
    path = str(tmp_path / "store.db")
    with InlineStore(path) as store:
        store.apply([put(message_of(b"hello"))], now_ms=NOW_MS)
    connection = connect(path)
    migrate(connection, NEXT)
    connection.close()

    with pytest.raises(NewerSchemaError, match=f"format {len(NEXT)}"):
        InlineStore(path)

    connection = connect(path)
    assert len(NEXT) == connection.pragma("user_version")
    connection.close()


# These few read everything, by their purpose: at the start, and after damage.
READ_ALL = {"TOTAL_SIZE", "FORGET_ORPHANS", "FORGET_BUCKETS", "ROWS_AFTER"}
STATEMENTS = {name: text for name, text in vars(statements).items() if name.isupper() and name[0] != "_"}


@pytest.mark.parametrize("name", sorted(STATEMENTS.keys() - READ_ALL))
def test_every_statement_is_answered_by_an_index(name: str) -> None:
    connection = connect(":memory:")
    migrate(connection)
    text = STATEMENTS[name]

    places = 2 if "?2" in text else 1 if "?1" in text else text.count("?")
    plan = [row[-1] for row in connection.execute(f"EXPLAIN QUERY PLAN {text}", (None,) * places)]

    assert [] == [step for step in plan if step.startswith("SCAN") and "rows" in step.split()]
    assert [] == [step for step in plan if "TEMP B-TREE" in step and name != "BEYOND_LATEST"]


def test_a_store_is_opened_again_with_what_it_had(tmp_path: Path) -> None:
    message = message_of(b"hello")
    with InlineStore(str(tmp_path / "store.db")) as store:
        store.apply([put(message)], now_ms=NOW_MS)
        size = store.statistics().size
    with InlineStore(str(tmp_path / "store.db")) as store:
        assert ([message.hash], size) == (live_names(store), store.statistics().size)
