"""Large changes cut into portions, each a commit of its own, so that nobody who writes beside one waits for all of it.

What is cut goes row by row anyway: a delete of ten thousand messages is a hundred deletes of a hundred, all of one
version. Whoever reads meanwhile, or finds the file after a crash, sees some of them carried out, as if less had been
asked for; nobody was told more by then. Spec: docs/specs/store.md §5.2.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from onionpath.swarm.operations import (
    Delete,
    Deleted,
    DeleteWhere,
    Expire,
    ExpireWhere,
    Expiring,
    NotDone,
    Put,
    Revoke,
    Shortened,
    Version,
)
from onionpath.swarm.reconciliation import LetGo, Owe, Removed, Settle, Take, Taken
from relay.store.batches import Answer, Batch, Order, Outcome
from relay.store.changes import Within

# About 4 ms of work, so that a commit has hardly more than its sync to wait for; and if each is of 76,800 bytes, which
# are overwritten, not more than the 8 MiB of a full group.
PORTION_ROWS = 100

Look = Callable[[DeleteWhere | ExpireWhere], Sequence[int]]
_ROW_BY_ROW = frozenset({Delete, DeleteWhere, Expire, ExpireWhere, Take, LetGo, Owe, Settle})


def rows_at_once(batch: Batch) -> int:
    """How many rows the next commit may have to touch for a batch."""
    rows = sum(map(_rows, batch.orders))
    return min(rows, PORTION_ROWS) if rows > PORTION_ROWS and is_divisible(batch) else rows


class Course:
    """A batch that is divisible on its way: portions that are left, answers so far.

    Args:
        look: the sequence numbers of the messages that a change by namespace is about, in order.
    """

    def __init__(self, batch: Batch, look: Look) -> None:
        self._batch = batch
        self._answers: list[list[Answer]] = [[] for _ in batch.orders]
        self._left = list(_portions(batch, look))[::-1]
        self._error: Exception | None = None

    @property
    def portion(self) -> Batch:
        """What the next commit carries out."""
        return Batch(tuple(order for _, order in self._left[-1]), self._batch.now_ms)

    def record(self, outcome: Outcome) -> None:
        """The next portion has been committed, or not; then neither is what is left."""
        if isinstance(outcome, Exception):
            self._error = outcome
            self._left.clear()
            return
        for (index, _), answer in zip(self._left.pop(), outcome, strict=True):
            self._answers[index].append(answer)
        refusal = next((answer for answer in outcome if isinstance(answer, NotDone)), None)
        if refusal is not None:
            # What is cut has room without asking: it is the file that failed, and no portion would fare better.
            for index in {index for portion in self._left for index, _ in portion}:
                self._answers[index].append(refusal)
            self._left.clear()

    @property
    def outcome(self) -> Outcome | None:
        """What the caller is told; None while portions are left."""
        if self._left:
            return None
        return self._error or [_together(answers) for answers in self._answers]


def is_divisible(batch: Batch) -> bool:
    """Whether a batch may be carried out in portions."""
    return all(
        type(order) in _ROW_BY_ROW and not (isinstance(order, Settle) and order.keys is None)
        for order in batch.orders
    )


def _rows(order: Order) -> int:
    match order:
        case Put():
            return 1
        case Delete(hashes=many) | Expire(hashes=many) | Take(rows=many) | LetGo(standings=many):
            return len(many)
        case Owe(keys=many) | Revoke(tokens=many):
            return len(many)
        case Settle(keys=keys):
            return len(keys or ())
        case DeleteWhere() | ExpireWhere():
            return PORTION_ROWS  # at least it may be so many
    return 1


def _portions(batch: Batch, look: Look) -> Iterator[list[tuple[int, Order]]]:
    """The batch's orders, cut and packed again, each with the number of the order that it is a piece of."""
    portion, room = list[tuple[int, Order]](), PORTION_ROWS
    for index, order in enumerate(batch.orders):
        for piece, rows in _pieces(order, look):
            if portion and rows > room:
                yield portion
                portion, room = [], PORTION_ROWS
            portion.append((index, piece))
            room -= max(1, rows)
    yield portion


def _pieces(order: Order, look: Look) -> Iterator[tuple[Order, int]]:
    """An order as several of the same kind, and how many rows each is about; at least one, which may be about none."""
    if isinstance(order, DeleteWhere | ExpireWhere):
        sequences = look(order)
        for start in _starts(len(sequences)):
            some = sequences[start : start + PORTION_ROWS]
            yield Within(order, some[0] if some else 0, some[-1] if some else 0), len(some)
        return
    for start in _starts(_rows(order)):
        piece = _slice_of(order, slice(start, start + PORTION_ROWS))
        yield piece, _rows(piece)


def _starts(rows: int) -> range:
    return range(0, max(1, rows), PORTION_ROWS)


def _slice_of(order: Order, some: slice) -> Order:
    match order:
        case Delete():
            return replace(order, hashes=order.hashes[some])
        case Expire():
            return replace(order, hashes=order.hashes[some], expiries_ms=order.expiries_ms[some])
        case Take():
            return replace(order, rows=order.rows[some])
        case LetGo():
            return replace(order, standings=order.standings[some])
        case Owe():
            return replace(order, keys=order.keys[some])
        case Settle(keys=keys):
            return replace(order, keys=keys and keys[some])
    return order


def _together(answers: Sequence[Answer]) -> Answer:
    """What an order is answered whose pieces were answered so."""
    refusal = next((answer for answer in answers if isinstance(answer, NotDone)), None)
    if refusal is not None or len(answers) == 1:
        return refusal or answers[0]
    match answers[0]:
        case Deleted():
            parts = [each for each in answers if isinstance(each, Deleted)]
            unmarked = frozenset[str]().union(*(each.unmarked for each in parts))
            return Deleted(_by_namespace([each.by_namespace for each in parts]), _latest(parts), unmarked)
        case Shortened():
            shortened = [each for each in answers if isinstance(each, Shortened)]
            return Shortened(_by_namespace([each.by_namespace for each in shortened]), _latest(shortened))
        case Expiring():
            expiring = [each for each in answers if isinstance(each, Expiring)]
            return Expiring(
                {name: at_ms for each in expiring for name, at_ms in each.updated.items()},
                {name: at_ms for each in expiring for name, at_ms in each.unchanged.items()},
                _latest(expiring),
            )
        case Taken():
            taken = [each for each in answers if isinstance(each, Taken)]
            return Taken(
                sum(each.changed for each in taken),
                tuple(key for each in taken for key in each.wrong),
                tuple(key for each in taken for key in each.refused),
            )
        case Removed():
            return Removed(sum(each.rows for each in answers if isinstance(each, Removed)))
    return answers[-1]


def _by_namespace(parts: Sequence[Mapping[int, tuple[str, ...]]]) -> dict[int, tuple[str, ...]]:
    names: defaultdict[int, list[str]] = defaultdict(list)
    for part in parts:
        for namespace, some in part.items():
            names[namespace] += some
    return {namespace: tuple(sorted(names[namespace])) for namespace in sorted(names)}


def _latest(parts: Sequence[Deleted | Shortened | Expiring]) -> Version | None:
    return max((each.outdone_by for each in parts if each.outdone_by is not None), default=None)
