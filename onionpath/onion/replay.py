"""What a relay remembers of the packets it has accepted, so that none is accepted twice.

Rules that hold here:

- A tag is set before the packet has any effect, and is never forgotten while its slot is open.
- A slot that was dropped lies at or below the floor, the floor only rises, and nothing at or below it is
  accepted. Therefore a clock that is set back re-opens nothing.
- The storage has recorded the highest slot durably before the first tag of that time is set.
- No room, in a table or on disk, means that packets are shed.

The window moves with the clock: with ``highest`` the latest slot that was ever "now", the tables of ``highest
- 1``, ``highest`` and ``highest + 1`` are open, and the floor is ``highest - 2`` or above.

Spec: docs/specs/onion-native.md (replay); docs/decisions/0004-slots-and-replay.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from onionpath.crypto.tags import TagKey
from onionpath.errors import UsageError
from onionpath.injected import UnixTime

DEFAULT_SLOT_S = 300
# 3,000 packets/s, the most that 60 % of a core can open, bring 900k tags in a slot. Twice that in entries (16
# MiB) leaves the table under half full, where a look-up reads two entries.
DEFAULT_CAPACITY = 2**21
ENTRY_SIZE = 8  # bytes
NO_SLOT = -1
# Above three quarters linear probing grows long: at 75 % an unknown tag reads 8 entries, at 90 % it reads 50.
_FULL_ABOVE = 0.75
# A disk that was full is asked again after this time instead of at every packet.
_RETRY_S = 1.0
_COUNT_STEP = 8192


def slot_at(now: UnixTime, slot_s: float) -> int:
    """The number of the time slot that contains ``now``: floor(now / slot_s)."""
    return int(now // slot_s)


class Remembered(Enum):
    """What became of a seed."""

    FRESH = "fresh"  # never seen, and remembered from now on
    REPLAYED = "replayed"
    FULL = "full"  # no room to remember it: shed the packet
    CLOSED = "closed"  # its slot isn't open now


class Table:
    """One slot's tags: open addressing with linear probing over 64-bit entries, 0 being an empty one.

    Args:
        entries: writable, format ``Q``; its length is a power of two.
        is_new: all entries are known to be 0, so none needs counting.

    Raises:
        UsageError: the length is not a power of two.
    """

    __slots__ = ("entries", "limit", "mask", "used")

    def __init__(self, entries: memoryview, *, is_new: bool) -> None:
        check_capacity(len(entries))
        self.entries = entries
        self.mask = len(entries) - 1
        self.limit = int(len(entries) * _FULL_ABOVE)
        self.used = 0 if is_new else len(entries) - _count_empty(entries)


def check_capacity(capacity: int) -> None:
    """Refuse a table size that probing by mask could not address.

    Raises:
        UsageError: not a power of two, or below 8.
    """
    if capacity < 8 or capacity & (capacity - 1):
        raise UsageError(f"a replay table has a power of two of entries, at least 8, not {capacity}")


def _count_empty(entries: memoryview) -> int:
    # In steps, because the list of a whole table would take a hundred megabytes.
    steps = range(0, len(entries), _COUNT_STEP)
    return sum(entries[start : start + _COUNT_STEP].tolist().count(0) for start in steps)


class Tables(Protocol):
    """Where tables lie: mapped files in a relay, memory in simulations."""

    @property
    def highest(self) -> int:
        """The latest slot that was "now" in an earlier life; ``NO_SLOT`` if there was none."""
        ...

    @property
    def floor(self) -> int:
        """No slot up to this one may be accepted; ``NO_SLOT`` at first."""
        ...

    def open_table(self, slot: int) -> Table | None:
        """The slot's table, with what it held before; None if there is no room for it."""
        ...

    def drop_table(self, slot: int) -> None:
        """Forget the slot's tags; the floor has been recorded above it."""
        ...

    def record(self, *, highest: int, floor: int) -> bool:
        """Make both durable before returning; False if that isn't possible now."""
        ...


@dataclass(frozen=True, slots=True)
class ReplayStatistics:
    """The window as it stands, and how many tags each open slot holds."""

    highest: int
    floor: int
    used: Mapping[int, int]
    capacity: int  # entries of the fullest-sized table; shed above three quarters of it


