"""The replay memory: what it accepts, for how long it remembers, and what it does when there is no room."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onionpath.crypto.tags import TagKey
from onionpath.errors import UsageError
from onionpath.injected import UnixTime
from onionpath.onion.replay import MemoryTables, Remembered, ReplayMemory, Table, slot_at

KEY = TagKey(b"k" * 32)
SLOT_S = 300
NOW = UnixTime(1_700_000_100.0)
SLOT = slot_at(NOW, SLOT_S)


def seed(number: int) -> bytes:
    return number.to_bytes(32, "big")


def memory(tables: MemoryTables | None = None) -> ReplayMemory:
    return ReplayMemory(tables or MemoryTables(), KEY, slot_s=SLOT_S)


class FullDisk(MemoryTables):
    """Tables on a disk that is full until it's told otherwise."""

    is_full = True

    def open_table(self, slot: int) -> Table | None:
        return None if self.is_full else super().open_table(slot)


class UnwritableState(MemoryTables):
    """Tables whose state cannot be recorded."""

    def record(self, *, highest: int, floor: int) -> bool:
        return False


def test_a_packet_is_fresh_once_and_replayed_ever_after() -> None:
    seen = memory()

    assert Remembered.FRESH is seen.remember(SLOT, seed(1), now=NOW)
    assert [Remembered.REPLAYED] * 4 == [seen.remember(SLOT, seed(1), now=NOW) for _ in range(4)]


def test_ten_thousand_packets_are_each_accepted_exactly_once() -> None:
    seen = memory(MemoryTables(capacity=2**14))

    first = [seen.remember(SLOT, seed(number), now=NOW) for number in range(10_000)]
    again = [seen.remember(SLOT, seed(number), now=NOW) for number in reversed(range(10_000))]

    assert {Remembered.FRESH} == set(first)
    assert {Remembered.REPLAYED} == set(again)


@pytest.mark.parametrize("offset", [-1, 0, 1])
def test_the_slots_around_now_are_open(offset: int) -> None:
    seen = memory()

    assert seen.is_open(SLOT + offset, NOW)
    assert Remembered.FRESH is seen.remember(SLOT + offset, seed(1), now=NOW)
    assert Remembered.REPLAYED is seen.remember(SLOT + offset, seed(1), now=NOW)


@pytest.mark.parametrize("offset", [-SLOT, -2, 2, 2**32 - 1 - SLOT])
def test_slots_further_away_are_closed(offset: int) -> None:
    seen = memory()

    assert not seen.is_open(SLOT + offset, NOW)
    assert Remembered.CLOSED is seen.remember(SLOT + offset, seed(1), now=NOW)


def test_a_slot_is_open_to_the_last_instant_of_the_next_one() -> None:
    seen = memory()
    end = UnixTime((SLOT + 2) * SLOT_S)

    assert seen.is_open(SLOT, UnixTime(end - 0.001))
    assert not seen.is_open(SLOT, end)
    assert Remembered.FRESH is seen.remember(SLOT, seed(1), now=UnixTime(end - 0.001))
    assert Remembered.CLOSED is seen.remember(SLOT, seed(2), now=end)


def test_a_packet_is_replayed_across_the_edge_of_a_slot() -> None:
    seen = memory()
    edge = UnixTime((SLOT + 1) * SLOT_S)
    seen.remember(SLOT, seed(1), now=UnixTime(edge - 1))

    assert Remembered.REPLAYED is seen.remember(SLOT, seed(1), now=UnixTime(edge + 1))


def test_a_clock_set_back_does_not_open_a_dropped_slot_again() -> None:
    seen = memory()
    seen.remember(SLOT, seed(1), now=NOW)
    seen.advance(UnixTime(NOW + 2 * SLOT_S))

    assert not seen.is_open(SLOT, NOW)
    assert Remembered.CLOSED is seen.remember(SLOT, seed(1), now=NOW)


def test_a_memory_that_starts_with_an_earlier_clock_keeps_the_floor_of_its_past() -> None:
    tables = MemoryTables()
    before = memory(tables)
    before.remember(SLOT, seed(1), now=NOW)
    before.advance(UnixTime(NOW + 2 * SLOT_S))

    after = memory(tables)

    assert not after.is_open(SLOT, NOW)
    assert Remembered.CLOSED is after.remember(SLOT, seed(1), now=NOW)
    assert SLOT + 2 == after.statistics().highest


