"""``onionpath status``: what it says of a folder and of running proxies."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import anyio
import pytest
from anyio.abc import SocketStream

from onionpath.cli_path_sections import as_lines
from onionpath.cli_status_disk import of_disk
from onionpath.cli_status_door import ask_all, tell_forever
from onionpath.cli_status_process import parse_process
from onionpath.cli_status_sections import status_sections
from onionpath.directory.evidence import Evidence
from onionpath.disk.evidence_files import EvidenceFiles
from onionpath.errors import MalformedError, OnionPathError
from onionpath.injected import UnixTime
from onionpath.path.path_memory import PathMemory
from onionpath.path.path_memory_lines import encode_memory
from onionpath.path.sample import Guard
from tests.client.worlds import Run, World
from tests.directory.networks import NOW, identity, network, root

ROOT = Path(__file__).parents[2]
PROGRAM = [sys.executable, "-m", "onionpath"]
GUARD = Guard(identity(1).relay_id, NOW, confirmed_at=NOW)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A network's folder with a directory of five relays and one guard."""
    (tmp_path / "directory").write_bytes(network().directory().encode())
    (tmp_path / "guards").write_bytes(encode_memory(PathMemory((GUARD,)), root().network_id))
    return tmp_path


def looked(folder: Path, now: float = NOW) -> dict[str, Any]:
    return of_disk(folder, root(), now=UnixTime(now))


def test_directory_and_guards_on_disk_are_told(folder: Path) -> None:
    found = looked(folder)

    assert ("fresh", 5) == (found["directory"]["state"], found["directory"]["relays"])
    assert [GUARD.relay_id.hex()] == [each["id"] for each in found["guards"]]
    assert (None, None) == (found["guards_problem"], found["evidence"])


@pytest.mark.parametrize(
    ("hours", "state"), [(-24, "from the future"), (0, "fresh"), (1.5, "stale"), (24, "expired")]
)
def test_a_directory_has_an_age(folder: Path, hours: float, state: str) -> None:
    assert state == looked(folder, NOW + 3600 * hours)["directory"]["state"]


def test_an_empty_folder_is_no_failure(tmp_path: Path) -> None:
    found = looked(tmp_path / "none")

    assert ("missing", []) == (found["directory"]["state"], found["guards"])


def test_damage_is_told_and_left_as_it_is(folder: Path) -> None:
    """Whoever only looks must not mend: the next client does, and tells of it."""
    (folder / "directory").write_bytes(b"nonsense")
    (folder / "guards").write_bytes(b"nonsense")
    found = looked(folder)

    assert "damaged" == found["directory"]["state"]
    assert "damaged as a whole" in found["guards_problem"]
    assert ["directory", "guards"] == sorted(os.listdir(folder))
    assert b"nonsense" == (folder / "guards").read_bytes()


def test_evidence_is_named(folder: Path) -> None:
    kept = EvidenceFiles(folder).keep(Evidence.of_documents((b"one", b"other")), number=7)

    assert str(kept) == looked(folder)["evidence"]


PROCESS: dict[str, Any] = {
    "pid": 7,
    "address": "127.0.0.1:9250",
    "state": "ready",
    "last_success_at": float(NOW),
    "last_failure": None,
    "document": 3,
    "relays": 4,
    "paths": 2,
    "streams": 1,
    "sent": 1_500,
    "received": 999,
    "opened": 1,
    "counts": {"connected": 1},
    "guards": [{"id": "ab" * 32, "state": "in use", "retry_at": None}],
    "state_problem": None,
}


def test_people_get_lines(folder: Path) -> None:
    shown = {"network": "test", "folder": str(folder), **looked(folder), "processes": [PROCESS]}
    text = "\n".join(as_lines(status_sections(shown)))

    assert "proxy at 127.0.0.1:9250, process 7: ready" in text
    assert "sent 1.5 KB, received 999 B over 1 connections" in text
    assert f"{GUARD.relay_id.hex()[:16]}  confirmed" in text


def test_a_process_tells_what_it_was_told() -> None:
    told = json.dumps(PROCESS)

    assert told == json.dumps(parse_process(told.encode()).as_json())


