"""What the network and its forking process say to each other: one JSON object per line, orders down, events up."""

from __future__ import annotations

from enum import Enum

import msgspec


class Program(Enum):
    """What a child runs."""

    RELAY = "relay"
    AUTHORITY = "authority"
    WEBSITE = "website"
    FILE_SERVER = "file server"
    SEED = "seed"


class Start(msgspec.Struct, frozen=True, tag_field="order", tag="start"):
    """Fork a child.

    Args:
        name: unique among the running ones.
        settings: the settings file of its program.
        log: where its standard output and error are appended.
    """

    name: str
    program: Program
    settings: str
    log: str


class Signal(msgspec.Struct, frozen=True, tag_field="order", tag="signal"):
    """Send a signal to a child; nothing happens if it is gone."""

    name: str
    number: int


class Started(msgspec.Struct, frozen=True, tag_field="event", tag="started"):
    """The child has this process id."""

    name: str
    pid: int


class Ready(msgspec.Struct, frozen=True, tag_field="event", tag="ready"):
    """The child says that it serves."""

    name: str


class Exited(msgspec.Struct, frozen=True, tag_field="event", tag="exited"):
    """The child is gone and its process id free; ``code`` is negative for a signal."""

    name: str
    code: int


Order = Start | Signal
Event = Started | Ready | Exited

orders = msgspec.json.Decoder(Order)
events = msgspec.json.Decoder(Event)


def encode_line(message: Order | Event) -> bytes:
    """One line; shorter than what a pipe takes whole, so lines of several writers don't mix."""
    return msgspec.json.encode(message) + b"\n"


class Lines:
    """Cuts what a pipe brings into lines."""

    def __init__(self) -> None:
        self._rest = b""

    def take(self, data: bytes) -> list[bytes]:
        """The lines that are complete now."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        return lines
