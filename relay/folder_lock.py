"""The lock of a state folder: one process at a time."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType

from onionpath.disk.private_files import translated
from onionpath.errors import SettingsError
from relay.state_folder import LOCK_NAME


class FolderLock:
    """Keeps other processes out of a folder until closed, or until this process ends in any way.

    Raises:
        SettingsError: another process holds it; two relays on one state would forget each other's tags.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / LOCK_NAME
        with translated(path):
            # No O_EXCL: the file stays for ever, and only the kernel's lock on it counts.
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            self._descriptor = os.open(path, flags, 0o600)
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self.close()
                raise SettingsError(
                    f"{folder} is in use by another process: is this relay running already? If it is not, give each "
                    "relay a state folder of its own",
                    file=str(folder),
                    key="relay.state",
                ) from None
            except BaseException:
                self.close()
                raise

    def close(self) -> None:
        """Let others in; closing twice is fine."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    @property
    def is_closed(self) -> bool:
        """Whether the folder is others' again."""
        return self._descriptor < 0

    def __enter__(self) -> FolderLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.close()
