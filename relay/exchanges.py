"""Every exchange that a relay has taken and that isn't over: each ends exactly once.

Where an exchange is, and what ends it:

    Sent         over the link to the next relay     its reply or REJECT, the loss of that link, its deadline
    Queued       until a link to the next is made    the link, or that it can't be made; its deadline
    Served       a service works on it               the service's answer, its deadline
    each         the relay is full                   the oldest of whoever holds most, for somebody who holds less

Whoever asks for an exchange gets it and must end it; it is not here any more.
"""

from __future__ import annotations

from heapq import nsmallest
from typing import NamedTuple

from onionpath.crypto.identity import RelayId
from onionpath.injected import UnixTime
from onionpath.onion.geometry import SizeClass
from onionpath.onion.packets import Packet, ReplyKey


class Origin(NamedTuple):
    """Where an exchange came from and what its reply needs; ``reply_key`` is None for an unsealed call."""

    link_id: int
    exchange_id: int
    reply_class: SizeClass
    reply_key: ReplyKey | None
    depth: int
    received_at: UnixTime
    deadline: UnixTime


class Sent(NamedTuple):
    """It is with the next relay, over this link and under this id."""

    link_id: int
    exchange_id: int


class Queued(NamedTuple):
    """Its packet waits for a link to this relay."""

    relay: RelayId
    packet: Packet


class Served(NamedTuple):
    """A service works on it."""


Place = Sent | Queued | Served


class Exchange(NamedTuple):
    """One of them; ``number`` is ours alone, and that of its call if it is served."""

    number: int
    origin: Origin
    place: Place


class Exchanges:
    """See the module's first lines."""

    def __init__(self) -> None:
        self._all: dict[int, Exchange] = {}
        self._next_number = 1
        self._calls = 0
        self._queued_bytes = 0
        # The same, by what will be asked for; every number in these keys is one that we gave out.
        self._by_origin: dict[int, dict[int, Exchange]] = {}  # link they came over, number
        self._by_next: dict[int, dict[int, Exchange]] = {}  # link they were sent over, exchange id there
        self._by_dial: dict[
            RelayId, dict[int, Exchange]
        ] = {}  # number; there as long as the link is being made

    def __len__(self) -> int:
        return len(self._all)

    @property
    def calls(self) -> int:
        """How many of them a service works on."""
        return self._calls

    @property
    def queued_bytes(self) -> int:
        """What waits for links that are being made."""
        return self._queued_bytes

    @property
    def is_dialling(self) -> bool:
        """Whether a link is being made."""
        return bool(self._by_dial)

    def awaits(self, link_id: int) -> bool:
        """Whether anything waits for a reply over this link."""
        return link_id in self._by_next

    # In.

    def wait(self, link_id: int, exchange_id: int, origin: Origin) -> None:
        """It was sent over this link under this id."""
        exchange = self._add(origin, Sent(link_id, exchange_id))
        self._by_next.setdefault(link_id, {})[exchange_id] = exchange

    def serve(self, origin: Origin) -> int:
        """A service gets it; gives the call's number."""
        self._calls += 1
        return self._add(origin, Served()).number

    def dial(self, relay: RelayId) -> bool:
        """A link to this relay is wanted; False if it is being made already."""
        if relay in self._by_dial:
            return False
        self._by_dial[relay] = {}
        return True

    def queue(
        self, relay: RelayId, packet: Packet, origin: Origin, *, at_most: int, at_most_bytes: int
    ) -> bool:
        """It waits for the link that is being made; False if as many wait as may.

        Args:
            at_most: packets for this relay.
            at_most_bytes: of layers, over all relays.
        """
        queue = self._by_dial[relay]
        if len(queue) >= at_most or not self.hold(len(packet.layer), at_most=at_most_bytes):
            return False
        exchange = self._add(origin, Queued(relay, packet))
        queue[exchange.number] = exchange
        return True

    def hold(self, size: int, *, at_most: int) -> bool:
        """So many bytes more wait for links that are being made, of whatever kind; False if they would be too many."""
        if self._queued_bytes + size > at_most:
            return False
        self._queued_bytes += size
        return True

    def release(self, size: int) -> None:
        """So many bytes wait no more."""
        self._queued_bytes -= size

    def _add(self, origin: Origin, place: Place) -> Exchange:
        number = self._next_number
        self._next_number += 1
        exchange = self._all[number] = Exchange(number, origin, place)
        self._by_origin.setdefault(origin.link_id, {})[number] = exchange
        return exchange

    # Out.

    def take_by_reply(self, link_id: int, exchange_id: int) -> Origin | None:
        """What waits for the reply of this name."""
        exchange = self._by_next.get(link_id, {}).get(exchange_id)
        return None if exchange is None else self._take(exchange)

    def take_by_call(self, call_id: int) -> Origin | None:
        """What the service of this call worked on."""
        exchange = self._all.get(call_id)
        return None if exchange is None else self._take(exchange)

    def take_by_link(self, link_id: int) -> list[Origin]:
        """All that wait for replies over this link."""
        return [self._take(exchange) for exchange in list(self._by_next.get(link_id, {}).values())]

    def take_by_dial(self, relay: RelayId) -> list[tuple[Packet, Origin]]:
        """All that wait for a link to this relay, which is made, or can't be."""
        waiting = list(self._by_dial.get(relay, {}).values())
        found = [(each.place.packet, self._take(each)) for each in waiting if isinstance(each.place, Queued)]
        self._by_dial.pop(relay, None)
        return found

    def take_oldest_from(self, link_id: int, count: int) -> list[Origin]:
        """So many of those that came over this link, the oldest first, to make room for others."""
        ours = self._by_origin.get(link_id, {}).values()
        oldest = nsmallest(count, ours, key=lambda exchange: exchange.origin.received_at)
        return [self._take(exchange) for exchange in oldest]

    def take_overdue(self, now: UnixTime) -> list[tuple[Origin, Place]]:
        """All whose deadline has passed, and where they were."""
        # All are looked at: a packet that waited for its link to be made stands behind later ones.
        late = [exchange for exchange in self._all.values() if exchange.origin.deadline <= now]
        return [(self._take(exchange), exchange.place) for exchange in late]

    def _take(self, exchange: Exchange) -> Origin:
        number, origin, place = exchange
        del self._all[number]
        _drop(self._by_origin, origin.link_id, number)
        match place:
            case Sent():
                _drop(self._by_next, place.link_id, place.exchange_id)
            case Queued():
                del self._by_dial[place.relay][number]
                self.release(len(place.packet.layer))
            case Served():
                self._calls -= 1
        return origin


def _drop(index: dict[int, dict[int, Exchange]], link_id: int, key: int) -> None:
    of_link = index[link_id]
    del of_link[key]
    if not of_link:
        del index[link_id]
