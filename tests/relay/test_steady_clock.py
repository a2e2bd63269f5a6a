"""The time that a relay goes by, whatever its machine's clock does."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from onionpath.injected import SteadyClock

NOW = 1_800_000_000.0


@given(st.lists(st.tuples(st.floats(-5_000, 5_000), st.floats(0, 100)), min_size=1, max_size=50))
def test_the_clock_never_goes_back(steps: list[tuple[float, float]]) -> None:
    """A clock that is set back would re-open time slots whose tags are gone."""
    wall, monotonic = NOW, 5.0
    clock = SteadyClock(lambda: wall, lambda: monotonic)
    before = clock.now()
    for jump, passed in steps:
        wall += jump + passed
        monotonic += passed
        now = clock.now()
        assert before <= now
        assert now >= wall - SteadyClock.STEP_S - 1e-3
        before = now
