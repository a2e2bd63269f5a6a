"""Packets on their way to the next relay, and what comes back from there.

    a link stands                  the packet is sent, and waits for its reply
    none stands                    one is dialled; the packet waits for it, in bounded numbers and bytes
    it could not be reached        the packet fails, until ``redial_after_s`` have passed

Spec: docs/specs/link.md §6.2, §6.3, §6.6.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from onionpath.crypto.identity import RelayId
from onionpath.injected import UnixTime
from onionpath.link.faults import Fault, FaultyPeerError
from onionpath.link.frames import Frame, Kind
from onionpath.onion.packets import Forward, Packet
from onionpath.onion.statuses import Reason
from relay.exchanges import Exchanges, Origin
from relay.limits import SwitchLimits
from relay.link import Link
from relay.link_table import LinkTable
from relay.replies import Replies
from relay.step import Step


class Forwarding:
    """One relay's part in it.

    Args:
        our_id: nobody may have us forward to ourselves.
        counts: of the switch, by named reason.
    """

    def __init__(
        self,
        our_id: RelayId,
        links: LinkTable,
        exchanges: Exchanges,
        replies: Replies,
        counts: Counter[str],
        limits: SwitchLimits,
    ) -> None:
        self._our_id = our_id
        self._links = links
        self._exchanges = exchanges
        self._replies = replies
        self._counts = counts
        self._limits = limits
        self._relays: Collection[RelayId] = ()
        self._avoided_until: dict[RelayId, UnixTime] = {}

    def use_network(self, relays: Collection[RelayId]) -> None:
        """The relays of the newest document."""
        self._relays = relays

    def knows(self, relay: RelayId) -> bool:
        """Whether packets may go there at all."""
        return relay in self._relays and relay != self._our_id

    # There.

    def forward(self, step: Step, peeled: Forward, origin: Origin) -> None:
        """Send a packet to a relay that we know, or have it wait until we can."""
        link = self._links.to(peeled.next_relay)
        if link is not None:
            self._send(step, link, peeled.packet, origin)
        elif self.avoids(peeled.next_relay, step.now):
            self._replies.fail_edge(step, origin, Reason.NEXT_UNREACHABLE)
        else:
            self._queue(step, peeled, origin)

    def _send(self, step: Step, link: Link, packet: Packet, origin: Origin) -> None:
        if link.backlog.size >= self._limits.queued_bytes_per_peer:
            self._replies.fail_edge(step, origin, Reason.NEXT_CONGESTED)
            return
        exchange_id = link.fresh_exchange_id()
        self._exchanges.wait(link.link_id, exchange_id, origin)
        self._counts["forwarded"] += 1
        step.write(
            link, Kind.REQUEST, body=packet.layer, size_class=packet.size_class,
            depth=packet.depth, generation=packet.generation, slot=packet.slot, exchange_id=exchange_id,
        )  # fmt: skip

    def _queue(self, step: Step, peeled: Forward, origin: Origin) -> None:
        self.want(step, peeled.next_relay)
        limits = self._limits
        has_room = self._exchanges.queue(
            peeled.next_relay,
            peeled.packet,
            origin,
            at_most=limits.dial_queue,
            at_most_bytes=limits.dial_bytes,
        )
        if not has_room:
            self._replies.fail_edge(step, origin, Reason.NEXT_CONGESTED)

    # Links to relays come and go.

    def want(self, step: Step, relay: RelayId) -> None:
        """Have a link made to this relay, unless one is being made."""
        if self._exchanges.dial(relay):
            step.actions.dials.append(relay)

    def reached(self, step: Step, link: Link, relay: RelayId) -> None:
        """A link to this relay is proven: what waited for it goes."""
        for packet, origin in self._exchanges.take_by_dial(relay):
            self._send(step, link, packet, origin)

    def not_reached(self, step: Step, relay: RelayId) -> None:
        """No link could be made: what waited for it fails, and it is not dialled again at once."""
        self.avoid(relay, step.now)
        for _, origin in self._exchanges.take_by_dial(relay):
            self._replies.fail_edge(step, origin, Reason.NEXT_UNREACHABLE)

    def avoid(self, relay: RelayId, now: UnixTime) -> None:
        """Make no link to this relay for a while."""
        self._avoided_until[relay] = UnixTime(now + self._limits.redial_after_s)

    def avoids(self, relay: RelayId, now: UnixTime) -> bool:
        """Whether this relay is one to which no link is made for now."""
        return self._avoided_until.get(relay, now) > now

    def lost(self, step: Step, link_id: int) -> None:
        """A link is gone: what waits for replies over it fails."""
        for origin in self._exchanges.take_by_link(link_id):
            self._replies.fail_edge(step, origin, Reason.NEXT_CLOSED)

    def forget(self, now: UnixTime) -> None:
        """Drop what is over."""
        self._avoided_until = {relay: until for relay, until in self._avoided_until.items() if until > now}

    # Back.

    def take_reply(self, step: Step, link: Link, frame: Frame) -> None:
        """A REPLY or REJECT came.

        Raises:
            FaultyPeerError: from a client, whom nobody ever asks.
        """
        origin = self._exchanges.take_by_reply(link.link_id, frame.exchange_id)
        if origin is None:
            self._counts["reply_unexpected"] += 1
            if link.is_client:
                # This one is only making us work.
                raise FaultyPeerError(Fault.REPLY_FROM_CLIENT)
        elif frame.kind is Kind.REJECT:
            self._replies.fail_edge(step, origin, Reason.NEXT_REJECTED)
        elif frame.size_class is not origin.reply_class or frame.depth != origin.depth + 1:
            self._replies.fail_edge(step, origin, Reason.NEXT_MALFORMED)
        else:
            self._replies.pass_back(step, origin, frame.body)