def test_a_memory_over_the_same_tables_still_knows_the_packets() -> None:
    tables = MemoryTables()
    memory(tables).remember(SLOT, seed(1), now=NOW)

    after = memory(tables)

    assert Remembered.REPLAYED is after.remember(SLOT, seed(1), now=NOW)
    assert 1 == after.statistics().used[SLOT]


def test_slots_up_to_the_floor_are_closed_and_those_above_open() -> None:
    seen = memory(MemoryTables(floor=SLOT))

    assert [False, False, True] == [seen.is_open(SLOT + offset, NOW) for offset in (-1, 0, 1)]
    results = [seen.remember(SLOT + offset, seed(1), now=NOW) for offset in (-1, 0, 1)]
    assert [Remembered.CLOSED, Remembered.CLOSED, Remembered.FRESH] == results


def test_a_full_table_sheds_new_packets_and_forgets_none() -> None:
    seen = memory(MemoryTables(capacity=64))
    accepted = [seen.remember(SLOT, seed(number), now=NOW) for number in range(48)]

    assert {Remembered.FRESH} == set(accepted)
    assert Remembered.FULL is seen.remember(SLOT, seed(48), now=NOW)
    assert {Remembered.REPLAYED} == {seen.remember(SLOT, seed(number), now=NOW) for number in range(48)}
    assert Remembered.FRESH is seen.remember(SLOT + 1, seed(48), now=NOW)


def test_without_room_for_a_table_packets_are_shed_until_there_is_room() -> None:
    disk = FullDisk()
    seen = memory(disk)

    assert Remembered.FULL is seen.remember(SLOT, seed(1), now=NOW)
    disk.is_full = False
    assert Remembered.FULL is seen.remember(SLOT, seed(1), now=UnixTime(NOW + 0.5))
    assert Remembered.FRESH is seen.remember(SLOT, seed(1), now=UnixTime(NOW + 1.5))


def test_nothing_is_accepted_before_the_highest_slot_is_recorded() -> None:
    """Otherwise a restart with an earlier clock could open slots whose tags are gone."""
    assert Remembered.FULL is memory(UnwritableState()).remember(SLOT, seed(1), now=NOW)


def test_tables_of_passed_slots_are_dropped() -> None:
    seen = memory()
    for step in range(10):
        now = UnixTime(NOW + step * SLOT_S)
        seen.remember(SLOT + step, seed(step), now=now)

    assert {SLOT + 8, SLOT + 9, SLOT + 10} == set(seen.statistics().used)
    assert SLOT + 7 == seen.statistics().floor


def test_seeds_that_fall_on_one_entry_are_told_apart() -> None:
    """In a table of eight, six seeds must share entries, and wrap around its end."""
    seen = memory(MemoryTables(capacity=8))

    assert [Remembered.FRESH] * 6 == [seen.remember(SLOT, seed(number), now=NOW) for number in range(6)]
    assert [Remembered.REPLAYED] * 6 == [seen.remember(SLOT, seed(number), now=NOW) for number in range(6)]


@pytest.mark.parametrize("capacity", [0, 4, 7, 1000])
def test_a_capacity_that_is_no_power_of_two_is_refused(capacity: int) -> None:
    with pytest.raises(UsageError, match="power of two"):
        MemoryTables(capacity=capacity)


STEPS = st.lists(
    st.tuples(st.integers(-4, 4), st.integers(-3, 3), st.integers(0, 7), st.booleans()), max_size=60
)


@given(STEPS)
def test_no_packet_is_accepted_twice_whatever_the_clock_and_restarts_do(
    steps: list[tuple[int, int, int, bool]],
) -> None:
    tables = MemoryTables(capacity=64)
    seen, now = memory(tables), NOW
    accepted: set[tuple[int, int]] = set()
    for clock, offset, number, restarts in steps:
        now = UnixTime(now + clock * SLOT_S / 2)
        seen = memory(tables) if restarts else seen
        slot = slot_at(now, SLOT_S) + offset
        if seen.remember(slot, seed(number), now=now) is Remembered.FRESH:
            assert abs(offset) <= 1
            assert (slot, number) not in accepted
            accepted.add((slot, number))
