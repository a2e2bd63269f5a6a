"""Guards on disk: written whole, shared between programs, mended after damage, never forgotten in silence."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from onionpath.client.file_lock import FileLock
from onionpath.client.guard_file import Damage, GuardFile, Loaded
from onionpath.errors import KeyFileError
from onionpath.path.middles import Middle
from onionpath.path.path_memory import PathMemory
from onionpath.path.path_memory_lines import encode_memory
from onionpath.path.sample import Guard
from tests.directory.networks import NETWORK_ID
from tests.path.networks import relay_id
from tests.path.virtual_relays import days

MINE = PathMemory(tuple(Guard(relay_id(name), days(0)) for name in range(3)), (Middle(relay_id(3), days(5)),))
YOURS = PathMemory(
    tuple(Guard(relay_id(name), days(0)) for name in range(5, 8)), (Middle(relay_id(9), days(5)),)
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "guards"


def guard_file(path: Path, *, network_id: bytes = NETWORK_ID, lock_timeout_s: float = 10.0) -> GuardFile:
    return GuardFile(path, network_id, lock_timeout_s=lock_timeout_s)


def written(path: Path, content: bytes) -> Path:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.write_bytes(content)
    path.chmod(0o600)
    return path


def damaged(memory: PathMemory) -> bytes:
    """With the first guard's line broken."""
    lines = encode_memory(memory, NETWORK_ID).splitlines(keepends=True)
    return b"".join([lines[0], b"?" + lines[1][1:], *lines[2:]])


def test_without_a_file_there_is_no_memory(path: Path) -> None:
    assert Loaded(PathMemory()) == guard_file(path).load()


def test_what_was_saved_is_loaded_by_the_next_run(path: Path) -> None:
    guard_file(path).save(MINE)

    assert Loaded(MINE) == guard_file(path).load()


def test_only_the_owner_can_reach_the_file_and_its_folder(path: Path) -> None:
    guard_file(path).save(MINE)

    modes = [stat.S_IMODE(each.stat().st_mode) for each in (path.parent, *sorted(path.parent.iterdir()))]
    assert [0o700, 0o600, 0o600] == modes


def test_nothing_is_written_when_nothing_changed(path: Path) -> None:
    file = guard_file(path)
    file.save(MINE)
    before = path.stat().st_ino

    file.save(MINE)

    assert before == path.stat().st_ino


def test_programs_that_start_together_agree_on_the_guards_of_who_wrote_first(path: Path) -> None:
    first, second = guard_file(path), guard_file(path)
    first.load()
    second.load()

    assert MINE == first.save(MINE)
    joined = second.save(YOURS)

    assert (*MINE.guards, *YOURS.guards) == joined.guards
    assert joined == first.save(MINE) == guard_file(path).load().memory


def test_what_one_program_let_go_stays_gone(path: Path) -> None:
    first, second = guard_file(path), guard_file(path)
    first.save(MINE)
    second.load()
    fewer = PathMemory(MINE.guards[1:], MINE.middles)

    assert fewer == first.save(fewer)
    assert fewer == guard_file(path).load().memory


def test_what_was_loaded_and_let_go_stays_gone(path: Path) -> None:
    guard_file(path).save(MINE)
    fewer = PathMemory(MINE.guards[1:], MINE.middles)
    file = guard_file(path)
    file.load()

    assert fewer == file.save(fewer)


def test_a_file_that_was_removed_while_we_ran_is_written_again(path: Path) -> None:
    file = guard_file(path)
    file.save(MINE)
    path.unlink()

    assert MINE == file.save(MINE) == guard_file(path).load().memory


def test_a_damaged_line_is_reported_once_and_the_original_is_put_aside(path: Path) -> None:
    content = damaged(MINE)
    written(path, content)
    aside = path.with_name("guards.damaged")
    left = PathMemory(MINE.guards[1:], MINE.middles)

    assert Loaded(left, Damage(1, aside)) == guard_file(path).load()
    assert content == aside.read_bytes()
    assert Loaded(left) == guard_file(path).load()


def test_a_second_damage_is_mended_and_the_first_original_stays(path: Path) -> None:
    guard_file(written(path, damaged(MINE))).load()
    first = path.with_name("guards.damaged").read_bytes()
    written(path, damaged(YOURS))

    assert YOURS.guards[1:] == guard_file(path).load().memory.guards
    assert first == path.with_name("guards.damaged").read_bytes()


@pytest.mark.parametrize("content", [b"", b"\0" * 3_000, b"x" * 200_000], ids=len)
def test_an_unreadable_file_starts_the_memory_anew_once_and_says_so(path: Path, content: bytes) -> None:
    written(path, content)
    file = guard_file(path)

    assert Loaded(PathMemory(), Damage(None, path.with_name("guards.damaged"))) == file.load()
    assert MINE == file.save(MINE)
    assert Loaded(MINE) == guard_file(path).load()


