"""What one caller wants of a store, and what it is answered."""

from __future__ import annotations

from dataclasses import dataclass

from onionpath.swarm.operations import (
    Expiries,
    IsRevoked,
    NewestVersion,
    NotDone,
    Operation,
    Put,
    Result,
    Retrieve,
)
from onionpath.swarm.reconciliation import (
    Count,
    Digests,
    Fetch,
    Finding,
    List,
    Missing,
    Note,
    Noted,
    Owed,
    Take,
    Upkeep,
)
from relay.store.changes import Within


@dataclass(frozen=True, slots=True)
class Repair:
    """Remove rows that were found damaged; with ``all`` count everything anew as well."""

    sequences: tuple[int, ...]
    all: bool = False


Answer = Result | Finding
Order = Operation | Upkeep | Repair | Within
Reading = (
    Retrieve | Expiries | IsRevoked | NewestVersion | Digests | List | Fetch | Count | Missing | Noted | Owed
)
Outcome = list[Answer] | Exception


@dataclass(frozen=True, slots=True)
class Batch:
    """What one caller wants, in order; all of it is carried out, or nothing."""

    orders: tuple[Order, ...]
    now_ms: int

    @property
    def size(self) -> int:
        """Bytes of data that it carries."""
        return sum(_data_size(order) for order in self.orders)

    @property
    def is_reading(self) -> bool:
        """Whether it changes nothing."""
        return all(isinstance(order, Reading) for order in self.orders)

    @property
    def is_note(self) -> bool:
        """Whether it notes something that holds of all that came before it."""
        return any(isinstance(order, Note) for order in self.orders)

    def answers(self, reason: NotDone) -> list[Answer]:
        """The same reason for everything."""
        return [reason for _ in self.orders]


def _data_size(order: Order) -> int:
    match order:
        case Put():
            return len(order.message.data)
        case Take():
            return sum(len(row.data or b"") for row in order.rows)
        case Note():
            return len(order.value)
    return 0
