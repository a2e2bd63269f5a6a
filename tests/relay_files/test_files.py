"""Secret files: private from their first byte, whole or absent, read only if nobody else could reach them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from onionpath.disk.private_files import (
    create_private,
    erase_file,
    make_private_dir,
    read_private,
    replace_private,
    temporary_name,
)
from onionpath.errors import KeyFileError, SettingsError
from onionpath.exit_codes import exit_code
from relay.folder_lock import FolderLock


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "state"
    make_private_dir(made)
    return made


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_secrets_are_private_whatever_the_umask_says(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        make_private_dir(tmp_path / "state")
        create_private(tmp_path / "state" / "a.key", b"one")
        replace_private(tmp_path / "state" / "b.key", b"two")
    finally:
        os.umask(before)

    assert 0o700 == mode(tmp_path / "state")
    assert [0o600, 0o600] == [mode(tmp_path / "state" / name) for name in ("a.key", "b.key")]
    assert b"one" == read_private(tmp_path / "state" / "a.key")


def test_a_secret_that_exists_is_never_overwritten_by_a_new_one(folder: Path) -> None:
    create_private(folder / "a.key", b"one")

    with pytest.raises(KeyFileError, match="exists"):
        create_private(folder / "a.key", b"two")

    assert b"one" == read_private(folder / "a.key")
    assert ["a.key"] == [path.name for path in folder.iterdir()]


def test_replacing_gives_a_new_file_and_leaves_nothing_else(folder: Path) -> None:
    replace_private(folder / "a.key", b"one")
    replace_private(folder / "a.key", b"two")

    assert b"two" == read_private(folder / "a.key")
    assert ["a.key"] == [path.name for path in folder.iterdir()]


def test_what_a_killed_process_left_does_not_block_the_next(folder: Path) -> None:
    temporary_name(folder / "a.key").write_bytes(b"half")

    create_private(folder / "a.key", b"one")

    assert b"one" == read_private(folder / "a.key")


@pytest.mark.parametrize("bits", [0o640, 0o604, 0o660, 0o644, 0o610])
def test_a_file_open_to_others_is_refused_and_the_remedy_named(folder: Path, bits: int) -> None:
    path = folder / "a.key"
    create_private(path, b"one")
    path.chmod(bits)

    with pytest.raises(KeyFileError) as caught:
        read_private(path)

    assert f"chmod 600 {path}" in str(caught.value)
    assert str(path) == caught.value.file
    assert 6 == exit_code(caught.value)


def test_a_symbolic_link_is_refused(folder: Path) -> None:
    create_private(folder / "a.key", b"one")
    (folder / "b.key").symlink_to(folder / "a.key")

    with pytest.raises(KeyFileError, match=r"b\.key: is a symbolic link"):
        read_private(folder / "b.key")


def test_a_link_to_a_folder_is_no_private_folder(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)

    with pytest.raises(KeyFileError, match="is not a directory"):
        make_private_dir(tmp_path / "link")


def test_neither_a_pipe_nor_a_folder_is_read(folder: Path) -> None:
    """Opening a pipe would wait for ever for somebody to write into it."""
    os.mkfifo(folder / "a.key", 0o600)
    (folder / "b.key").mkdir(0o700)

    for name in ("a.key", "b.key"):
        with pytest.raises(KeyFileError, match=r"not a regular file|Is a directory"):
            read_private(folder / name)


def test_a_missing_and_a_too_long_file_are_named(folder: Path) -> None:
    with pytest.raises(KeyFileError, match=r"a\.key: does not exist"):
        read_private(folder / "a.key")
    create_private(folder / "a.key", b"x" * 11)
    with pytest.raises(KeyFileError, match="longer than 10 bytes"):
        read_private(folder / "a.key", max_size=10)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_user_is_refused(folder: Path) -> None:
    create_private(folder / "a.key", b"one")
    os.chown(folder / "a.key", 65_534, 65_534)

    with pytest.raises(KeyFileError, match="belongs to user 65534"):
        read_private(folder / "a.key")


def test_an_erased_file_is_overwritten_first(folder: Path) -> None:
    create_private(folder / "a.key", b"secret")
    os.link(folder / "a.key", folder / "other name")

    erase_file(folder / "a.key")
    erase_file(folder / "a.key")

    assert bytes(6) == (folder / "other name").read_bytes()
    assert not (folder / "a.key").exists()


def test_a_lock_keeps_others_out_until_it_is_closed(folder: Path) -> None:
    with FolderLock(folder), pytest.raises(SettingsError, match=r"in use.* is this relay running already"):
        FolderLock(folder)
    with FolderLock(folder):
        assert 0o600 == mode(folder / "lock")
