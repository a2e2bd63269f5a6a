"""How a store is opened: checked, brought to the latest format, and begun anew if it is beyond repair.

Spec: docs/specs/store.md §5.1, §6.2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import apsw

from relay.store.damage import is_sound
from relay.store.schema import migrate


@dataclass(frozen=True, slots=True)
class Opened:
    """A store that is ready.

    Args:
        was_damaged: what had been in the file was set aside; peers must refill it before this replica answers.
    """

    connection: apsw.Connection
    was_damaged: bool


def open_sound(
    connect: Callable[[], apsw.Connection], *, set_aside: Callable[[], object], is_quick: bool
) -> Opened:
    """Open a store.

    Args:
        set_aside: removes the file from where ``connect`` looks for it.
        is_quick: leave out the check of indexes against rows, which takes several times as long.

    Raises:
        NewerSchemaError: the file is of a later program; it is left alone.
        apsw.Error: even an empty file can't be opened here.
    """
    connection = _try(connect, is_quick)
    if connection is not None:
        return Opened(connection, was_damaged=False)
    set_aside()
    connection = connect()
    migrate(connection)
    return Opened(connection, was_damaged=True)


def _try(connect: Callable[[], apsw.Connection], is_quick: bool) -> apsw.Connection | None:
    try:
        connection = connect()
    except (apsw.CorruptError, apsw.NotADBError):
        return None
    try:
        if is_sound(connection, is_quick=is_quick):
            migrate(connection)
            return connection
    except (apsw.CorruptError, apsw.NotADBError, apsw.SQLError):
        pass
    except BaseException:
        connection.close()
        raise
    connection.close()
    return None
