"""The memory of Session's layers over the ends of a process: killed, another boot, a clock that was ahead."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from onionpath.injected import UnixTime
from onionpath.onion.session_packets import SessionServe
from onionpath.onion.session_refusals import Decision, Refusal, Refuse, refuse
from relay import foundation
from relay.foundation import Base
from relay.replay_files import ReplayFiles
from relay.session.keys import ensure_session_keys
from relay.session.layer_memory import LayerMemory
from relay.session.memory_files import layer_memory, open_memory_files
from relay.state_folder import SESSION_REPLAY_NAME
from tests.onion.session_paths import ONION, hop_key, wrap
from tests.relay.test_clock_jumps import base

NOW = 1_700_000_000.0
SLOT_S = 300


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def opened(state: Path, now: float) -> tuple[Base, ReplayFiles, LayerMemory]:
    ground = base(state, now)
    files = open_memory_files(ground)
    ensure_session_keys(state, lambda size: hashlib.shake_256(b"key").digest(size))
    return ground, files, layer_memory(ground, files)


def layer() -> SessionServe:
    peeled = ONION.peel(wrap(hops=1).packet, hop_key(0))
    assert isinstance(peeled, SessionServe)
    return peeled


def admitted(memory: LayerMemory, now: float) -> Decision:
    return memory.refusal(UnixTime(now)) or memory.admit(layer(), UnixTime(now))


UNREADABLE = refuse(Refusal.UNREADABLE)


def test_a_killed_relay_refuses_what_it_saw(state: Path) -> None:
    _, files, memory = opened(state, NOW)
    assert isinstance(admitted(memory, NOW), SessionServe)
    files._lock.close()  # as the kernel does

    _, files, memory = opened(state, NOW + 1)
    assert UNREADABLE == admitted(memory, NOW + 1)
    files.close()


def test_after_power_loss_nothing_is_opened_for_this_slot_and_the_next(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, files, memory = opened(state, NOW)
    admitted(memory, NOW)
    files._lock.close()
    monkeypatch.setattr(foundation, "read_boot_id", lambda entropy: "another boot")

    ground, files, memory = opened(state, NOW + 1)
    not_ready = refuse(Refusal.NOT_READY, named=ground.keys.identity.relay_id)
    end_of_next_slot = (NOW // SLOT_S + 2) * SLOT_S
    assert not_ready == admitted(memory, NOW + 1)
    assert not_ready == admitted(memory, end_of_next_slot - 1)
    assert not isinstance(admitted(memory, end_of_next_slot), Refuse)
    files.close()


def test_a_clean_stop_loses_nothing_even_over_a_boot(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, files, memory = opened(state, NOW)
    admitted(memory, NOW)
    files.close()
    monkeypatch.setattr(foundation, "read_boot_id", lambda entropy: "another boot")

    _, files, memory = opened(state, NOW + 1)
    assert UNREADABLE == admitted(memory, NOW + 1)
    files.close()


def test_a_first_start_opens_layers_at_once(state: Path) -> None:
    _, files, memory = opened(state, NOW)

    assert isinstance(admitted(memory, NOW), SessionServe)
    files.close()


def test_a_clock_that_was_a_year_ahead_costs_ten_minutes_and_not_a_year(state: Path) -> None:
    _, files, memory = opened(state, NOW + 365 * 86_400)
    admitted(memory, NOW + 365 * 86_400)
    files.close()

    _, files, memory = opened(state, NOW)
    assert isinstance(admitted(memory, NOW), Refuse)
    assert isinstance(admitted(memory, (NOW // SLOT_S + 2) * SLOT_S), SessionServe)
    files.close()


def test_a_damaged_state_is_a_loss(state: Path) -> None:
    _, files, memory = opened(state, NOW)
    admitted(memory, NOW)
    files.close()
    file = state / SESSION_REPLAY_NAME / "state.json"
    file.write_bytes(file.read_bytes().replace(b'"clean":true', b'"clean":TRUE'))

    _, files, memory = opened(state, NOW + 1)
    assert isinstance(admitted(memory, NOW + 1), Refuse)
    files.close()
