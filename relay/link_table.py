"""The links of a switch: who is there, over which link a relay is reached, and what each link has yet to write.

Nothing is closed here: ``holder_of_too_much`` names the link that should be, and the switch ends what hangs on it.
"""

from __future__ import annotations

from collections.abc import Iterator

from onionpath.crypto.identity import RelayId
from onionpath.injected import UnixTime
from onionpath.link.frames import FrameReader
from onionpath.onion.geometry import Geometry
from relay.limits import SwitchLimits
from relay.link import Link, LinkState
from relay.packet_rate import PacketRate


class LinkTable:
    """All open links, by their number and by the relay at their other end."""

    def __init__(self, geometry: Geometry, limits: SwitchLimits) -> None:
        self._geometry = geometry
        self._limits = limits
        self._links: dict[int, Link] = {}
        self._by_relay: dict[RelayId, int] = {}
        self._queued_bytes = 0
        self._is_crowded = False  # a link, or all together, may hold more than allowed

    def __len__(self) -> int:
        return len(self._links)

    def __iter__(self) -> Iterator[Link]:
        return iter(list(self._links.values()))

    @property
    def queued_bytes(self) -> int:
        """What all links have yet to write."""
        return self._queued_bytes

    @property
    def in_flight(self) -> int:
        """What neighbours sent over open links and that isn't answered."""
        return sum(link.in_flight for link in self._links.values())

    def get(self, link_id: int) -> Link | None:
        """The link of this number, if it is open."""
        return self._links.get(link_id)

    def to(self, relay: RelayId) -> Link | None:
        """The link over which this relay takes packets."""
        link = self._links.get(self._by_relay.get(relay, 0))
        return None if link is None or link.going_away else link

    def add(self, link_id: int, state: LinkState, peer: RelayId | None, now: UnixTime) -> Link:
        """A connection stands."""
        limits = self._limits.client if peer is None else self._limits.relay
        rate = PacketRate.full(limits.packets_per_second, limits.burst, now)
        reader = FrameReader(self._geometry)
        link = Link(link_id, state, peer, now, now, reader, rate, limits.in_flight, used_at=now)
        self._links[link_id] = link
        return link

    def proven(self, link: Link, relay: RelayId, now: UnixTime) -> None:
        """The other end is this relay, and has a relay's limits from now on."""
        link.peer, link.state = relay, LinkState.PROVEN
        limits = self._limits.relay
        link.rate = PacketRate.full(limits.packets_per_second, limits.burst, now)
        link.in_flight_limit = limits.in_flight
        if self.to(relay) is None:
            self._by_relay[relay] = link.link_id

    def remove(self, link_id: int) -> Link | None:
        """The connection is gone, and what it had to write with it."""
        link = self._links.pop(link_id, None)
        if link is None:
            return None
        self._queued_bytes -= link.backlog.size
        if link.peer is not None and self._by_relay.get(link.peer) == link_id:
            del self._by_relay[link.peer]
            self._promote(link.peer)
        return link

    def _promote(self, relay: RelayId) -> None:
        """Use another link to this relay, if there is one, rather than make a third."""
        for link in self._links.values():
            if link.peer == relay and link.state is LinkState.PROVEN and not link.going_away:
                self._by_relay[relay] = link.link_id
                return

    def queued(self, link: Link, size: int, now: UnixTime) -> None:
        """So many bytes were handed to the driver."""
        link.backlog.add(size, now)
        self._queued_bytes += size
        if link.backlog.size > self._most_per_link or self._queued_bytes > self._limits.queued_bytes:
            self._is_crowded = True

    def written(self, link_id: int, size: int) -> None:
        """So many bytes have left."""
        link = self._links.get(link_id)
        if link is not None:
            link.backlog.remove(size)
            self._queued_bytes -= size

    def holder_of_too_much(self) -> tuple[Link, str] | None:
        """A link that must be closed, and why: it holds too much, or most when all together do."""
        if not self._is_crowded or not self._links:
            return None
        holder = max(self._links.values(), key=lambda link: link.backlog.size)
        if holder.backlog.size > self._most_per_link:
            return holder, "peer_queue_full"
        if self._queued_bytes > self._limits.queued_bytes:
            return holder, "shed_largest_queue"
        self._is_crowded = False
        return None

    @property
    def _most_per_link(self) -> int:
        # Requests stop at the limit itself; what is beyond it are replies, which have nowhere else to go.
        return 2 * self._limits.queued_bytes_per_peer
