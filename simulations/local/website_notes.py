"""What the website writes down about its visitors: one JSON object per line, for the demo."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec

# Enough for a page; a download's ciphertext would fill the disk.
KEPT_BYTES = 64 * 1024


class Connected(msgspec.Struct, frozen=True, tag_field="event", tag="connected"):
    """Somebody connected from this address; ``pid`` is the process that holds the other end, if it could be asked."""

    connection: int
    address: str
    pid: int | None


class RecordPassed(msgspec.Struct, frozen=True, tag_field="event", tag="record"):
    """A TLS record of this type (RFC 8446 §5.1) and length began to pass."""

    connection: int
    by_website: bool
    type: int
    length: int


class BytesPassed(msgspec.Struct, frozen=True, tag_field="event", tag="bytes"):
    """The bytes themselves as the exit carried them, up to 64 KiB of each connection."""

    connection: int
    by_website: bool
    content: bytes


class Requested(msgspec.Struct, frozen=True, tag_field="event", tag="requested"):
    """What the website read once TLS was taken off."""

    connection: int
    line: str


Note = Connected | RecordPassed | BytesPassed | Requested

_decoder = msgspec.json.Decoder(Note)


class Notebook:
    """Appends notes to a file; several threads may."""

    def __init__(self, file: Path) -> None:
        self._file = file.open("ab", buffering=0)
        self._lock = threading.Lock()

    def write(self, note: Note) -> None:
        """Append a note."""
        with self._lock:
            self._file.write(msgspec.json.encode(note) + b"\n")


def read_notes(file: Path) -> Iterator[Note]:
    """All complete notes in a file."""
    for line in file.read_bytes().splitlines(keepends=True):
        if line.endswith(b"\n"):
            yield _decoder.decode(line)
