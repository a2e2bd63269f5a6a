"""The mapped replay memory: what survives a kill, and what is refused when something may be lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from onionpath.errors import KeyFileError, SettingsError
from onionpath.injected import UnixTime
from onionpath.onion.replay import NO_SLOT, Remembered, ReplayMemory, slot_at
from relay.replay_files import STATE_NAME, Loss, ReplayFiles, read_boot_id

SLOT_S = 300
NOW = UnixTime(1_700_000_100.0)
SLOT = slot_at(NOW, SLOT_S)
SEED = b"s" * 32
ROOT = Path(__file__).parents[2]


def open_files(
    folder: Path,
    *,
    now: float = NOW,
    boot: str = "boot-1",
    keys_existed: bool = True,
    slot_s: float = SLOT_S,
    capacity: int = 1024,
) -> ReplayFiles:
    return ReplayFiles(
        folder,
        now=UnixTime(now),
        slot_s=slot_s,
        keys_existed=keys_existed,
        entropy=os.urandom,
        boot_id=boot,
        capacity=capacity,
    )


def memory(files: ReplayFiles) -> ReplayMemory:
    return ReplayMemory(files, files.tag_key, slot_s=SLOT_S)


def accept_one(folder: Path, *, clean: bool = False) -> None:
    """A relay's first life, in which it accepted one packet."""
    files = open_files(folder, keys_existed=False)
    assert Remembered.FRESH is memory(files).remember(SLOT, SEED, now=NOW)
    if clean:
        files.close()
    else:
        die(files)


def die(files: ReplayFiles) -> None:
    """End like a killed process: nothing is flushed or noted, only the kernel lets the lock go."""
    files._lock.close()


def result_of_replay(files: ReplayFiles, *, now: float = NOW, slot: int = SLOT) -> Remembered:
    return memory(files).remember(slot, SEED, now=UnixTime(now))


def test_a_fresh_relay_without_keys_accepts_at_once(tmp_path: Path) -> None:
    files = open_files(tmp_path / "replay", keys_existed=False)

    assert files.loss is None
    assert NO_SLOT == files.floor
    assert files.refused_until <= NOW
    assert Remembered.FRESH is result_of_replay(files)


KILLED = """
import os, sys
from pathlib import Path
from onionpath.injected import UnixTime
from onionpath.onion.replay import ReplayMemory
from relay.replay_files import ReplayFiles, read_boot_id

files = ReplayFiles(Path(sys.argv[1]), now=UnixTime({now}), keys_existed=False, entropy=os.urandom,
                    boot_id=read_boot_id(os.urandom), capacity=1024)
memory = ReplayMemory(files, files.tag_key)
for number in range(500):
    memory.remember({slot}, number.to_bytes(32, "big"), now=UnixTime({now}))
print("accepted", flush=True)
sys.stdin.read()
"""


@pytest.mark.processes
def test_packets_accepted_before_a_sigkill_are_replays_after_it(tmp_path: Path) -> None:
    folder = tmp_path / "replay"
    program = KILLED.format(now=NOW, slot=SLOT)
    child = subprocess.Popen(
        [sys.executable, "-c", program, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    with child:
        assert child.stdout is not None
        assert b"accepted\n" == child.stdout.readline()
        child.kill()
    assert -signal.SIGKILL == child.returncode

    files = open_files(folder, boot=read_boot_id(os.urandom))
    after = memory(files)
    results = {after.remember(SLOT, number.to_bytes(32, "big"), now=NOW) for number in range(500)}

    assert files.loss is None
    assert {Remembered.REPLAYED} == results
    assert Remembered.FRESH is after.remember(SLOT, SEED, now=NOW)


def test_a_clean_stop_survives_another_boot(tmp_path: Path) -> None:
    accept_one(tmp_path / "replay", clean=True)

    files = open_files(tmp_path / "replay", boot="boot-2")

    assert files.loss is None
    assert Remembered.REPLAYED is result_of_replay(files)


def test_an_unclean_stop_and_another_boot_refuse_every_slot_that_was_open(tmp_path: Path) -> None:
    accept_one(tmp_path / "replay")

    files = open_files(tmp_path / "replay", boot="boot-2")

    assert Loss.OTHER_BOOT is files.loss
    assert SLOT + 1 == files.floor
    assert (SLOT + 2) * SLOT_S == files.refused_until
    assert files.refused_until - NOW <= 600
    assert [Remembered.CLOSED] * 3 == [result_of_replay(files, slot=SLOT + offset) for offset in (-1, 0, 1)]


def test_after_the_refused_slots_packets_are_accepted_again(tmp_path: Path) -> None:
    accept_one(tmp_path / "replay")
    files = open_files(tmp_path / "replay", boot="boot-2")

    until = files.refused_until

    assert Remembered.FRESH is result_of_replay(files, now=until, slot=SLOT + 2)


def test_power_loss_with_a_clock_set_back_refuses_up_to_the_recorded_slot(tmp_path: Path) -> None:
    accept_one(tmp_path / "replay")

    files = open_files(tmp_path / "replay", boot="boot-2", now=NOW - 86_400)

    assert SLOT + 1 == files.floor


def test_the_floor_of_a_loss_outlives_further_restarts(tmp_path: Path) -> None:
    accept_one(tmp_path / "replay")
    open_files(tmp_path / "replay", boot="boot-2").close()

    files = open_files(tmp_path / "replay", boot="boot-2")

    assert files.loss is None
    assert SLOT + 1 == files.floor
    assert files.refused_until > NOW


def test_a_clean_mark_is_good_for_one_start_only(tmp_path: Path) -> None:
    """A relay that was stopped cleanly once, and then lost power, is not clean."""
    accept_one(tmp_path / "replay", clean=True)
    die(open_files(tmp_path / "replay", boot="boot-2"))

    assert Loss.OTHER_BOOT is open_files(tmp_path / "replay", boot="boot-3").loss


def test_a_missing_state_counts_as_lost_when_keys_exist(tmp_path: Path) -> None:
    files = open_files(tmp_path / "replay", keys_existed=True)

    assert Loss.STATE_MISSING is files.loss
    assert SLOT + 1 == files.floor


def test_a_deleted_state_is_not_lower_than_its_tables_say(tmp_path: Path) -> None:
    accept_one(tmp_path / "replay")
    (tmp_path / "replay" / STATE_NAME).unlink()

    assert SLOT + 1 == open_files(tmp_path / "replay", now=NOW - 86_400).floor


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:-10],
        lambda content: content + b"\n",
        lambda content: content.replace(b'"highest":5', b'"highest":4'),
        lambda content: b"[" * 50_000,
        lambda content: b"\xff" * 100,
    ],
    ids=["empty", "short", "longer", "another number", "nested", "not text"],
)
def test_a_damaged_state_counts_as_lost(tmp_path: Path, damage: object) -> None:
    accept_one(tmp_path / "replay")
    state = tmp_path / "replay" / STATE_NAME
    content = state.read_bytes()
    assert callable(damage)
    assert content != damage(content)
    state.write_bytes(damage(content))

    files = open_files(tmp_path / "replay")

    assert Loss.STATE_DAMAGED is files.loss
    assert Remembered.CLOSED is result_of_replay(files)


