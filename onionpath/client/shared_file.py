"""Files that several programs write: one after another, each as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from onionpath.client.file_lock import FileLock
from onionpath.disk.private_files import replace_private
from onionpath.errors import KeyFileError

# A writer needs some milliseconds, and a second for a large network's directory; whoever holds it for so long hangs.
LOCK_TIMEOUT_S = 10.0


@contextmanager
def locked(file: Path, *, timeout_s: float = LOCK_TIMEOUT_S) -> Iterator[None]:
    """Keep other programs from this file; its folder is made, with mode 0700, if it is missing.

    Raises:
        KeyFileError: another program held the lock all the time, or the folder cannot be made.
    """
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise KeyFileError(f"{file}: cannot be written: {error.strerror}", file=str(file)) from error
    with FileLock(file.with_name(f"{file.name}.lock"), timeout_s=timeout_s):
        yield


def replace_shared(file: Path, content: bytes) -> None:
    """Write it in place of the old one; after a crash either is there as a whole. Waits for the lock and the disk.

    Raises:
        KeyFileError: see ``locked``, or it cannot be written.
    """
    with locked(file):
        replace_private(file, content)
