"""Every exchange that a relay has taken and that isn't over: each ends exactly once.

Where an exchange is, and what ends it:

    waiting      sent to the next relay              its reply or REJECT, the loss of that link, its deadline
    dialling     until a link to the next is made    the link, or that it can't be made; its deadline
    calls        a service works on it               the service's answer, its deadline
    each         the relay is full                   the oldest of whoever holds most, for somebody who holds less

Whoever asks for an exchange gets it and must end it; it is not here any more.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from onionpath.crypto.identity import RelayId
from onionpath.injected import UnixTime
from onionpath.onion.geometry import SizeClass
from onionpath.onion.packets import Packet, ReplyKey
from onionpath.onion.statuses import Reason


class Origin(NamedTuple):
    """Where an exchange came from and what its reply needs; ``reply_key`` is None for an unsealed call."""

    link_id: int
    exchange_id: int
    reply_class: SizeClass
    reply_key: ReplyKey | None
    depth: int
    received_at: UnixTime
    deadline: UnixTime


class Exchanges:
    """See the module's first lines."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[int, int], Origin] = {}  # by link and exchange id, which are the next hop's
        self._dialling: dict[RelayId, list[tuple[Packet, Origin]]] = {}
        self._queued = 0
        self._queued_bytes = 0
        self._calls: dict[int, Origin] = {}
        self._next_call_id = 1

    def __len__(self) -> int:
        return len(self._waiting) + self._queued + len(self._calls)

    @property
    def calls(self) -> int:
        """How many of them a service works on."""
        return len(self._calls)

    @property
    def queued_bytes(self) -> int:
        """What waits for links that are being made."""
        return self._queued_bytes

    @property
    def is_dialling(self) -> bool:
        """Whether a link is being made."""
        return bool(self._dialling)

    # In.

    def wait(self, link_id: int, exchange_id: int, origin: Origin) -> None:
        """It was sent over this link under this id."""
        self._waiting[link_id, exchange_id] = origin

    def serve(self, origin: Origin) -> int:
        """A service gets it; gives the call's number."""
        call_id = self._next_call_id
        self._next_call_id += 1
        self._calls[call_id] = origin
        return call_id

    def dial(self, relay: RelayId) -> bool:
        """A link to this relay is wanted; False if it is being made already."""
        if relay in self._dialling:
            return False
        self._dialling[relay] = []
        return True

    def queue(
        self, relay: RelayId, packet: Packet, origin: Origin, *, at_most: int, at_most_bytes: int
    ) -> bool:
        """It waits for the link that is being made; False if as many wait as may.

        Args:
            at_most: packets for this relay.
            at_most_bytes: of layers, over all relays.
        """
        queue = self._dialling[relay]
        if len(queue) >= at_most or self._queued_bytes + len(packet.layer) > at_most_bytes:
            return False
        queue.append((packet, origin))
        self._count_queued([(packet, origin)], 1)
        return True

    def _count_queued(self, entries: list[tuple[Packet, Origin]], sign: int) -> None:
        self._queued += sign * len(entries)
        self._queued_bytes += sign * sum(len(packet.layer) for packet, _ in entries)

    # Out.

    def by_reply(self, link_id: int, exchange_id: int) -> Origin | None:
        """What waits for the reply of this name."""
        return self._waiting.pop((link_id, exchange_id), None)

    def by_call(self, call_id: int) -> Origin | None:
        """What the service of this call worked on."""
        return self._calls.pop(call_id, None)

    def by_link(self, link_id: int) -> list[Origin]:
        """All that wait for replies over this link."""
        return [self._waiting.pop(key) for key in [key for key in self._waiting if key[0] == link_id]]

    def by_dial(self, relay: RelayId) -> list[tuple[Packet, Origin]]:
        """All that wait for a link to this relay, which is made, or can't be."""
        queue = self._dialling.pop(relay, [])
        self._count_queued(queue, -1)
        return queue

    def oldest_from(self, link_id: int, count: int) -> list[Origin]:
        """So many of those that came over this link, the oldest first, to make room for others."""
        found: list[tuple[Origin, Callable[[], object]]] = []
        for key, origin in self._waiting.items():
            if origin.link_id == link_id:
                found.append((origin, partial(self._waiting.pop, key)))
        for call_id, origin in self._calls.items():
            if origin.link_id == link_id:
                found.append((origin, partial(self._calls.pop, call_id)))
        for relay, queue in self._dialling.items():
            for entry in queue:
                if entry[1].link_id == link_id:
                    found.append((entry[1], partial(self._unqueue, relay, entry)))
        oldest = sorted(found, key=lambda each: each[0].received_at)[:count]
        for _, remove in oldest:
            remove()
        return [origin for origin, _ in oldest]

    def _unqueue(self, relay: RelayId, entry: tuple[Packet, Origin]) -> None:
        self._dialling[relay] = [each for each in self._dialling[relay] if each is not entry]
        self._count_queued([entry], -1)

    def overdue(self, now: UnixTime) -> list[tuple[Origin, Reason]]:
        """All whose deadline has passed, and what to say of them."""
        # All are looked at: a packet that waited for its link to be made stands behind later ones.
        late = [key for key, origin in self._waiting.items() if origin.deadline <= now]
        found = [(self._waiting.pop(key), Reason.NEXT_TIMED_OUT) for key in late]
        for queue in self._dialling.values():
            found += [(origin, Reason.NEXT_UNREACHABLE) for _, origin in queue if origin.deadline <= now]
            self._count_queued([entry for entry in queue if entry[1].deadline <= now], -1)
            queue[:] = [entry for entry in queue if entry[1].deadline > now]
        return found

    def overdue_calls(self, now: UnixTime) -> list[Origin]:
        """All whose service has taken too long."""
        late = [call_id for call_id, origin in self._calls.items() if origin.deadline <= now]
        return [self._calls.pop(call_id) for call_id in late]

    def awaits(self, link_id: int) -> bool:
        """Whether anything waits for a reply over this link."""
        return any(key[0] == link_id for key in self._waiting)