@pytest.mark.parametrize(
    "damage", [Path.unlink, lambda path: os.truncate(path, 100)], ids=["missing", "short"]
)
def test_a_damaged_table_counts_as_lost(tmp_path: Path, damage: object) -> None:
    accept_one(tmp_path / "replay")
    assert callable(damage)
    damage(tmp_path / "replay" / f"{SLOT}.tags")

    files = open_files(tmp_path / "replay")

    assert Loss.TABLES_DAMAGED is files.loss
    assert Remembered.CLOSED is result_of_replay(files)


def test_another_capacity_counts_as_lost(tmp_path: Path) -> None:
    accept_one(tmp_path / "replay", clean=True)

    assert Loss.TABLES_DAMAGED is open_files(tmp_path / "replay", capacity=2048).loss


def test_slots_of_another_length_are_compared_by_their_time(tmp_path: Path) -> None:
    accept_one(tmp_path / "replay", clean=True)

    files = open_files(tmp_path / "replay", slot_s=60, now=NOW - 3_000)

    assert Loss.SLOTS_CHANGED is files.loss
    # The recorded slot ends where the slot of 60 s before (SLOT + 1) * 5 does.
    assert (SLOT + 1) * 5 == files.floor


def test_without_keys_nothing_was_lost_whatever_the_folder_holds(tmp_path: Path) -> None:
    accept_one(tmp_path / "replay")

    files = open_files(tmp_path / "replay", boot="boot-2", keys_existed=False)

    assert files.loss is None
    assert Remembered.FRESH is result_of_replay(files)


def test_a_table_left_by_a_kill_between_two_steps_does_no_harm(tmp_path: Path) -> None:
    accept_one(tmp_path / "replay")
    for stray in (SLOT - 7, SLOT + 2):
        (tmp_path / "replay" / f"{stray}.tags").write_bytes(b"half")

    files = open_files(tmp_path / "replay")

    assert files.loss is None
    assert not (tmp_path / "replay" / f"{SLOT - 7}.tags").exists()
    assert Remembered.REPLAYED is result_of_replay(files)
    assert Remembered.FRESH is result_of_replay(files, now=NOW + SLOT_S, slot=SLOT + 2)


def test_two_relays_on_one_folder_are_refused(tmp_path: Path) -> None:
    files = open_files(tmp_path / "replay")

    with pytest.raises(SettingsError, match="in use by another process"):
        open_files(tmp_path / "replay")

    files.close()
    open_files(tmp_path / "replay").close()


def test_a_folder_open_to_others_is_refused_and_says_what_to_run(tmp_path: Path) -> None:
    (tmp_path / "replay").mkdir(mode=0o755)
    (tmp_path / "replay").chmod(0o755)

    with pytest.raises(KeyFileError, match="chmod 700"):
        open_files(tmp_path / "replay")


def test_passed_slots_leave_the_disk(tmp_path: Path) -> None:
    files = open_files(tmp_path / "replay", keys_existed=False)
    seen = memory(files)
    for step in range(5):
        seen.advance(UnixTime(NOW + step * SLOT_S))

    names = {path.name for path in (tmp_path / "replay").glob("*.tags")}
    assert {f"{SLOT + offset}.tags" for offset in (3, 4, 5)} == names
    assert {0o600} == {path.stat().st_mode & 0o777 for path in (tmp_path / "replay").iterdir()}
    files.close()


def test_a_table_has_its_disk_space_from_the_start(tmp_path: Path) -> None:
    """A hole that a full disk cannot fill would end the process when its page is written."""
    files = open_files(tmp_path / "replay", keys_existed=False)
    memory(files).advance(NOW)

    found = (tmp_path / "replay" / f"{SLOT}.tags").stat()
    assert 1024 * 8 == found.st_size
    assert found.st_blocks * 512 >= found.st_size
    files.close()


def test_closing_twice_is_fine(tmp_path: Path) -> None:
    files = open_files(tmp_path / "replay")
    files.close()
    files.close()
