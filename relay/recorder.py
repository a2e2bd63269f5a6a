"""Writes down what an observer inside of this relay could note of its links; for experiments on one machine only.

One JSON object per line: ``{"event": "linked" | "proven" | "frame", "link": …, …}`` with times in Unix seconds. The
settings refuse it for a relay that anybody but this machine can reach.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from onionpath.crypto.identity import RelayId
from onionpath.errors import SettingsError
from onionpath.injected import UnixTime
from onionpath.link.frames import Kind


class FrameRecorder:
    """A ``Watch`` that appends to a file.

    Raises:
        SettingsError: the file cannot be written.
    """

    def __init__(self, file: Path, clock: Callable[[], UnixTime]) -> None:
        try:
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise SettingsError(
                f"cannot write {file}: {error.strerror}", file=str(file), key="simulation.record_frames"
            ) from error
        # Unbuffered, so that whoever reads along sees a frame when it was sent.
        self._file = os.fdopen(descriptor, "wb", buffering=0)
        self._clock = clock

    def linked(self, link_id: int, *, address: str, called: RelayId | None) -> None:
        """A connection stands: we called a relay, or somebody at this address called us."""
        self._write("linked", link_id, address=address, called=called.hex() if called else None)

    def proven(self, link_id: int, peer: RelayId) -> None:
        """The other end of a link has shown that it is this relay."""
        self._write("proven", link_id, relay=peer.hex())

    def saw(self, link_id: int, *, sent: bool, kind: Kind, size: int) -> None:
        """A frame passed."""
        self._write("frame", link_id, sent=sent, kind=kind.name.lower(), size=size)

    def _write(self, event: str, link_id: int, **fields: Any) -> None:
        line = {"event": event, "at": self._clock(), "link": link_id, **fields}
        self._file.write(msgspec.json.encode(line) + b"\n")

    def close(self) -> None:
        """Close the file."""
        self._file.close()
