"""A relay whose clock was once ahead: it must neither stand still in silence nor take anything twice."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from onionpath.crypto.tags import TagKey
from onionpath.directory.address import Address
from onionpath.directory.trust import Authority as Signer
from onionpath.directory.trust import TrustRoot
from onionpath.injected import UnixTime
from onionpath.onion.replay import MemoryTables, Remembered, ReplayMemory
from relay import foundation
from relay.key_keeper import KeyKeeper
from relay.keys import PacketKeyFiles, ensure_relay_keys, erase_packet_keys
from relay.settings_sections import LimitsSection
from tests.relay.nodes import NETWORK_ID, PARAMETERS, Node

SLOT_S = PARAMETERS.slot_s
NOW = UnixTime(SLOT_S * 6_000_000 + 1.0)
YEAR_S = 365 * 86_400.0
SEED = bytes(32)


def base(folder: Path, now: float) -> foundation.Base:
    keys = ensure_relay_keys(folder, os.urandom)
    signer = Signer(keys.identity.public, Address("127.9.0.1", 9), keys.link.key_hash)
    root = TrustRoot(NETWORK_ID, "test", (signer,), 1, PARAMETERS)
    return foundation.Base(folder, LimitsSection(replay_entries=1024), root, keys, lambda: UnixTime(now))


class Life:
    """One start of a relay at a time that its clock shows."""

    def __init__(self, folder: Path, now: float) -> None:
        self.base = base(folder, now)
        with capture_logs() as logs:
            self.files = foundation.open_replay(self.base)
        self.events = [line["event"] for line in logs]
        self.keys: PacketKeyFiles = foundation.open_packet_keys(self.base)
        self.replay = ReplayMemory(self.files, self.files.tag_key, slot_s=SLOT_S)
        self.replay.advance(UnixTime(now))

    def takes(self, now: float) -> Remembered:
        return self.replay.remember(int(now // SLOT_S), SEED, now=UnixTime(now))

    @property
    def secrets(self) -> set[bytes]:
        return {key.reveal() for key in self.keys.keys.by_epoch.values()}


def test_a_relay_whose_clock_was_a_year_ahead_serves_again_with_new_keys(tmp_path: Path) -> None:
    """It refused every packet for a year, and said nothing."""
    first = Life(tmp_path / "state", NOW)
    assert Remembered.FRESH is first.takes(NOW)
    before = first.secrets
    first.files.close()
    Life(tmp_path / "state", NOW + YEAR_S).files.close()

    again = Life(tmp_path / "state", NOW)

    assert ["clock_was_ahead"] == again.events
    assert Remembered.FRESH is again.takes(NOW)
    # What was taken before cannot come again: no key opens it.
    assert before.isdisjoint(again.secrets)
    assert first.files.tag_key.reveal() != again.files.tag_key.reveal()
    again.files.close()


def test_keys_are_erased_before_the_tags_begin_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Life(tmp_path / "state", NOW + YEAR_S).files.close()
    order = []
    erase, open_files = erase_packet_keys, foundation.replay_files

    def note_erase(state: Path) -> None:
        order.append("erased")
        erase(state)

    def note_open(base: foundation.Base, folder: str, *, keys_existed: bool) -> object:
        order.append("opened")
        return open_files(base, folder, keys_existed=keys_existed)

    monkeypatch.setattr(foundation, "erase_packet_keys", note_erase)
    monkeypatch.setattr(foundation, "replay_files", note_open)
    Life(tmp_path / "state", NOW).files.close()

    assert ["opened", "erased", "opened"] == order


@pytest.mark.parametrize("slots", [0, 1, 2])
def test_a_clock_that_was_a_little_ahead_costs_no_keys(tmp_path: Path, slots: int) -> None:
    first = Life(tmp_path / "state", NOW + slots * SLOT_S)
    before = first.secrets
    first.files.close()

    again = Life(tmp_path / "state", NOW)

    assert [] == again.events
    assert before <= again.secrets
    again.files.close()


def test_an_operator_is_told_at_the_start_and_each_hour_that_packets_are_refused(tmp_path: Path) -> None:
    node = Node(tmp_path / "node")
    floor = int(NOW // SLOT_S) + 30
    replay = ReplayMemory(MemoryTables(floor=floor), TagKey(os.urandom(32)), slot_s=SLOT_S)
    keeper = KeyKeeper(
        node.switch,
        foundation.open_packet_keys(base(tmp_path / "state", NOW)),
        replay,
        relay_id=node.relay_id,
        changed=lambda: None,
        clock=lambda: NOW,
    )

    async def keep() -> None:
        began = trio.current_time()
        keeper._clock = lambda: UnixTime(NOW + trio.current_time() - began)
        with trio.move_on_after(4 * 3600):
            await keeper.run()

    with capture_logs() as logs:
        trio.run(keep, clock=MockClock(autojump_threshold=0))
    node.close()

    # 31 slots of five minutes: at the start, after one hour, after two, and never when it is over.
    told = [line["seconds"] for line in logs if line["event"] == "packets_refused"]
    assert [True, True, True] == [
        3600 * (2 - hour) < left <= 3600 * (3 - hour) for hour, left in enumerate(told)
    ]
