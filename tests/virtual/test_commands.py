from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from simulations.__main__ import cli
from simulations.virtual.soak import Sample, growth


def test_a_scenario_runs_from_the_command_line_and_says_the_same_twice() -> None:
    arguments = ["virtual", "--relays", "5", "--clients", "2", "--hours", "0.2", "--seed", "3", "--churn", "2",
                 "--period", "300", "--rate", "0.1", "--json"]  # fmt: skip
    runs = [CliRunner().invoke(cli, arguments) for _ in range(2)]

    one, other = (json.loads(run.stdout) for run in runs)

    assert [0, 0] == [run.exit_code for run in runs]
    assert one["event_hash"] == other["event_hash"]
    assert (5, 2, 0.2, 3, 1) == (
        one["relays"],
        one["clients"],
        one["hours"],
        one["seed"],
        one["relays_replaced"],
    )
    assert one["requests"] == sum(one["endings"].values()) > 40
    assert "requests" in runs[0].stderr


def test_the_table_is_for_people() -> None:
    run = CliRunner().invoke(cli, ["virtual", "--relays", "4", "--hours", "0.05"])

    assert 0 == run.exit_code
    assert "× real time" in run.stdout
    assert "event hash" in run.stdout


@pytest.mark.slow
def test_a_soak_says_what_it_held_and_that_nothing_grew() -> None:
    run = CliRunner().invoke(
        cli,
        ["virtual", "soak", "--requests", "60", "--relays", "4", "--clients", "2", "--hours", "1", "--json"],
    )
    end = json.loads(run.stdout)

    assert (0, [], True) == (run.exit_code, end["growth"], end["is_balanced"])
    assert end["requests"] == end["endings"]["answered"] > 30
    assert 24 == len(end["samples"])
    assert "links" in run.stderr


def sample(number: int, **figures: float) -> Sample:
    values = {"resident_mb": 60.0, "objects": 50_000, "tasks": 100, "links": 9, "files": 6, "scheduled": 300}
    return Sample(at_h=number, requests=number, **{**values, **figures})  # type: ignore[arg-type]


@pytest.mark.parametrize("figure", ["objects", "tasks", "links", "files", "scheduled", "resident_mb"])
def test_whatever_grows_until_the_end_is_named(figure: str) -> None:
    rising = [sample(number, **{figure: 100.0 * number}) for number in range(24)]

    assert () == growth([sample(number) for number in range(24)])
    assert (f"{figure}: 1700.0 to 2300.0",) == growth(rising)
