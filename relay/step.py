"""What a switch decides in one step, and the value that is handed along while it does.

A step belongs to one call of the switch from outside: bytes that came, an answer, a second that passed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from onionpath.crypto.identity import RelayId
from onionpath.injected import UnixTime
from onionpath.link.frames import Kind, encode_frame
from onionpath.onion.geometry import Geometry, SizeClass
from onionpath.onion.statuses import Reason
from onionpath.service.calls import Call
from relay.link import Link
from relay.link_table import LinkTable


class Watch(Protocol):
    """Looks on for experiments: what an observer of this relay's links could note."""

    def saw(self, link_id: int, *, sent: bool, kind: Kind, size: int) -> None: ...

    def proven(self, link_id: int, peer: RelayId) -> None: ...


@dataclass(frozen=True, slots=True)
class Serving:
    """A call for the registry; answer it with ``Switch.answered(call_id, …)``."""

    call_id: int
    call: Call
    from_client: bool
    last_depth: bool


@dataclass(slots=True)
class Actions:
    """What a driver must do now, in this order of fields; each list in the order of its making."""

    writes: list[tuple[int, bytes]] = field(default_factory=list)
    dials: list[RelayId] = field(default_factory=list)
    serves: list[Serving] = field(default_factory=list)
    closes: list[tuple[int, str]] = field(default_factory=list)
    pauses: list[tuple[int, UnixTime]] = field(default_factory=list)  # read no more from it until then
    answers: list[tuple[int, bytes | Reason]] = field(default_factory=list)  # asks of ours that are over


class Desk:
    """Where steps begin: what all frames of one switch are written with."""

    def __init__(self, geometry: Geometry, links: LinkTable, watch: Watch | None) -> None:
        self.geometry = geometry
        self.links = links
        self.watch = watch

    def step(self, now: UnixTime) -> Step:
        """A step at this moment, in which nothing is decided yet."""
        return Step(self, now)


class Step:
    """One step: the moment it happens at, and the actions so far."""

    __slots__ = ("_desk", "actions", "now")

    def __init__(self, desk: Desk, now: UnixTime) -> None:
        self._desk = desk
        self.now = now
        self.actions = Actions()

    def write(
        self,
        link: Link,
        kind: Kind,
        *,
        body: bytes | memoryview = b"",
        size_class: SizeClass = SizeClass.SMALL,
        depth: int = 0,
        generation: int = 0,
        slot: int = 0,
        exchange_id: int = 0,
    ) -> None:
        """Put a frame on a link."""
        desk = self._desk
        data = encode_frame(
            desk.geometry, kind, body,
            size_class=size_class, depth=depth, generation=generation, slot=slot, exchange_id=exchange_id,
        )  # fmt: skip
        self.actions.writes.append((link.link_id, data))
        desk.links.queued(link, len(data), self.now)
        if desk.watch:
            desk.watch.saw(link.link_id, sent=True, kind=kind, size=len(data))