def test_a_second_unreadable_file_is_refused_until_somebody_looked(path: Path) -> None:
    """Whoever can spoil the file now and then must not get new guards drawn each time."""
    guard_file(written(path, b"spoilt")).load()
    written(path, b"spoilt again")

    with pytest.raises(KeyFileError, match="remove both files to accept new guards") as caught:
        guard_file(path).load()

    assert str(path) == caught.value.file
    assert b"spoilt again" == path.read_bytes()


def test_a_file_of_a_newer_version_is_refused_and_left_alone(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("onionpath.path.path_memory_lines.VERSION", 2)
    content = encode_memory(MINE, NETWORK_ID)
    monkeypatch.undo()
    written(path, content)

    with pytest.raises(KeyFileError, match="newer onionpath"):
        guard_file(path).load()
    with pytest.raises(KeyFileError, match="newer onionpath"):
        guard_file(path).save(YOURS)
    assert content == path.read_bytes()


def test_another_networks_file_is_refused(path: Path) -> None:
    guard_file(path, network_id=b"\x01" * 32).save(MINE)

    with pytest.raises(KeyFileError, match="belongs to the network 0101"):
        guard_file(path).load()


@pytest.mark.parametrize("mode", [0o640, 0o602, 0o604])
def test_a_file_that_others_can_reach_is_refused(path: Path, mode: int) -> None:
    guard_file(path).save(MINE)
    path.chmod(mode)

    with pytest.raises(KeyFileError, match="chmod 600"):
        guard_file(path).load()


def test_a_link_or_a_pipe_in_the_files_place_is_refused_at_once(path: Path) -> None:
    target = written(path.with_name("elsewhere"), encode_memory(MINE, NETWORK_ID))
    path.symlink_to(target)
    with pytest.raises(KeyFileError):
        guard_file(path).load()

    path.unlink()
    os.mkfifo(path, 0o600)
    with pytest.raises(KeyFileError, match="regular file"):
        guard_file(path).load()


def test_a_disk_without_room_leaves_the_old_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = guard_file(path)
    file.save(MINE)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(KeyFileError, match="No space left"):
        file.save(YOURS)
    monkeypatch.undo()

    assert Loaded(MINE) == guard_file(path).load()
    assert {*MINE.guards, *YOURS.guards} == {*file.save(PathMemory((*MINE.guards, *YOURS.guards))).guards}


def test_waiting_for_another_programs_lock_ends_at_the_deadline(path: Path) -> None:
    time_s = [0.0]

    def pause(seconds: float) -> None:
        time_s[0] += seconds

    path.parent.mkdir()
    lock = path.with_name("guards.lock")
    with (
        FileLock(lock, timeout_s=1),
        pytest.raises(KeyFileError, match="held this lock for 5 s"),
        FileLock(lock, timeout_s=5, clock=lambda: time_s[0], pause=pause),
    ):
        pass
    assert 5.0 == pytest.approx(time_s[0], abs=0.03)
    with FileLock(lock, timeout_s=0):
        pass


def test_the_file_is_read_and_written_under_the_lock(path: Path) -> None:
    path.parent.mkdir()
    with FileLock(path.with_name("guards.lock"), timeout_s=1):
        for use in (
            guard_file(path, lock_timeout_s=0).load,
            lambda: guard_file(path, lock_timeout_s=0).save(MINE),
        ):
            with pytest.raises(KeyFileError, match="another program"):
                use()


HOLDER = """
import sys
from pathlib import Path
from onionpath.client.file_lock import FileLock
with FileLock(Path(sys.argv[1]), timeout_s=5):
    print("held", flush=True)
    sys.stdin.read()
"""

WRITER = """
import sys
from pathlib import Path
from onionpath.client.guard_file import GuardFile
from onionpath.path.path_memory import PathMemory
from onionpath.path.sample import Guard
from tests.directory.networks import NETWORK_ID
from tests.path.networks import relay_id
from tests.path.virtual_relays import days
file = GuardFile(Path(sys.argv[1]), NETWORK_ID)
memory = file.load().memory
for name in range(int(sys.argv[2]), int(sys.argv[2]) + 10):
    memory = file.save(PathMemory((*memory.guards, Guard(relay_id(name), days(0))), memory.middles))
"""


def start(program: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        env={"PYTHONPATH": "."},
    )


@pytest.mark.slow
def test_a_killed_program_leaves_no_lock_behind(path: Path) -> None:
    path.parent.mkdir()
    lock = path.with_name("guards.lock")
    with start(HOLDER, str(lock)) as holder:
        assert holder.stdout is not None
        assert "held\n" == holder.stdout.readline()
        with pytest.raises(KeyFileError), FileLock(lock, timeout_s=0):
            pass
        holder.send_signal(signal.SIGKILL)

    with FileLock(lock, timeout_s=1):
        pass


@pytest.mark.slow
def test_what_several_programs_write_at_once_is_all_there(path: Path) -> None:
    writers = [start(WRITER, str(path), str(first)) for first in (0, 10, 20)]
    for writer in writers:
        with writer:
            assert 0 == writer.wait(30)

    assert {relay_id(name) for name in range(30)} == {
        guard.relay_id for guard in guard_file(path).load().memory.guards
    }
