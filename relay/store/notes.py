"""What replication keeps beside the rows, in the same commits: notes under names, and what members are owed.

Spec: docs/specs/replication.md §2.5, §4.1.
"""

from __future__ import annotations

from typing import Any

import apsw

from onionpath.swarm.operations import AccountId
from onionpath.swarm.reconciliation import Key, Note, Noted, NoteFound, Owe, Owed, OwedFound, Settle
from relay.store import statements


def note(asked: Note, connection: apsw.Connection) -> NoteFound:
    """Keep a note."""
    connection.execute(statements.SET_NOTE, (asked.name, asked.value))
    return NoteFound(asked.value)


def noted(asked: Noted, connection: apsw.Connection) -> NoteFound:
    """Read a note."""
    found: Any = connection.execute(statements.NOTE, (asked.name,)).fetchone()
    return NoteFound(found[0] if found else None)


def owe(asked: Owe, connection: apsw.Connection) -> OwedFound:
    """Remember what a member has missed, while there is room for it."""
    remembered: Any = connection.execute(statements.OWED_RANGE, (asked.member,)).fetchone()
    for key in asked.keys[: max(0, asked.most - remembered[0])]:
        connection.execute(statements.OWE, (asked.member, key.account, key.name))
    return OwedFound()


def owed(asked: Owed, connection: apsw.Connection) -> OwedFound:
    """What a member has missed."""
    found: Any = connection.execute(statements.OWED, (asked.member, asked.most)).fetchall()
    return OwedFound(tuple(Key(AccountId(account), name) for account, name in found))


def settle(asked: Settle, connection: apsw.Connection) -> OwedFound:
    """Forget what a member is owed."""
    if asked.keys is None:
        connection.execute(statements.SETTLE_ALL, (asked.member,))
    for key in asked.keys or ():
        connection.execute(statements.SETTLE, (asked.member, key.account, key.name))
    return OwedFound()
