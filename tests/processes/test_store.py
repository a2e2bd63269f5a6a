"""The store in real processes: killed at any moment, and watched by the kernel."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from onionpath.swarm.hashes import HASH_SIZE
from onionpath.swarm.operations import Retrieved
from relay.store.damage import is_sound
from relay.store.disk import FILE_NAME
from relay.store.inline import InlineStore
from relay.store.schema import connect
from tests.store.accounts import NOW_MS, account_named, all_of

pytestmark = pytest.mark.processes

ROOT = Path(__file__).parents[2]


def storing(folder: Path, seed: str, *, count: int = 0, callers: int = 8) -> list[str]:
    return [sys.executable, "-m", "tests.processes.storing", str(folder), seed, str(count), str(callers)]


def acknowledged_before_kill(folder: Path, seed: str, choice: Random) -> set[str]:
    """Run the program until it has acknowledged some, and kill it; gives all that it has acknowledged."""
    with subprocess.Popen(storing(folder, seed), cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(choice.randint(1, 400))]
        process.kill()
        lines += process.stdout.readlines()
    # The last line may have been cut.
    return {line.decode().strip() for line in lines if line.endswith(b"\n")}


def hashes_in(folder: Path) -> set[str]:
    with InlineStore(str(folder / FILE_NAME)) as store:
        assert not store.was_damaged
        results = store.apply([all_of(account_named(f"{number}")) for number in range(20)], now_ms=NOW_MS)
    return {message.hash for each in results if isinstance(each, Retrieved) for message in each.messages}


def lost_in_kills(folder: Path, kills: int) -> set[str]:
    choice, acknowledged = Random(kills), set[str]()
    for kill in range(kills):
        acknowledged |= acknowledged_before_kill(folder, f"{kill}", choice)
        connection = connect(str(folder / FILE_NAME))
        assert is_sound(connection, is_quick=False)
        connection.close()
    return acknowledged - hashes_in(folder)


def test_nothing_acknowledged_is_lost_in_three_kills(tmp_path: Path) -> None:
    assert set() == lost_in_kills(tmp_path / "store", 3)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_nothing_acknowledged_is_lost_in_a_hundred_kills(tmp_path: Path) -> None:
    assert set() == lost_in_kills(tmp_path / "store", 100)


def test_the_log_is_synced_before_anything_is_acknowledged(tmp_path: Path) -> None:
    """The kernel's own account: before each acknowledgement the message was written to the log, and the log was synced.

    One caller at a time, or the next one's writes would stand between.
    """
    if shutil.which("strace") is None:
        pytest.skip("strace, which shows the system calls, is not installed")
    trace = tmp_path / "trace"
    watched = ["strace", "-f", "-y", "-e", "trace=pwrite64,write,fdatasync,fsync", "-o", str(trace)]
    program = storing(tmp_path / "store", "traced", count=40, callers=1)
    done = subprocess.run(watched + program, cwd=ROOT, stdout=subprocess.PIPE, check=True)

    assert 40 == len(done.stdout.splitlines())
    steps = steps_of(trace.read_text(errors="replace"))
    assert 40 == steps.count("acknowledge")
    assert [] == acknowledged_unsynced(steps)


def acknowledged_unsynced(steps: list[str]) -> list[int]:
    """Where something was acknowledged that was not written since the one before, and then synced."""
    found, begin = [], 0
    for index, step in enumerate(steps):
        if step == "acknowledge":
            since, begin = steps[begin:index], index + 1
            if "write" not in since or since[-1] != "sync":
                found.append(index)
    return found


@pytest.mark.parametrize(
    "steps",
    [
        ["acknowledge"],
        ["sync", "acknowledge"],
        ["write", "acknowledge"],
        ["write", "sync", "write", "acknowledge"],
    ],
)
def test_an_acknowledgement_before_the_sync_would_be_found(steps: list[str]) -> None:
    assert [len(steps) - 1] == acknowledged_unsynced(steps)


LINE = f", {HASH_SIZE + 1}"  # the length of what acknowledges; libraries run programs that print other things
# A call that another thread interrupts stands in two lines; it counts where it has returned.
CALL = re.compile(r"^(\d+) +(?:<\.\.\. )?(\w+)(?:\((\d+)<([^>]*)>)?.*?(?:= (-?\d+)|(<unfinished \.\.\.>))")


def steps_of(trace: str) -> list[str]:
    """Writes of the log, its syncs that have returned, and acknowledgements that have begun."""
    steps: list[str] = []
    open_calls: dict[str, tuple[str, str]] = {}
    for line in trace.splitlines():
        match = CALL.match(line)
        if match is None:
            continue
        thread, call, number, path, _, unfinished = match.groups()
        if "resumed>" in line:
            call, path = open_calls.pop(thread)
            has_begun, has_ended = False, True
        else:
            has_begun, has_ended = True, not unfinished
            if unfinished:
                open_calls[thread] = call, path or ""
        path = path or ""
        if path.endswith("-wal"):
            steps += ["write"] * (call == "pwrite64" and has_begun)
            steps += ["sync"] * (call in {"fdatasync", "fsync"} and has_ended)
        steps += ["acknowledge"] * (call == "write" and number == "1" and has_begun and LINE in line)
    return steps
