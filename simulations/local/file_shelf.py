"""What a file server keeps: a folder with a file for each, whose own time says when it was put there.

The server alone writes into the folder; whatever else lies there, such as a file half written, is removed.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

from onionpath.errors import RefusedError
from onionpath.injected import UnixTime

# Enough for experiments, and no disk of theirs runs full.
MAX_FILES = 10_000
MAX_TOTAL_BYTES = 1_000_000_000
_ID = re.compile(r"[0-9a-f]{32}")


class Kept(NamedTuple):
    """A file that is kept; times are seconds since 1970."""

    size: int
    uploaded: float
    expires: float


class Shelf:
    """The files in a folder; each method blocks as disks do.

    Args:
        life_s: how long a file is kept.
        max_files, max_bytes: all together; more is refused.
    """

    def __init__(
        self, folder: Path, *, life_s: float, max_files: int = MAX_FILES, max_bytes: int = MAX_TOTAL_BYTES
    ) -> None:
        self._folder = folder
        self._life_s = life_s
        self._max_files = max_files
        self._max_bytes = max_bytes

    def put(self, body: bytes, *, file_id: str, now: UnixTime) -> Kept:
        """Keep a body under a new id.

        Raises:
            RefusedError: there is no room.
        """
        sizes = self._clear(now)
        if len(sizes) >= self._max_files or sum(sizes) + len(body) > self._max_bytes:
            raise RefusedError("the file server has no room", reason="full")
        new = self._folder / f"{file_id}.new"
        new.write_bytes(body)
        os.utime(new, (now, now))
        new.rename(self._folder / file_id)
        return Kept(len(body), now, now + self._life_s)

    def find(self, file_id: str, *, now: UnixTime) -> Kept | None:
        """What is known of a file, if it is still kept."""
        try:
            found = (self._folder / file_id).stat()
        except FileNotFoundError:
            return None
        expires = found.st_mtime + self._life_s
        return Kept(found.st_size, found.st_mtime, expires) if expires > now else None

    def read(self, file_id: str, *, now: UnixTime) -> bytes | None:
        """A body, if it is still kept."""
        return (self._folder / file_id).read_bytes() if self.find(file_id, now=now) else None

    def _clear(self, now: UnixTime) -> list[int]:
        """Remove what has expired; the sizes of what is left."""
        sizes = []
        for name in os.listdir(self._folder):
            kept = self.find(name, now=now) if _ID.fullmatch(name) else None
            if kept is None:
                (self._folder / name).unlink(missing_ok=True)
            else:
                sizes.append(kept.size)
        return sizes
