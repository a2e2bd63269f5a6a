"""The file of a server's key."""

from __future__ import annotations

import stat
from pathlib import Path
from random import Random

import pytest

from onionpath.errors import KeyFileError
from onionpath.lsrpc.key_file import create_key, public_key_text, read_key


def test_a_key_is_read_as_it_was_made(tmp_path: Path) -> None:
    made = create_key(tmp_path / "server.key", entropy=Random(1).randbytes)

    assert made == read_key(tmp_path / "server.key")
    assert 0o600 == stat.S_IMODE((tmp_path / "server.key").stat().st_mode)
    assert made.public.encoded == bytes.fromhex(public_key_text(made))


def test_a_key_is_never_replaced(tmp_path: Path) -> None:
    create_key(tmp_path / "server.key", entropy=Random(1).randbytes)

    with pytest.raises(KeyFileError, match="exists"):
        create_key(tmp_path / "server.key", entropy=Random(2).randbytes)


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_key_of_another_length_is_refused(tmp_path: Path, size: int) -> None:
    file = tmp_path / "server.key"
    file.write_bytes(bytes(size))
    file.chmod(0o600)

    with pytest.raises(KeyFileError):
        read_key(file)


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    create_key(tmp_path / "server.key", entropy=Random(1).randbytes)
    (tmp_path / "server.key").chmod(0o640)

    with pytest.raises(KeyFileError, match="chmod 600"):
        read_key(tmp_path / "server.key")
