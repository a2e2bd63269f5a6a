"""Several programs write one file: none fails, and whoever reads it finds one of them as a whole."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from onionpath.client.shared_file import locked, replace_shared
from onionpath.errors import KeyFileError

SIZE = 64 * 1024
PROGRAM = """
import sys
from pathlib import Path
from onionpath.client.shared_file import replace_shared

file, letter, writes, size = Path(sys.argv[1]), sys.argv[2].encode(), int(sys.argv[3]), int(sys.argv[4])
for _ in range(writes):
    replace_shared(file, letter * size)
    (found,) = set(file.read_bytes())
    assert file.stat().st_size == size
"""


def test_two_that_write_at_once_take_turns(tmp_path: Path) -> None:
    file = tmp_path / "state" / "directory"

    def write(letter: bytes) -> set[bytes]:
        seen = set()
        for _ in range(6):
            replace_shared(file, letter * SIZE)
            seen.add(file.read_bytes())
        return seen

    with ThreadPoolExecutor(2) as threads:
        seen = set.union(*threads.map(write, (b"a", b"b")))

    assert seen <= {b"a" * SIZE, b"b" * SIZE}
    assert {"directory", "directory.lock"} == {each.name for each in file.parent.iterdir()}


@pytest.mark.slow
def test_two_programs_that_write_at_once_take_turns(tmp_path: Path) -> None:
    """Each refreshes the directory on its own, and both do when they are started together."""
    file = tmp_path / "directory"
    programs = [
        subprocess.Popen([sys.executable, "-c", PROGRAM, str(file), letter, "150", str(SIZE)])
        for letter in "ab"
    ]

    assert [0, 0] == [program.wait(timeout=60) for program in programs]


def test_what_is_written_is_private_with_its_folder(tmp_path: Path) -> None:
    file = tmp_path / "state" / "directory"

    replace_shared(file, b"one")

    assert [0o700, 0o600] == [each.stat().st_mode & 0o777 for each in (file.parent, file)]


def test_a_program_that_hangs_with_the_lock_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    file = tmp_path / "directory"

    with locked(file), pytest.raises(KeyFileError, match="another program"), locked(file, timeout_s=0):
        pass


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "state").write_bytes(b"")

    with pytest.raises(KeyFileError, match="directory: cannot be written"):
        replace_shared(tmp_path / "state" / "directory", b"one")
