"""Files that only their owner reaches: made so, replaced whole, and read only if nobody else could reach them.

Whoever writes one holds a lock (a relay that of its folder, a client one beside the file), therefore temporary names
are fixed and what a killed process left behind is simply removed.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from onionpath.errors import KeyFileError

MAX_KEY_FILE_SIZE = 64 * 1024  # bytes; the largest file of a key, a PEM, has under 1 KiB
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_IS_POSIX = os.name == "posix"
# Windows knows no such flags, and there the folder's own permissions must do. Without O_NONBLOCK a pipe in a file's
# place would hold us for ever; without O_BINARY Windows would change what it takes for ends of lines.
_SAFELY = (
    getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Name the file in whatever the system says about it.

    Raises:
        KeyFileError: in place of OSError.
    """
    try:
        yield
    except OSError as error:
        raise KeyFileError(f"{path}: {_why(error)}", file=str(path)) from error


def _why(error: OSError) -> str:
    if error.errno == errno.ELOOP:
        return "is a symbolic link, and private files are read and written only at their own place"
    if error.errno == errno.ENOENT:
        return "does not exist"
    return error.strerror or type(error).__name__


def make_private_dir(folder: Path) -> None:
    """Make the folder with mode 0700, or check that the one there is as private.

    Raises:
        KeyFileError: it cannot be made, is no directory, somebody else's, or open to others.
    """
    with translated(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            check_private_dir(folder)
            return
        sync_dir(folder.parent)


def check_private_dir(folder: Path) -> None:
    """Refuse a folder that others can enter.

    Raises:
        KeyFileError: missing, no directory, somebody else's, or with bits for group or others.
    """
    with translated(folder):
        found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise KeyFileError(f"{folder}: is not a directory", file=str(folder))
    _check_owner_and_mode(folder, found, remedy=f"chmod 700 {folder}")


def _check_owner_and_mode(path: Path, found: os.stat_result, *, remedy: str) -> None:
    if not _IS_POSIX:
        return
    if found.st_uid not in (os.geteuid(), 0):
        raise KeyFileError(f"{path}: belongs to user {found.st_uid}, not to us or to root", file=str(path))
    if found.st_mode & _OTHERS:
        mode = stat.S_IMODE(found.st_mode)
        raise KeyFileError(f"{path}: others can reach it (mode {mode:04o}); run: {remedy}", file=str(path))


def read_private(path: Path, *, max_size: int = MAX_KEY_FILE_SIZE) -> bytes:
    """The file's whole content, at most ``max_size`` bytes.

    Raises:
        KeyFileError: missing, a symbolic link, no regular file, too long, somebody else's, or with bits for
            group or others.
    """
    with translated(path):
        descriptor = os.open(path, os.O_RDONLY | _SAFELY)
        with os.fdopen(descriptor, "rb") as file:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise KeyFileError(f"{path}: is not a regular file", file=str(path))
            _check_owner_and_mode(path, found, remedy=f"chmod 600 {path}")
            content = file.read(max_size + 1)
    if len(content) > max_size:
        raise KeyFileError(f"{path}: is longer than {max_size} bytes", file=str(path))
    return content


def create_private(path: Path, content: bytes) -> None:
    """Write a new file of mode 0600; it is there as a whole, and durable, or not at all.

    Raises:
        KeyFileError: it exists already, or cannot be written.
    """
    with translated(path):
        temporary = _write_temporary(path, content)
        try:
            # A link, unlike a rename, never replaces a key that is already there.
            os.link(temporary, path, follow_symlinks=False)
        finally:
            os.unlink(temporary)
        sync_dir(path.parent)


def replace_private(path: Path, content: bytes) -> None:
    """Write a file of mode 0600 in place of the old one; after a crash either is there as a whole.

    Raises:
        KeyFileError: it cannot be written.
    """
    with translated(path):
        os.replace(_write_temporary(path, content), path)
        sync_dir(path.parent)


def _write_temporary(path: Path, content: bytes) -> Path:
    temporary = temporary_name(path)
    # Whatever lies here is what a killed process left, since we hold the lock.
    erase_file(temporary)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _SAFELY, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return temporary


def temporary_name(path: Path) -> Path:
    """Where the content of ``path`` is written before it gets its name."""
    return path.with_name(f".{path.name}.new")


def erase_file(path: Path) -> None:
    """Overwrite the file with zeros, remove it, and make that durable; a missing file is fine.

    A disk that copies on write, or a snapshot, may keep the old blocks: only disk encryption helps there.

    Raises:
        KeyFileError: it cannot be removed.
    """
    with translated(path):
        try:
            descriptor = os.open(path, os.O_WRONLY | _SAFELY)
        except FileNotFoundError:
            return
        try:
            os.write(descriptor, bytes(os.fstat(descriptor).st_size))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.unlink(path)
        sync_dir(path.parent)


def sync_dir(folder: Path) -> None:
    """Make the names in a folder durable, where the system can."""
    if not _IS_POSIX:
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
