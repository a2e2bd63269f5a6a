"""``python -m simulations adversary`` from the command line."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from simulations.__main__ import cli
from simulations.adversary.commands import NAMES
from simulations.adversary.experiments import EXPERIMENTS
from simulations.adversary.figure import Curve, save


def test_the_command_line_names_all_experiments() -> None:
    assert NAMES == tuple(EXPERIMENTS)


@pytest.mark.slow
def test_equal_seeds_give_equal_json_and_progress_goes_elsewhere() -> None:
    arguments = ["adversary", "predecessor", "--clients", "20", "--relays", "100", "--json"]
    runs = [CliRunner().invoke(cli, arguments) for _ in range(2)]

    told = json.loads(runs[0].stdout)

    assert [0, 0] == [run.exit_code for run in runs]
    assert told == json.loads(runs[1].stdout)
    assert {"predecessor"} == {comparison["experiment"] for comparison in told["comparisons"]}
    assert "predecessor: 20 clients" in runs[0].stderr


@pytest.mark.slow
def test_what_is_out_of_bounds_ends_with_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A theory that is wrong on purpose."""
    monkeypatch.setattr("simulations.adversary.correlation.both_ends_uniform", lambda relays, bad: 0.5)

    run = CliRunner().invoke(cli, ["adversary", "predecessor", "--clients", "20", "--relays", "100"])

    assert 1 == run.exit_code
    assert "NO" in run.stdout


def test_an_unknown_experiment_is_refused() -> None:
    assert 2 == CliRunner().invoke(cli, ["adversary", "luck"]).exit_code


@pytest.mark.slow
def test_a_picture_is_drawn(tmp_path: Path) -> None:
    save([Curve("one", "tab:blue", (0, 1), (0.1, 0.2), (0.1, 0.2))], tmp_path / "exposure.png")

    assert b"\x89PNG" == (tmp_path / "exposure.png").read_bytes()[:4]
