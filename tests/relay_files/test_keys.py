"""A relay's keys: rotation as a decision over years, and the files that carry it out."""

from __future__ import annotations

import hashlib
import math
import os
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onionpath.crypto.certificates import make_link_certificate
from onionpath.crypto.identity import IdentityKey
from onionpath.disk.private_files import create_private
from onionpath.errors import KeyFileError, SettingsError
from onionpath.injected import UnixTime
from relay.keys import (
    KeySchedule,
    PacketKeyFiles,
    Rotation,
    ensure_relay_keys,
    has_packet_keys,
    load_relay_keys,
    rotate,
)

SCHEDULE = KeySchedule(epoch_s=21_600, slot_s=300)
EPOCH = 80_000
START = SCHEDULE.valid_from(EPOCH)
RELAY = IdentityKey(b"i" * 32).relay_id


def after(seconds: float) -> UnixTime:
    return UnixTime(START + seconds)


def keys_at(folder: Path, *times: UnixTime) -> PacketKeyFiles:
    files = PacketKeyFiles(folder, SCHEDULE, entropy=os.urandom)
    for now in times:
        files.rotate(now)
    return files


def on_disk(folder: Path) -> set[str]:
    return {path.name for path in (folder / "packet-keys").iterdir()}


def test_the_first_rotation_makes_the_current_key_and_the_next() -> None:
    assert Rotation((EPOCH, EPOCH + 1), ()) == rotate((), START, SCHEDULE)


def test_an_old_key_goes_exactly_one_slot_after_its_epoch() -> None:
    epochs = (EPOCH - 1, EPOCH, EPOCH + 1)

    assert Rotation((), ()) == rotate(epochs, after(299.9), SCHEDULE)
    assert Rotation((), (EPOCH - 1,)) == rotate(epochs, after(300), SCHEDULE)


def test_a_clock_set_back_keeps_keys_that_are_published() -> None:
    assert Rotation((EPOCH - 1,), ()) == rotate((EPOCH, EPOCH + 1), after(-1), SCHEDULE)


def test_keys_of_a_far_future_go() -> None:
    """A clock that was years ahead, or a network with shorter epochs, must leave no key for ever."""
    assert Rotation((), (EPOCH + 129,)) == rotate(
        (EPOCH, EPOCH + 1, EPOCH + 128, EPOCH + 129), START, SCHEDULE
    )


def test_over_ten_years_there_are_two_keys_or_three_and_each_lives_its_time_once() -> None:
    epochs: set[int] = set()
    born: dict[int, float] = {}
    now, end = START, after(10 * 365 * 86_400)
    while now < end:
        create, erase = rotate(epochs, now, SCHEDULE)
        assert not set(create) & born.keys()
        born |= dict.fromkeys(create, now)
        epochs = (epochs | set(create)) - set(erase)
        current = SCHEDULE.epoch(now)
        assert {current, current + 1} <= epochs <= {current - 1, current, current + 1}
        now = SCHEDULE.next_change(now)

    assert set(range(EPOCH, EPOCH + 14_601)) == set(born)
    assert all(later - earlier == 21_600 for earlier, later in pairwise(sorted(born.values())[2:]))


@given(st.floats(1e9, 4e9), st.integers(1, 86_400), st.integers(1, 3_600))
def test_the_next_change_is_ahead_and_misses_nothing(time: float, epoch_s: int, slot_s: int) -> None:
    if slot_s > 100 * epoch_s:
        return
    schedule, now = KeySchedule(epoch_s, slot_s), UnixTime(time)
    change = schedule.next_change(now)
    epochs = range(schedule.epoch(now) - 2 - int(slot_s / epoch_s), schedule.epoch(now) + 4)

    def accepted(at: float) -> list[int]:
        return [each for each in epochs if schedule.accepted_from(each) <= at < schedule.accepted_until(each)]

    assert now < change <= schedule.valid_until(schedule.epoch(now))
    just_before = math.nextafter(change, 0)
    assert accepted(now) == accepted(just_before)
    assert schedule.epoch(now) == schedule.epoch(UnixTime(just_before))


def test_epochs_so_short_that_generations_repeat_are_refused() -> None:
    with pytest.raises(SettingsError, match="hundredth"):
        KeySchedule(epoch_s=2, slot_s=300)


def test_the_descriptor_gets_the_current_key_and_the_next(tmp_path: Path) -> None:
    published = keys_at(tmp_path, after(-1), after(1)).keys.published(after(1))

    assert [EPOCH, EPOCH + 1] == [key.epoch for key in published]
    assert [START, after(21_600)] == [key.valid_from for key in published]
    assert published[0].valid_until == published[1].valid_from


