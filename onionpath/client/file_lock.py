"""A lock between programs, held while a ``with`` block runs; the kernel frees it when its program ends in any way."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from onionpath.errors import KeyFileError

if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _try_lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


POLL_S = 0.02
# Windows knows no such flags, and there the folder's own permissions must do.
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)


class FileLock:
    """Entered by one program at a time; entering waits, so that a program with an event loop does it in a thread.

    Args:
        path: an empty file that stays for ever; only the kernel's lock on it counts.
        timeout_s: how long to wait for another program.
        clock: seconds that nobody can set.
        pause: waits for so many seconds.

    Raises:
        KeyFileError: another program held it all the time, or the file cannot be made.
    """

    def __init__(
        self,
        path: Path,
        *,
        timeout_s: float,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._path, self._timeout_s = path, timeout_s
        self._clock, self._pause = clock, pause
        self._descriptor = -1

    def __enter__(self) -> FileLock:
        deadline = self._clock() + self._timeout_s
        try:
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | _NO_FOLLOW, 0o600)
        except OSError as error:
            raise KeyFileError(f"{self._path}: {error.strerror}", file=str(self._path)) from error
        try:
            while not self._is_ours():
                self._wait(deadline)
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._close()

    def _is_ours(self) -> bool:
        try:
            _try_lock(self._descriptor)
        except OSError:
            return False
        return True

    def _wait(self, deadline: float) -> None:
        if self._clock() >= deadline:
            raise KeyFileError(
                f"{self._path}: another program has held this lock for {self._timeout_s:.0f} s",
                file=str(self._path),
            )
        self._pause(POLL_S)

    def _close(self) -> None:
        os.close(self._descriptor)
        self._descriptor = -1
