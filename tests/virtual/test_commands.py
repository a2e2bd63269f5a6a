from __future__ import annotations

import json

from click.testing import CliRunner

from simulations.__main__ import cli


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
