"""What happened, as one hash and as what observers could have seen.

The hash covers times, names, kinds, sizes and outcomes. It covers no ciphertext, because HPKE draws randomness of its
own; everything that decides is covered.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import NamedTuple

from onionpath.crypto.identity import RelayId
from onionpath.injected import UnixTime
from onionpath.link.frames import Kind
from simulations.virtual.heap import EventHeap

_TIME_AND_SIZE = struct.Struct(">dQ")


class Sighting(NamedTuple):
    """Somebody who watches a wire saw so many bytes go by; of the content they see nothing."""

    time: UnixTime
    sender: str
    receiver: str
    size: int


class Handling(NamedTuple):
    """A relay handled a frame: its own view, which an operator could log. ``peer`` is a name if a relay proved it."""

    time: UnixTime
    relay: str
    link_id: int
    peer: str | None
    sent: bool
    kind: Kind
    size: int


class Linked(NamedTuple):
    """A relay's connection stands: its kernel knows the address at the other end, whoever that is."""

    time: UnixTime
    relay: str
    link_id: int
    address: str
    is_ours: bool


class Record:
    """Everything that happened in one network.

    Args:
        keep: whether sightings and handlings are kept; the hash is always there.
    """

    def __init__(self, *, keep: bool) -> None:
        self.keep = keep
        self.sightings: list[Sighting] = []
        self.handlings: list[Handling] = []
        self.beyond: list[Sighting] = []
        self.links: list[Linked] = []
        self.frames = 0
        self.bytes = 0
        self._hash = sha256()

    @property
    def hash(self) -> str:
        """Of all events so far, 64 hex digits."""
        return self._hash.hexdigest()

    def note(self, time: float, node: str, kind: str, *, size: int = 0, outcome: str = "") -> None:
        """An event that belongs to the hash only."""
        self._hash.update(_TIME_AND_SIZE.pack(time, size) + f"{node}|{kind}|{outcome}\n".encode())

    def sent(self, time: UnixTime, sender: str, receiver: str, size: int, *, label: bytes) -> None:
        """Bytes went onto a wire; ``label`` are both names, made once for each wire."""
        self.frames += 1
        self.bytes += size
        self._hash.update(_TIME_AND_SIZE.pack(time, size) + label)
        if self.keep:
            self.sightings.append(Sighting(time, sender, receiver, size))

    def passed_beyond(self, time: UnixTime, sender: str, receiver: str, size: int) -> None:
        """Bytes went between an exit and a server, whose name is ``host:port``."""
        self.note(time, f"{sender}>{receiver}", "beyond", size=size)
        if self.keep:
            self.beyond.append(Sighting(time, sender, receiver, size))

    def linked(self, time: UnixTime, relay: str, link_id: int, address: str, *, is_ours: bool) -> None:
        """A connection of this relay stands."""
        self.note(time, relay, "linked", size=link_id, outcome=address)
        if self.keep:
            self.links.append(Linked(time, relay, link_id, address, is_ours))

    def neighbours(self, relay: str) -> set[str]:
        """Everybody whose address this relay could log, servers too."""
        beyond = {each.receiver for each in self.beyond if each.sender == relay}
        return beyond | {each.address for each in self.links if each.relay == relay}

    def sizes(self) -> set[int]:
        """All sizes seen on any wire of the network; connections to servers stand in ``beyond``."""
        return {sighting.size for sighting in self.sightings}

    def between(self, sender: str, receiver: str) -> Iterator[Sighting]:
        """What went from one to the other."""
        seen = (*self.sightings, *self.beyond)
        return (each for each in seen if (each.sender, each.receiver) == (sender, receiver))

    def clear(self) -> None:
        """Forget what was seen; the hash goes on."""
        self.sightings.clear()
        self.handlings.clear()
        self.beyond.clear()
        self.links.clear()


class RelayWatch:
    """Looks on for one relay's switch, and notes what it handles."""

    def __init__(
        self, record: Record, relay: str, *, now: Callable[[], UnixTime], name: Callable[[RelayId], str]
    ) -> None:
        self._record, self._relay, self._now, self._name = record, relay, now, name
        self._peers: dict[int, str] = {}

    def saw(self, link_id: int, *, sent: bool, kind: Kind, size: int) -> None:
        """A frame came, or was handed over to be sent."""
        peer = self._peers.get(link_id)
        self._record.handlings.append(Handling(self._now(), self._relay, link_id, peer, sent, kind, size))

    def proven(self, link_id: int, peer: RelayId) -> None:
        """Who is at the other end of a link."""
        self._peers[link_id] = self._name(peer)


def watch(record: Record, relay: str, heap: EventHeap, name: Callable[[RelayId], str]) -> RelayWatch | None:
    """A watch for this relay, if anything is kept."""
    return RelayWatch(record, relay, now=lambda: heap.now, name=name) if record.keep else None
