"""What is within, what is not, and what a reader of the table sees of it."""

import json

import pytest

from simulations.adversary.comparisons import at_most, equal
from simulations.adversary.plan import Plan
from simulations.adversary.report import as_json, print_table


@pytest.mark.parametrize(("hits", "expected"), [(100, True), (137, True), (139, False), (61, False)])
def test_a_share_is_within_four_standard_deviations(hits: int, expected: bool) -> None:
    """Of a tenth in 1,000 trials one is 9.5 hits."""
    assert expected == equal("e", "w", theory=0.1, hits=hits, trials=1_000).is_within


def test_a_bound_is_widened_by_sampling_only_where_there_are_trials() -> None:
    assert [True, False] == [at_most("e", "w", bound=4, ours=ours).is_within for ours in (4, 5)]
    assert at_most("e", "w", bound=0.1, ours=0.13, trials=1_000).is_within


def test_json_has_the_plan_each_comparison_and_the_judgement() -> None:
    comparisons = [at_most("e", "good", bound=1, ours=1), at_most("e", "bad", bound=1, ours=2)]

    told = json.loads(as_json(Plan(seed=3), comparisons))

    assert (3, False) == (told["plan"]["seed"], told["is_within"])
    assert [("good", True), ("bad", False)] == [
        (each["what"], each["is_within"]) for each in told["comparisons"]
    ]


def test_the_table_names_what_is_out_of_bounds(capsys: pytest.CaptureFixture[str]) -> None:
    print_table([at_most("e", "a bound", bound=1, ours=2)])

    head, row = capsys.readouterr().out.splitlines()
    assert ["experiment", "what", "theory", "published", "ours", "allowed", "within"] == head.split()
    assert ["e", "a", "bound", "1", "2", "0", "to", "1", "NO"] == row.split()
