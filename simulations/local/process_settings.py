"""The file of settings with which a process of a local network is started."""

from __future__ import annotations

from pathlib import Path
from typing import Self

import msgspec

from onionpath.errors import UsageError


class ProcessSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a process must know, each kind with fields of its own; in the file it is JSON."""

    def write(self, file: Path) -> None:
        """Store it."""
        file.write_bytes(msgspec.json.encode(self))

    @classmethod
    def read(cls, file: Path) -> Self:
        """Read what ``write`` stored.

        Raises:
            UsageError: it isn't that.
        """
        try:
            return msgspec.json.decode(file.read_bytes(), type=cls)
        except (OSError, msgspec.DecodeError) as error:
            raise UsageError(f"{file}: {error}") from error
