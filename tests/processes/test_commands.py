"""``python -m simulations`` as a person at a shell meets it, Ctrl-C included."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from simulations.local.website import PAGE

pytestmark = pytest.mark.processes

ROOT = Path(__file__).parents[2]
FAST_S, DEADLINE_S = 0.5, 30.0


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "simulations", *arguments]
    return subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        env={**os.environ, **environment},
    )


@contextmanager
def running(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "simulations", *arguments]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def parents() -> dict[int, int]:
    """Every living process and its parent; those that only wait to be reaped count as gone."""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            except OSError:
                continue
            if state != "Z":
                found[int(folder.name)] = int(parent)
    return found


def descendants(pid: int) -> set[int]:
    parent_of = parents()
    found, added = {pid}, {pid}
    while added:
        added = {child for child, parent in parent_of.items() if parent in added}
        found |= added
    return found


def are_gone(pids: set[int], *, timeout_s: float) -> bool:
    ends_at = time.monotonic() + timeout_s
    while pids & parents().keys():
        if time.monotonic() > ends_at:
            return False
        os.sched_yield()
    return True


def first_json(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    facts = json.loads(process.stdout.readline())
    assert isinstance(facts, dict)
    return facts


def test_help_answers_at_once_and_names_both_commands() -> None:
    started_at = time.monotonic()
    shown = run("--help")

    assert FAST_S > time.monotonic() - started_at
    assert 0 == shown.returncode
    assert "demo" in shown.stdout
    assert "local" in shown.stdout


def test_an_unknown_command_is_one_line() -> None:
    shown = run("frobnicate")

    assert 2 == shown.returncode
    assert "" == shown.stdout
    assert [
        "error: No such command 'frobnicate'. (see: python -m simulations --help)"
    ] == shown.stderr.splitlines()


def test_a_folder_that_is_not_empty_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("keep me")
    shown = run("local", "--folder", str(tmp_path))

    assert 2 == shown.returncode
    assert [
        f"error: {tmp_path} is not empty, and a local network starts anew: remove it or name another"
    ] == shown.stderr.splitlines()
    assert ["mine"] == os.listdir(tmp_path)


def test_the_printed_command_works_and_ctrl_c_leaves_no_process_behind() -> None:
    with running("local", "--relays", "4", "--website", "--json") as process:
        facts = first_json(process)
        # A shell of its own, without what an entered virtual environment adds to its PATH.
        got = subprocess.run(
            ["/bin/sh", "-c", facts["command"]],
            cwd=ROOT,
            env={"PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
        )
        everything = descendants(process.pid)
        process.send_signal(signal.SIGINT)
        code = process.wait(DEADLINE_S)

    assert (0, PAGE) == (got.returncode, got.stdout), got.stderr
    # The command, the forking process, the authority, four relays, the website.
    assert 8 == len(everything)
    assert set(facts["pids"].values()) < everything
    assert 130 == code
    assert not everything & parents().keys()
    assert not Path(facts["network"]).parent.exists()


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, 0), (signal.SIGHUP, 0), (signal.SIGKILL, -signal.SIGKILL)],
    ids=lambda each: each.name if isinstance(each, signal.Signals) else None,
)
def test_whatever_ends_the_command_ends_its_processes(
    number: signal.Signals, code: int, tmp_path: Path
) -> None:
    """Even if nobody hears its last words, as when the terminal was closed."""
    with running("local", "--relays", "3", "--json", "--folder", str(tmp_path)) as process:
        first_json(process)
        everything = descendants(process.pid)
        assert process.stderr is not None
        process.stderr.close()
        process.send_signal(number)

        assert code == process.wait(DEADLINE_S)
        assert 6 == len(everything)
        assert are_gone(everything, timeout_s=15)


def test_the_death_of_the_forking_process_takes_its_children_along(tmp_path: Path) -> None:
    with running("local", "--relays", "3", "--json", "--folder", str(tmp_path)) as process:
        facts = first_json(process)
        os.kill(facts["pids"]["the forking process"], signal.SIGKILL)

        assert 1 == process.wait(DEADLINE_S)
        assert are_gone(set(facts["pids"].values()), timeout_s=5)


def test_a_relay_that_dies_is_named_and_ends_the_network() -> None:
    with running("local", "--relays", "3", "--json") as process:
        facts = first_json(process)
        os.kill(facts["pids"]["relay 2"], signal.SIGKILL)
        assert process.stderr is not None
        said = process.stderr.read()

        assert 1 == process.wait(DEADLINE_S)
    assert "error: relay 2 ended by itself (signal SIGKILL); its log ends:" in said
    assert '"directory_refreshed"' in said


def test_the_demo_shows_that_no_relay_but_the_exit_saw_the_website() -> None:
    shown = run("demo", "--json")
    facts = json.loads(shown.stdout)
    first, middle, last = facts["relays"]

    assert 0 == shown.returncode
    assert PAGE == facts["page"]["body"]
    assert "website" not in json.dumps([first, middle]).replace('"website": null', "")
    assert "website.localhost:" in last["website"]
    assert "a client at 127.0.0.1" == first["called_by"][0]["who"]
    assert "client" not in json.dumps([middle, last])
    assert [middle["relay"], last["relay"]] == [first["called"][0]["who"], middle["called"][0]["who"]]
    assert [first["relay"], middle["relay"]] == [middle["called_by"][0]["who"], last["called_by"][0]["who"]]
    sizes = {
        size
        for relay in (first, middle, last)
        for side in relay["called_by"] + relay["called"]
        for size in [*side["received"], *side["sent"]]
    }
    assert sizes <= {str(8 * 1024), str(128 * 1024)}


def test_the_demo_proves_that_the_exit_carried_ciphertext() -> None:
    outside = json.loads(run("demo", "--relays", "3", "--json").stdout)["outside"]

    assert {"handshake", "change cipher spec", "application data"} == outside["records"].keys()
    assert ["GET / HTTP/1.1"] == outside["requests"]
    # The search finds what is there: the first record names the website, by the rules of TLS.
    assert outside["name_in_hello"]
    assert not outside["page_readable"]


@pytest.mark.parametrize("columns", ["40", "100"])
def test_the_demo_fits_its_terminal(columns: str) -> None:
    shown = run("demo", "--relays", "3", COLUMNS=columns, NO_COLOR="1")

    assert 0 == shown.returncode
    assert "\x1b" not in shown.stdout
    table = shown.stdout.partition("What each relay could know")[2]
    assert "the middle" in table
    assert int(columns) >= max(map(len, table.splitlines()))


def test_ctrl_c_after_the_demo_leaves_no_process_behind() -> None:
    with running("demo", "--relays", "3", "--keep") as process:
        assert process.stderr is not None
        while "From another shell" not in (line := process.stderr.readline()):
            assert process.poll() is None
        assert f"in {ROOT}," in line
        everything = descendants(process.pid)
        process.send_signal(signal.SIGINT)

        assert 130 == process.wait(DEADLINE_S)
    assert 9 == len(everything)
    assert not everything & parents().keys()


@pytest.mark.parametrize("line", ["starting", "all processes serve"])
def test_ctrl_c_while_it_starts_leaves_no_process_behind(line: str) -> None:
    with running("local", "--relays", "5") as process:
        assert process.stderr is not None
        while not process.stderr.readline().startswith(line):
            assert process.poll() is None
        everything = descendants(process.pid)
        process.send_signal(signal.SIGINT)

        assert 130 == process.wait(DEADLINE_S)
    assert are_gone(everything, timeout_s=1)


def test_a_checkout_that_cannot_be_written_to_is_one_line(tmp_path: Path) -> None:
    """A file in the place of the folder refuses root too, as a read-only disk does."""
    for name in ("dev", "pyproject.toml"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements/run.lock").write_text("")
    (tmp_path / ".venv").write_text("")
    shown = subprocess.run(["/bin/sh", "dev", "demo"], cwd=tmp_path, capture_output=True, text=True)

    assert 1 == shown.returncode
    assert [
        f"dev: cannot write to {tmp_path}/.venv, where packages go; use a checkout of your own"
    ] == shown.stderr.splitlines()
