"""``onionpath path show`` and ``explain``: what they say of a real network, and how they end."""

from __future__ import annotations

import io
import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from onionpath import cli
from onionpath.cli_path_sections import REASONS, as_lines, explain_sections, renderables, show_sections
from onionpath.path import choose, constraints, roles, rules
from tests.client.worlds import World
from tests.directory.networks import NOW, root
from tests.directory.networks import network as exitless

Show = Callable[..., tuple[int, str, str]]


@pytest.fixture
def show(
    world: World, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> Show:
    """``onionpath path …`` of this network, with one state: exit code, standard output, standard error."""
    monkeypatch.delenv("ONIONPATH_STATE", raising=False)

    def run(*arguments: object) -> tuple[int, str, str]:
        options = ["--network", world.file, "--state", tmp_path / "state"]
        with pytest.raises(SystemExit) as caught:
            cli.main([str(each) for each in ("path", *arguments, *options)])
        said = capfdbinary.readouterr()
        assert isinstance(caught.value.code, int)
        return caught.value.code, said.out.decode(), said.err.decode()

    return run


def exit_port(world: World) -> int:
    return world.http_port


def test_a_path_its_guards_and_the_budget_are_shown(show: Show, world: World) -> None:
    code, out, err = show("show", "--json", "--port", exit_port(world))
    shown = json.loads(out)

    assert (0, "") == (code, err)
    assert (3, None) == (len(shown["path"]), shown["no_path"])
    assert shown["path"][0]["id"] in {each["id"] for each in shown["guards"] if each["state"] == "in use"}
    assert shown["path"][1]["id"] in {each["id"] for each in shown["middles"]}
    assert [30, 180, 365] == [each["days"] for each in shown["budget"]["over_time"]]
    assert 0.573 == round(shown["budget"]["over_time"][2]["guard"], 3)


def test_the_next_run_shows_the_same_guards(show: Show) -> None:
    first, second = (json.loads(show("show", "--json")[1]) for _ in range(2))

    assert [each["id"] for each in first["guards"]] == [each["id"] for each in second["guards"]]
    assert first["middles"] == second["middles"]


@pytest.mark.parametrize(("given", "share"), [("5%", 0.05), ("0.05", 0.05), ("12.5%", 0.125)])
def test_the_bad_share_is_a_matter_of_opinion(show: Show, given: str, share: float) -> None:
    assert share == json.loads(show("show", "--json", "--bad", given)[1])["budget"]["bad_share"]


@pytest.mark.parametrize("given", ["10", "0", "100%", "x", "-5%", "nan", ""])
def test_what_is_no_share_is_refused(show: Show, given: str) -> None:
    code, out, err = show("show", "--bad", given)

    assert (2, "") == (code, out)
    assert "write 10% or 0.1" in err


def test_people_get_lines(show: Show, world: World) -> None:
    code, out, err = show("show", "--host", "Example.org.", "--port", exit_port(world))

    assert (0, "") == (code, err)
    assert f"a path to example.org, port {exit_port(world)}" == out.splitlines()[0]
    assert "365 days  57.3 %" in out
    assert "nothing prevents it" in out
    assert "\x1b" not in out


def test_80_columns_show_each_guard_in_one_line(show: Show) -> None:
    shown = json.loads(show("show", "--json")[1])
    drawn = io.StringIO()

    Console(file=drawn, width=80).print(*renderables(show_sections(shown)[1:2]), sep="\n")

    for guard in shown["guards"]:
        (line,) = [line for line in drawn.getvalue().splitlines() if guard["id"][:16] in line]
        assert {guard["address"], "0/0"} <= set(line.split())


def test_when_a_guard_is_down_its_next_try_is_shown(show: Show) -> None:
    shown = json.loads(show("show", "--json")[1])
    assert "retry" not in show_sections(shown)[1].columns

    shown["guards"][0]["retry_at"] = float(NOW)
    section = show_sections(shown)[1]

    assert "retry" == section.columns[-1]
    assert section.rows[0][-1].endswith(" UTC")
    assert "" == section.rows[1][-1]


def test_each_place_is_explained(show: Show, world: World) -> None:
    code, out, _ = show("explain", "--json", "--port", exit_port(world))
    shown = json.loads(out)

    assert 0 == code
    assert [3, 1, 2] == [each["position"] for each in shown["positions"]]
    for each in shown["positions"]:
        assert each["relays"] == each["possible"] + sum(each["refused"].values())
        assert each["chosen"] == shown["path"][each["position"] - 1]["id"]


def test_people_are_told_the_reasons_in_words(show: Show) -> None:
    _, out, _ = show("explain")

    assert "hop 1, the guard: the first that fits, in order" in out
    assert "on the path already" in out
    assert "already-on-path" not in out


def test_without_a_path_the_guards_are_shown_before_the_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a directory that is fresh on disk, so that nobody is asked; none of its relays is an exit."""
    monkeypatch.setattr("time.time", lambda: float(NOW))
    folder = tmp_path / "state" / root().network_id.hex()[:16]
    folder.mkdir(parents=True)
    (folder / "directory").write_bytes(exitless().directory().encode())
    (tmp_path / "root").write_bytes(root().encode())
    with pytest.raises(SystemExit) as ended:
        cli.main(["path", "show", "--network", f"{tmp_path / 'root'}", "--state", f"{tmp_path / 'state'}"])
    out, err = capsys.readouterr()

    assert 4 == ended.value.code
    assert "no path to any host, port 443" in out
    assert "guards, in order" in out
    assert "error: no path: 5 × port-not-allowed\n" == err


@pytest.mark.parametrize("host", ["127.1", "a_b", "", "a b"])
def test_what_is_no_host_is_refused(show: Show, host: str) -> None:
    code, out, err = show("show", "--host", host)

    assert (2, "") == (code, out)
    assert "neither a DNS name nor an IP address" in err


@pytest.mark.parametrize(("host", "name"), [("[::1]", "::1"), ("\u00e4.example", "xn--4ca.example")])
def test_one_host_has_one_spelling(show: Show, host: str, name: str) -> None:
    shown = json.loads(show("show", "--host", host, "--json", "--port", 443)[1])

    assert {"host": name, "port": 443, "isolation": f"origin {name}:443"} == shown["destination"]


def test_a_damaged_file_of_guards_is_told(show: Show, tmp_path: Path) -> None:
    show("show")
    (file,) = (tmp_path / "state").glob("*/guards")
    file.write_bytes(file.read_bytes()[:-10])
    _, out, err = show("show", "--json")

    assert "damaged" in json.loads(out)["state_problem"]
    assert "warning: " in err


def test_without_a_network_it_says_how_to_get_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ONIONPATH_NETWORK", raising=False)
    with pytest.raises(SystemExit) as ended:
        cli.main(["path", "show"])

    assert 2 == ended.value.code
    assert "ONIONPATH_NETWORK" in capsys.readouterr().err


@pytest.mark.slow
def test_on_a_terminal_tables_are_drawn(world: World, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "onionpath", "path", "show"]
    options = ["--network", str(world.file), "--state", str(tmp_path)]
    with subprocess.Popen(
        [*command, *options], stdout=theirs, stderr=subprocess.PIPE, env={**os.environ, "TERM": "xterm"}
    ) as process:
        os.close(theirs)
        shown = b""
        try:
            while part := os.read(ours, 65_536):
                shown += part
        except OSError:
            pass  # Linux's end of a terminal.
        code = process.wait(30)
    os.close(ours)

    assert 0 == code
    assert "┃".encode() in shown


def test_every_reason_has_words() -> None:
    """A new name of a reason must not reach people as it is."""
    sources = "".join(
        Path(module.__file__).read_text() for module in (choose, constraints, roles, rules) if module.__file__
    )
    named = {
        word for word in sources.split('"')[1::2] if "-" in word and word == word.lower() and " " not in word
    }

    assert named <= REASONS.keys()


def test_a_reason_without_words_is_shown_by_its_name() -> None:
    shown = {
        "document": 1,
        "relays": 2,
        "destination": {"host": None, "port": 1, "isolation": None},
        "path": [],
        "no_path": "none",
        "positions": [{"position": 1, "chosen": "aa", "possible": 1, "relays": 2, "refused": {"new-one": 1}}],
    }

    assert any("new-one" in line for line in as_lines(explain_sections(shown)))
