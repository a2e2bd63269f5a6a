"""Rows on their way between two members: fetched from one store, taken by the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from onionpath.crypto.identity import RelayId
from onionpath.swarm.reconciliation import Fetch, Fetched, Key, Row, Settle, Take, Taken
from relay.store.replica.messages import (
    MAX_ROWS_SIZE,
    MAX_STANDINGS,
    Bring,
    Brought,
    Give,
    KeyForm,
    RowForm,
    Took,
)
from relay.store.replica.steps import Event
from relay.store.replica.surroundings import Surroundings
from relay.store.replica.talk import Talk, ask, store

# A client waits while its change is brought together, and one of several members may be slow on purpose.
MOST_WAITED_MS = 5_000


def take(
    around: Surroundings, relay: RelayId, keys: Sequence[Key], *, later: list[Event] | None = None
) -> Talk[bool]:
    """Fetch rows from another member into our store; whether all came that it has, and all had room.

    Args:
        later: as for ``wait_for``; somebody waits for it then, so that it ends in time.
    """
    began_ms = around.now_ms
    for part in _parts(keys):
        left = list(part)
        while left:
            if later is not None and around.now_ms > began_ms + MOST_WAITED_MS:
                return False
            heard = yield from ask(around, relay, Bring([KeyForm.of(key) for key in left]), later=later)
            if heard is None or not isinstance(heard.answer, Brought):
                return False
            rows = tuple(row.value() for row in heard.answer.rows)
            # A liar could bring what nobody would take from him, of accounts elsewhere.
            asked, left = set(left), [key.value() for key in heard.answer.left]
            if not asked.issuperset(row.standing.key for row in rows) or not asked > set(left):
                return False
            if rows and not (yield from _took_all(rows, later)):
                return False
    return True


def _took_all(rows: tuple[Row, ...], later: list[Event] | None) -> Talk[bool]:
    (taken,) = yield from store(Take(rows), later=later)
    return isinstance(taken, Taken) and not taken.refused


def give(
    around: Surroundings, relay: RelayId, keys: Sequence[Key], *, later: list[Event] | None = None
) -> Talk[bool]:
    """Send rows to another member; whether it has taken all that we have. ``later`` as for ``take``."""
    began_ms = around.now_ms
    for part in _parts(keys):
        left = tuple(part)
        while left:
            if later is not None and around.now_ms > began_ms + MOST_WAITED_MS:
                return False
            (fetched,) = yield from store(Fetch(left, MAX_ROWS_SIZE), later=later)
            if not isinstance(fetched, Fetched) or len(fetched.left) >= len(left):
                return False
            if fetched.rows:
                rows = [RowForm.of(row) for row in fetched.rows]
                heard = yield from ask(around, relay, Give(rows), later=later)
                if heard is None or heard.answer != Took(0):
                    return False
                around.counts = around.counts._replace(given=around.counts.given + len(rows))
            left = fetched.left
    return True


def deliver(around: Surroundings, relay: RelayId, keys: tuple[Key, ...]) -> Talk[bool]:
    """Give a member what it is owed."""
    if not (yield from give(around, relay, keys)):
        return False
    yield from store(Settle(relay, keys))
    return True


def _parts(keys: Sequence[Key]) -> Iterator[tuple[Key, ...]]:
    return (tuple(keys[start : start + MAX_STANDINGS]) for start in range(0, len(keys), MAX_STANDINGS))
