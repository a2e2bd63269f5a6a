"""What clients ask a store; nothing here writes, so any connection will do.

Whatever is given out was checked: a row that is damaged is left out, and its sequence number is added to ``damaged``.
Spec: docs/specs/store.md §1.4, §2.5, §6.1.
"""

from __future__ import annotations

from typing import Any

import apsw

from onionpath.swarm.operations import (
    AccountId,
    Expiries,
    Expiring,
    IsRevoked,
    Message,
    NewestVersion,
    Question,
    Result,
    Retrieve,
    Retrieved,
    Revoked,
    Version,
    VersionFound,
)
from onionpath.swarm.reconciliation import Kind
from relay.store import statements
from relay.store.rows import DamagedRowError, Held, held_of, message_of, row_of


def answer(question: Question, connection: apsw.Connection, damaged: set[int], *, now_ms: int) -> Result:
    """Answer one question."""
    account = connection.execute(statements.ACCOUNT, (question.account,)).fetchone()
    number = account[0] if account else None
    match question:
        case Retrieve():
            return _retrieve(question, number, connection, damaged, now_ms)
        case Expiries():
            return _expiries(question, number, connection, damaged, now_ms)
        case IsRevoked():
            held = find(question.account, number, question.token.hex(), connection, damaged)
            return Revoked(int(held is not None and held.standing.kind is Kind.REVOKED))
        case NewestVersion():
            return VersionFound(Version(account[1] if account else 0))


def find(
    account: AccountId, number: int | None, name: str, connection: apsw.Connection, damaged: set[int]
) -> Held | None:
    """The row of a key, if there is a whole one."""
    if number is None:
        return None
    columns = connection.execute(statements.ROW, (number, name.encode(errors="replace"))).fetchone()
    try:
        return None if columns is None else held_of(account, columns)
    except DamagedRowError as error:
        damaged.add(error.sequence)
        return None


def _retrieve(
    asked: Retrieve, number: int | None, connection: apsw.Connection, damaged: set[int], now_ms: int
) -> Retrieved:
    if number is None:
        return Retrieved((), False)
    after = 0
    if asked.after is not None:
        values = (number, asked.after.encode(errors="replace"), asked.namespace, now_ms)
        after = (connection.execute(statements.SEQUENCE_OF, values).fetchone() or (0,))[0]
    room, given = asked.max_size, list[Message]()
    for columns in connection.execute(statements.MESSAGES, (number, asked.namespace, after, now_ms)):
        message = _checked(asked.account, columns, damaged)
        if message is None:
            continue
        room -= retrieved_size(message)
        if given and (room < 0 or len(given) == asked.most):
            return Retrieved(tuple(given), True)
        given.append(message)
    return Retrieved(tuple(given), False)


def retrieved_size(message: Message) -> int:
    """What a message counts for ``max_size``: its base64, and Session's allowance for the rest."""
    return len(message.data) * 4 // 3 + 143


def _checked(account: AccountId, columns: tuple[Any, ...], damaged: set[int]) -> Message | None:
    try:
        *of_row, data = columns
        return message_of(row_of(held_of(account, tuple(of_row)), data))
    except DamagedRowError as error:
        damaged.add(error.sequence)
        return None


def _expiries(
    asked: Expiries, number: int | None, connection: apsw.Connection, damaged: set[int], now_ms: int
) -> Expiring:
    found = (
        (name, find(asked.account, number, name, connection, damaged)) for name in dict.fromkeys(asked.hashes)
    )
    return Expiring(
        {name: held.standing.expiry_ms for name, held in found if held and held.is_served(now_ms)}
    )
