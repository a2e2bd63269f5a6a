"""Where a local network keeps everything: a folder of its own, new or temporary."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from types import TracebackType

from onionpath.errors import UsageError


class NetworkFolder:
    """Use it with ``with``.

    Args:
        wanted: a folder that is made, or found empty, and stays; None for a temporary one, removed at the end.
    """

    def __init__(self, wanted: Path | None) -> None:
        self._wanted = wanted

    def __enter__(self) -> Path:
        """The folder.

        Raises:
            UsageError: it isn't empty, or can't be made.
        """
        if self._wanted is None:
            self.folder = Path(tempfile.mkdtemp(prefix="onionpath-"))
            return self.folder
        self.folder = self._wanted.absolute()
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if any(self.folder.iterdir()):
                raise UsageError(
                    f"{self.folder} is not empty, and a local network starts anew: remove it or name another"
                )
        except OSError as error:
            raise UsageError(f"{self.folder}: {error.strerror}") from error
        return self.folder

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._wanted is None:
            shutil.rmtree(self.folder, ignore_errors=True)


def private_folder(folder: Path) -> Path:
    """Make a folder that only its owner reaches."""
    folder.mkdir(mode=0o700)
    return folder
