"""What each relay on a path could know of one request: drawn from the recorded frames of the real processes.

Nothing here asks the client. Which relays carried the request, in which order, and who called whom is read off their
own records, as an observer inside of each could note it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from onionpath.errors import UsageError
from simulations.local.frame_records import FramePassed, Linked, Proven
from simulations.local.network import LocalNetwork, LocalRelay
from simulations.local.website_notes import BytesPassed, Connected, Note, RecordPassed, Requested

POSITIONS = ("first", "middle", "exit")
# RFC 8446 §5.1.
RECORD_TYPES = {20: "change cipher spec", 21: "alert", 22: "handshake", 23: "application data"}


@dataclass(frozen=True, slots=True)
class Side:
    """One neighbour of a relay and what passed between them.

    Args:
        who: as this relay could name it.
        received, sent: number of frames by size in bytes.
    """

    who: str
    received: dict[int, int]
    sent: dict[int, int]


@dataclass(frozen=True, slots=True)
class Sight:
    """What one relay could see.

    Args:
        position: "first", "middle" or "exit"; every relay knows its own.
        called_by: whoever sent requests to it.
        called: the relays that it sent requests on to; nobody at the exit.
        website: the website, if the kernel says that this relay's process was connected to it; otherwise None.
    """

    relay: str
    address: str
    position: str
    called_by: tuple[Side, ...]
    called: tuple[Side, ...]
    website: str | None


@dataclass(frozen=True, slots=True)
class Outside:
    """What passed between the exit and the website, on the exit's own TCP connection.

    Args:
        exit: which relay's process held the other end, as the kernel says.
        address: from where it connected.
        requests: what the website read after it took TLS off.
        records: number of TLS records by type; ``bytes`` is their length in all.
        name_in_hello: whether the website's name stands readable in the first one.
        page_readable: whether any line of the page stands readable in what passed.
    """

    exit: str
    address: str
    requests: tuple[str, ...]
    records: dict[str, int]
    bytes: int
    name_in_hello: bool
    page_readable: bool


def sights(network: LocalNetwork, outside: Outside) -> list[Sight]:
    """The relays that carried requests, from the first to the exit.

    Raises:
        UsageError: the records don't form a path, because none were kept or something else used the network.
    """
    by_id = {relay.relay_id.hex(): relay for relay in network.relays}
    carried = {relay.number: _Links(relay, by_id) for relay in network.relays}
    path = [links for links in carried.values() if links.called_by(client=True)]
    while path and len(path) < len(carried) and path[-1].next_number() is not None:
        path.append(carried[path[-1].next_number() or 0])
    if len(path) != len(POSITIONS) or path[-1].relay.name != outside.exit:
        raise UsageError("the recorded frames do not form one path; was something else sent as well?")
    website = f"{network.website.host}:{network.website.port}"
    return [
        Sight(
            links.relay.name,
            str(links.relay.endpoint),
            position,
            tuple(links.sides(called=False)),
            tuple(links.sides(called=True)),
            website if links.relay.name == outside.exit else None,
        )
        for links, position in zip(path, POSITIONS, strict=True)
    ]


class _Links:
    """One relay's links that carried requests."""

    def __init__(self, relay: LocalRelay, by_id: dict[str, LocalRelay]) -> None:
        self.relay = relay
        self._by_id = by_id
        records = relay.frames()
        self._linked = {record.link: record for record in records if isinstance(record, Linked)}
        self._proven = {record.link: record.relay for record in records if isinstance(record, Proven)}
        self._frames = [record for record in records if isinstance(record, FramePassed)]
        self._busy = sorted({frame.link for frame in self._frames if frame.kind == "request"})

    def called_by(self, *, client: bool) -> list[int]:
        """Links over which requests came, from clients or from relays."""
        return [
            link
            for link in self._busy
            if self._linked[link].called is None and (link not in self._proven) is client
        ]

    def next_number(self) -> int | None:
        """The relay that it called with requests, if any."""
        called = [self._linked[link].called for link in self._busy]
        return next((self._by_id[relay].number for relay in called if relay is not None), None)

    def sides(self, *, called: bool) -> list[Side]:
        """Its neighbours on one side."""
        links = [link for link in self._busy if (self._linked[link].called is not None) is called]
        return [
            Side(self._who(link), self._sizes(link, sent=False), self._sizes(link, sent=True))
            for link in links
        ]

    def _who(self, link: int) -> str:
        relay_id = self._linked[link].called or self._proven.get(link)
        if relay_id is not None:
            return self._by_id[relay_id].name
        return f"a client at {self._linked[link].address.rpartition(':')[0]}"

    def _sizes(self, link: int, *, sent: bool) -> dict[int, int]:
        found = Counter(frame.size for frame in self._frames if frame.link == link and frame.sent is sent)
        return dict(sorted(found.items()))


def outside(network: LocalNetwork, notes: Sequence[Note], page: str) -> Outside:
    """What passed on the exit's connection to the website.

    Raises:
        UsageError: nobody connected, or more than one did.
    """
    connected = [note for note in notes if isinstance(note, Connected)]
    if len(connected) != 1:
        raise UsageError(f"one exit was expected to connect to the website, not {len(connected)}")
    names = {pid: name for name, pid in network.pids().items()}
    records = [note for note in notes if isinstance(note, RecordPassed)]
    passed = b"".join(note.content for note in notes if isinstance(note, BytesPassed))
    lines = [line.encode() for line in page.splitlines() if len(line) > 8]
    return Outside(
        exit=names.get(connected[0].pid or 0, "an unknown process"),
        address=connected[0].address,
        requests=tuple(note.line for note in notes if isinstance(note, Requested)),
        records=dict(Counter(RECORD_TYPES.get(record.type, "no TLS") for record in records)),
        bytes=sum(record.length for record in records),
        name_in_hello=network.website.host.encode() in passed,
        page_readable=any(line in passed for line in lines),
    )
