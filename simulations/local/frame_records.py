"""Reads what ``relay.recorder`` wrote: the links of one relay, and the kind and size of each frame on them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec


class Linked(msgspec.Struct, frozen=True, tag_field="event", tag="linked"):
    """A connection stands. ``called`` is the relay (hexadecimal) that was called, None when somebody called."""

    at: float
    link: int
    address: str
    called: str | None


class Proven(msgspec.Struct, frozen=True, tag_field="event", tag="proven"):
    """The other end of the link has proven to be this relay."""

    at: float
    link: int
    relay: str


class FramePassed(msgspec.Struct, frozen=True, tag_field="event", tag="frame"):
    """A frame of this kind and size (bytes) was sent or received."""

    at: float
    link: int
    sent: bool
    kind: str
    size: int


FrameRecord = Linked | Proven | FramePassed

_decoder = msgspec.json.Decoder(FrameRecord)


def read_frames(file: Path) -> Iterator[FrameRecord]:
    """All complete lines of a record."""
    for line in file.read_bytes().splitlines(keepends=True):
        if line.endswith(b"\n"):
            yield _decoder.decode(line)
