"""How many members decide, and how many must be read so that nothing that was decided is missed."""

from __future__ import annotations

import pytest

from onionpath.swarm.majorities import enough_to_read, majority


@pytest.mark.parametrize(
    ("members", "decide", "read"), [(5, 3, 3), (6, 4, 3), (7, 4, 4), (1, 1, 1), (10, 6, 5)]
)
def test_a_swarm_of_each_size_has_its_majority(members: int, decide: int, read: int) -> None:
    assert (decide, read) == (majority(members), enough_to_read(members))


@pytest.mark.parametrize("members", range(1, 12))
def test_whoever_reads_enough_meets_each_majority_and_asks_nobody_too_many(members: int) -> None:
    assert members + 1 == majority(members) + enough_to_read(members)