@pytest.mark.parametrize(
    ("seconds", "epochs"),
    [
        (-301, {EPOCH - 1}),
        (-300, {EPOCH - 1, EPOCH}),
        (-1, {EPOCH - 1, EPOCH}),
        (1, {EPOCH - 1, EPOCH}),
        (299, {EPOCH - 1, EPOCH}),
        (300, {EPOCH}),
        (21_299, {EPOCH}),
    ],
)
def test_around_the_boundary_both_keys_are_accepted(tmp_path: Path, seconds: int, epochs: set[int]) -> None:
    keys = keys_at(tmp_path, after(-21_000), after(seconds)).keys

    accepted = keys.accepted(RELAY, after(seconds))

    assert {epoch % 256 for epoch in epochs} == set(accepted)
    assert all(key.private is keys.by_epoch[epoch] for epoch in epochs for key in [accepted[epoch % 256]])
    assert all(key.generation == generation for generation, key in accepted.items())


def test_keys_are_the_same_after_a_restart(tmp_path: Path) -> None:
    assert not has_packet_keys(tmp_path)
    before = keys_at(tmp_path, START).keys

    assert has_packet_keys(tmp_path)
    assert before.by_epoch == keys_at(tmp_path).keys.by_epoch


def test_erased_keys_are_neither_on_disk_nor_in_the_mapping(tmp_path: Path) -> None:
    files = keys_at(tmp_path, START)
    for epochs in (1, 2, 3):
        files.rotate(after(epochs * 21_600 + 300))

    assert {f"{EPOCH + 3}.key", f"{EPOCH + 4}.key"} == on_disk(tmp_path)
    assert {EPOCH + 3, EPOCH + 4} == set(files.keys.by_epoch)


def test_a_key_whose_writing_was_killed_is_removed(tmp_path: Path) -> None:
    keys_at(tmp_path, START)
    (tmp_path / "packet-keys" / ".90000.key.new").write_bytes(b"half")

    keys_at(tmp_path)

    assert {f"{EPOCH}.key", f"{EPOCH + 1}.key"} == on_disk(tmp_path)


@pytest.mark.parametrize("name", ["80000.key.bak", "080000.key", "-1.key", "x.key", "٣.key"])
def test_a_copy_of_a_packet_key_is_not_overlooked(tmp_path: Path, name: str) -> None:
    """It would outlive its erasure."""
    keys_at(tmp_path, START)
    create_private(tmp_path / "packet-keys" / name, b"")

    with pytest.raises(KeyFileError, match="does not belong here"):
        keys_at(tmp_path)


@pytest.mark.parametrize(
    "content",
    [b"", b"onionpath packet key, keep it secret\n" + b"0" * 62 + b"\n", b"\xff" * 100],
    ids=["empty", "short", "not text"],
)
def test_a_damaged_packet_key_is_named(tmp_path: Path, content: bytes) -> None:
    keys_at(tmp_path, START)
    path = tmp_path / "packet-keys" / f"{EPOCH}.key"
    path.write_bytes(content)

    with pytest.raises(KeyFileError, match="is damaged") as caught:
        keys_at(tmp_path)
    assert str(path) == caught.value.file


def test_an_identity_file_is_no_packet_key(tmp_path: Path) -> None:
    ensure_relay_keys(tmp_path / "state", os.urandom)
    keys_at(tmp_path / "state", START)
    path = tmp_path / "state" / "packet-keys" / f"{EPOCH}.key"
    path.write_bytes((tmp_path / "state" / "identity.key").read_bytes())

    with pytest.raises(KeyFileError, match="packet key"):
        keys_at(tmp_path / "state")


def test_lasting_keys_are_made_once_and_loaded_ever_after(tmp_path: Path) -> None:
    first = ensure_relay_keys(tmp_path / "state", os.urandom)

    assert first == ensure_relay_keys(tmp_path / "state", os.urandom)
    assert first == load_relay_keys(tmp_path / "state")
    assert {0o600} == {path.stat().st_mode & 0o777 for path in (tmp_path / "state").iterdir()}


def test_a_missing_identity_is_not_replaced_by_loading(tmp_path: Path) -> None:
    ensure_relay_keys(tmp_path / "state", os.urandom)
    (tmp_path / "state" / "identity.key").unlink()

    with pytest.raises(KeyFileError, match=r"identity\.key: does not exist"):
        load_relay_keys(tmp_path / "state")


def test_a_certificate_of_another_key_is_refused(tmp_path: Path) -> None:
    ensure_relay_keys(tmp_path / "state", os.urandom)
    (tmp_path / "state" / "link.pem").write_bytes(make_link_certificate().certificate_pem)

    with pytest.raises(KeyFileError, match=r"link\.pem: is damaged or does not fit"):
        load_relay_keys(tmp_path / "state")


def test_a_kill_between_link_key_and_certificate_is_mended(tmp_path: Path) -> None:
    ensure_relay_keys(tmp_path / "state", os.urandom)
    (tmp_path / "state" / "link.pem").unlink()

    ensure_relay_keys(tmp_path / "state", os.urandom)


def test_keys_on_disk_are_not_what_is_shown(tmp_path: Path) -> None:
    keys = ensure_relay_keys(tmp_path / "state", os.urandom)

    seed = keys.identity.reveal().hex()
    assert seed in (tmp_path / "state" / "identity.key").read_text()
    assert seed not in repr(keys)
    assert hashlib.sha256(keys.link.key_pem).hexdigest() not in repr(keys)
    assert "PRIVATE" not in repr(keys)