@pytest.mark.parametrize("told", [b"", b"{}", b"[" * 100_000, json.dumps({**PROCESS, "new": 1}).encode()])
def test_a_process_of_another_version_is_told_so(told: bytes) -> None:
    with pytest.raises(MalformedError, match="another version"):
        parse_process(told)


async def wait_for_an_answer(folder: Path) -> list[bytes]:
    with anyio.fail_after(5):
        while not (told := await ask_all(folder)):
            await anyio.lowlevel.checkpoint()
    return told


async def test_a_running_process_is_asked_at_a_socket_of_its_own(tmp_path: Path) -> None:
    deep = tmp_path / ("deep" * 30)  # a socket's name has at most 107 bytes
    deep.mkdir()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(tell_forever, deep, lambda: b"told")
        assert [b"told"] == await wait_for_an_answer(deep)
        assert [b"told"] == await ask_all(deep)
        assert [f"status-{os.getpid()}"] == os.listdir(deep)
        assert 0o600 == stat.S_IMODE(os.stat(deep / f"status-{os.getpid()}").st_mode)
        tasks.cancel_scope.cancel()

    assert [] == os.listdir(deep)
    assert [] == await ask_all(deep)


@pytest.fixture
def ended() -> int:
    """The number of a process that is no more."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


async def test_what_a_killed_process_left_is_removed(tmp_path: Path, ended: int) -> None:
    for pid in (ended, os.getpid()):
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(tmp_path / f"status-{pid}"))
    (tmp_path / "status-x").write_text("")

    assert [] == await ask_all(tmp_path)
    # Ours may be about to listen.
    assert {f"status-{os.getpid()}", "status-x"} == set(os.listdir(tmp_path))


async def test_a_process_that_says_nothing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onionpath.cli_status_door.TIMEOUT_S", 0.01)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "status-7"))
        silent.listen()

        with pytest.raises(OnionPathError, match="process 7 runs, but does not tell its status"):
            await ask_all(tmp_path)


async def test_a_process_that_ends_just_now_is_passed_over(tmp_path: Path) -> None:
    async def hang_up(connection: SocketStream) -> None:
        await connection.aclose()

    async with (
        await anyio.create_unix_listener(tmp_path / "status-7") as listener,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(listener.serve, hang_up)

        assert [] == await ask_all(tmp_path)
        tasks.cancel_scope.cancel()


async def test_without_a_folder_the_process_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await tell_forever(tmp_path / "none", lambda: b"told")

    assert "warning: `onionpath status` will not see this process" in capsys.readouterr().err


def test_nobody_is_asked(run: Run, tmp_path: Path) -> None:
    """The authority of this network is nowhere."""
    (tmp_path / "root").write_bytes(root().encode())
    code, out, err = run("status", "--network", tmp_path / "root", "--state", tmp_path)

    assert (0, "") == (code, err)
    assert "no proxy runs with this state" in out


def test_without_a_network_it_says_how_to_get_one(run: Run) -> None:
    code, _, err = run("status")

    assert 2 == code
    assert "ONIONPATH_NETWORK" in err


@contextmanager
def started(*arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
    """A command of the program that runs on, and its standard output."""
    with subprocess.Popen([*PROGRAM, *arguments], cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout
        finally:
            process.terminate()


@pytest.mark.slow
def test_a_proxy_is_watched(run: Run, world: World, tmp_path: Path) -> None:
    options = ["--network", str(world.file), "--state", str(tmp_path), "--json"]
    with (
        started("proxy", "--listen", "127.0.0.1:0", *options) as (proxy, ready),
        started("status", "--watch", *options) as (_, changes),
    ):
        address = json.loads(ready.readline())["http"]
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({"http": address}))
        assert b"hello" == opener.open(f"http://127.0.0.1:{world.http_port}/", timeout=20).read()

        while not any(each["received"] for each in json.loads(changes.readline())["processes"]):
            pass
        (process,) = json.loads(run("status", *options)[1])["processes"]

    assert (proxy.pid, 1, "ready") == (process["pid"], process["opened"], process["state"])
    assert "in use" in {each["state"] for each in process["guards"]}
    assert [] == list(tmp_path.glob("*/status-*"))
