"""The bytes that all streams of an exit hold, counted in one place.

Each stream has a small floor for itself in each direction, and what it holds beyond comes out of a budget
that all share: streams that hoard can slow others down to their floor, but not stop them. Who gets nothing
waits, and
the server or the client behind it is slowed down; nothing is dropped.
"""

from __future__ import annotations

import trio


class Budget:
    """Bytes that all accounts share.

    Args:
        limit: bytes.
    """

    def __init__(self, limit: int) -> None:
        self._left = limit
        self.freed = trio.lowlevel.ParkingLot()
        """Where whoever was granted nothing waits; all are woken whenever an account gives something back."""

    def reserve(self, wanted: int) -> int:
        """Take up to that many bytes and say how many."""
        granted = min(wanted, self._left)
        self._left -= granted
        return granted

    def release(self, count: int) -> None:
        """Give bytes back."""
        self._left += count
        self.freed.unpark_all()


class Account:
    """What one stream holds in one direction.

    Args:
        floor: bytes that need no share of the budget.
    """

    def __init__(self, budget: Budget, floor: int) -> None:
        self._budget = budget
        self._floor = floor
        self._held = 0

    @property
    def held(self) -> int:
        """Bytes held now."""
        return self._held

    def hold(self, wanted: int) -> int:
        """Take up to that many bytes and say how many; 0 when the floor and the budget are used up."""
        from_floor = min(wanted, max(0, self._floor - self._held))
        granted = from_floor + self._budget.reserve(wanted - from_floor)
        self._held += granted
        return granted

    def free(self, count: int) -> None:
        """Give bytes back, first those of the budget."""
        shared = max(0, self._held - self._floor)
        self._held -= count
        self._budget.release(shared - max(0, self._held - self._floor))

    def close(self) -> None:
        """Give everything back."""
        self.free(self._held)
