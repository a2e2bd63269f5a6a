"""The virtual replay disk against the mapped files of the relay, over random lives."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from onionpath.injected import UnixTime
from onionpath.onion.replay import ReplayMemory, slot_at
from relay.replay_files import ReplayFiles
from simulations.virtual.disks import ReplayDisk

SLOT_S, CAPACITY = 300, 64


@pytest.mark.parametrize("seed", range(12))
def test_both_accept_and_refuse_the_same_packets_through_the_same_lives(seed: int, tmp_path: Path) -> None:
    chance = Random(seed)
    now, boot, seeds = 1_800_000_000.0, 0, [chance.randbytes(32) for _ in range(6)]
    disk = ReplayDisk(slot_s=SLOT_S, capacity=CAPACITY)
    for life in range(6):
        start = UnixTime(now)
        files = ReplayFiles(
            tmp_path / "replay", now=start, keys_existed=life > 0, entropy=chance.randbytes,
            boot_id=str(boot), slot_s=SLOT_S, capacity=CAPACITY,
        )  # fmt: skip
        disk.start(now=start, keys_existed=life > 0, boot_id=str(boot), entropy=chance.randbytes)
        assert (files.loss, files.highest, files.floor) == (disk.loss, disk.highest, disk.floor)
        memories = [ReplayMemory(tables, tables.tag_key, slot_s=SLOT_S) for tables in (files, disk)]
        for _ in range(chance.randrange(12)):
            now += chance.expovariate(1 / 150)
            if chance.random() < 0.1:
                now -= 700  # a restart follows sooner or later, and with it the clock is believed
            slot, packet = slot_at(UnixTime(now), SLOT_S) + chance.randrange(-1, 2), chance.choice(seeds)
            one, other = (memory.remember(slot, packet, now=UnixTime(now)) for memory in memories)
            assert one is other
            assert (files.highest, files.floor) == (disk.highest, disk.floor)
        how = chance.randrange(3)
        if how == 0:
            files.close()
            disk.close()
        else:
            _kill(files)
        if how == 2:
            disk.lose_power()
            for table in (tmp_path / "replay").glob("*.tags"):
                table.write_bytes(bytes(table.stat().st_size))
        boot += how == 2 or chance.random() < 0.2


def _kill(files: ReplayFiles) -> None:
    # What the kernel does to a process that is killed: mapped pages stay, the lock goes, nothing is written.
    def nothing(*, clean: bool) -> None:
        pass

    files._write = nothing  # type: ignore[method-assign]
    files.close()
