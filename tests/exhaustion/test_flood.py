"""A relay that fifty clients flood with valid packets still serves, and is itself again once they are gone."""

from __future__ import annotations

import pytest

from simulations.bench.accounted import account_flood


@pytest.mark.slow
def test_fifty_full_rate_clients_leave_an_honest_relay_four_fifths_of_its_peak_and_no_trace() -> None:
    figures = account_flood(50)

    assert figures.share_of_peak >= 0.8
    assert figures.together_per_second >= 0.95 * figures.peak_per_second
    assert figures.recovered_after_s <= 1.0