class ReplayMemory:
    """Remembers seeds by slot; about 1.2 microseconds per call of ``remember``.

    Args:
        tables: the storage, opened for this memory alone.
        key: the relay's secret for tags, as lasting as the storage.
        slot_s: length of a slot in seconds, a parameter of the network.
    """

    def __init__(self, tables: Tables, key: TagKey, *, slot_s: float = DEFAULT_SLOT_S) -> None:
        self._tables = tables
        self._tag = key.tag
        self._slot_s = slot_s
        self._floor = tables.floor
        self._highest = NO_SLOT
        self._open: dict[int, Table] = {}
        self._retry_at = 0.0

    def is_open(self, slot: int, now: UnixTime) -> bool:
        """Whether a packet of this slot may be accepted now; the cheap check before a packet is opened."""
        return slot > self._floor and -1 <= slot - now // self._slot_s <= 1

    def remember(self, slot: int, seed: bytes, *, now: UnixTime) -> Remembered:
        """Set the seed's tag; only on ``FRESH`` may the packet go on.

        Args:
            slot: from the packet's authenticated header.
            seed: 32 secret bytes of the opened layer, which nobody on the way can vary.
        """
        current = int(now // self._slot_s)
        if current > self._highest and not self._advance(current, now):
            return Remembered.FULL
        if not (self._floor < slot and current - 1 <= slot <= current + 1):
            return Remembered.CLOSED
        return self._set_tag(self._open[slot], self._tag(seed))

    @staticmethod
    def _set_tag(table: Table, tag: int) -> Remembered:
        entries, mask = table.entries, table.mask
        place = tag & mask
        # A comparison that isn't constant-time is safe: the tags are keyed, so that nobody can aim at one.
        while seen := entries[place]:
            if seen == tag:
                return Remembered.REPLAYED
            place = (place + 1) & mask
        if table.used >= table.limit:
            return Remembered.FULL
        entries[place] = tag
        table.used += 1
        return Remembered.FRESH

    def advance(self, now: UnixTime) -> None:
        """Move the window to ``now``, as any packet would; for relays that nobody uses at the moment."""
        current = slot_at(now, self._slot_s)
        if current > self._highest:
            self._advance(current, now)

    def _advance(self, current: int, now: UnixTime) -> bool:
        """Open, record, drop, in this order: being killed between two steps loses no tag and no floor."""
        if now < self._retry_at:
            return False
        # An earlier life may have been later: then its slots stay the highest, and those below stay closed.
        highest = max(current, self._tables.highest)
        floor = max(self._floor, highest - 2)
        if not self._open_window(highest, floor) or not self._tables.record(highest=highest, floor=floor):
            self._retry_at = now + _RETRY_S
            return False
        self._highest, self._floor = highest, floor
        for slot in [slot for slot in self._open if slot <= floor]:
            del self._open[slot]
            self._tables.drop_table(slot)
        return True

    def _open_window(self, highest: int, floor: int) -> bool:
        for slot in range(max(floor + 1, highest - 1), highest + 2):
            if slot not in self._open:
                table = self._tables.open_table(slot)
                if table is None:
                    return False
                self._open[slot] = table
        return True

    def statistics(self) -> ReplayStatistics:
        """The window and its fill, for metrics."""
        tables = self._open
        capacity = max((len(table.entries) for table in tables.values()), default=0)
        return ReplayStatistics(
            self._highest, self._floor, {slot: each.used for slot, each in tables.items()}, capacity
        )


class MemoryTables:
    """Tables that live as long as this object, for simulations and tests.

    Args:
        capacity: entries per slot, a power of two; 8 bytes each, allocated at once.
        floor: as an earlier life would have left it.
    """

    def __init__(self, *, capacity: int = 2**12, floor: int = NO_SLOT) -> None:
        check_capacity(capacity)
        self._capacity = capacity
        self._tables: dict[int, memoryview] = {}
        self.highest = NO_SLOT
        self.floor = floor

    def open_table(self, slot: int) -> Table | None:
        """The same entries for the same slot until it is dropped."""
        is_new = slot not in self._tables
        if is_new:
            self._tables[slot] = memoryview(bytearray(self._capacity * ENTRY_SIZE)).cast("Q")
        return Table(self._tables[slot], is_new=is_new)

    def drop_table(self, slot: int) -> None:
        """Forget the slot's tags."""
        self._tables.pop(slot, None)

    def record(self, *, highest: int, floor: int) -> bool:
        """Keep both for the next memory over these tables."""
        self.highest, self.floor = highest, floor
        return True
