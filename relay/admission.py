"""What is refused before a packet is opened: opening it is nearly all the work that it makes.

Spec: docs/specs/link.md §7.3 and the bounds of §8.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from onionpath.injected import UnixTime
from onionpath.link.frames import Frame
from onionpath.onion.packets import HopKey
from onionpath.onion.replay import ReplayMemory
from onionpath.onion.statuses import Reason
from onionpath.service.calls import Reply
from relay.exchanges import Exchanges
from relay.limits import SwitchLimits
from relay.link import Link, LinkState
from relay.link_table import LinkTable
from relay.refusals import Refusal
from relay.replies import Replies
from relay.step import Step


class Admission:
    """Decides which requests and calls are taken.

    Args:
        counts: of the switch, by named reason.
    """

    def __init__(
        self,
        replay: ReplayMemory,
        links: LinkTable,
        exchanges: Exchanges,
        replies: Replies,
        counts: Counter[str],
        limits: SwitchLimits,
    ) -> None:
        self.keys: Mapping[int, HopKey] = {}  # ours that may be used now, by generation
        self.is_draining = False
        self._replay = replay
        self._links = links
        self._exchanges = exchanges
        self._replies = replies
        self._counts = counts
        self._limits = limits

    def stale(self, link: Link, frame: Frame, now: UnixTime) -> Refusal | None:
        """Why this request can't be opened, if so."""
        if frame.depth and link.state is not LinkState.PROVEN:
            return Refusal.DEPTH_FROM_CLIENT
        if frame.generation not in self.keys:
            return Refusal.GENERATION_UNKNOWN
        if not self._replay.is_open(frame.slot, now):
            return Refusal.SLOT_CLOSED
        return None

    def overload(self, step: Step, link: Link) -> Refusal | None:
        """Why nothing more is taken over this link now, if so; for requests and calls alike."""
        if self.is_draining:
            return Refusal.DRAINING
        if link.in_flight >= link.in_flight_limit:
            return Refusal.PEER_IN_FLIGHT_FULL
        if len(self._exchanges) >= self._limits.in_flight and not self._make_room(step, link):
            return Refusal.NODE_IN_FLIGHT_FULL
        return None

    def _make_room(self, step: Step, link: Link) -> bool:
        """End the oldest exchanges of whoever holds most, unless that is this link or one that holds little more."""
        holder = max(self._links, key=lambda each: each.in_flight)
        if holder.in_flight <= 2 * link.in_flight + 1:
            return False
        # Several at once, because finding them costs as much as finding one.
        shed = self._exchanges.take_oldest_from(holder.link_id, 1 + holder.in_flight // 8)
        for origin in shed:
            self._counts["shed_oldest"] += 1
            self._replies.end(step, origin, Reply.refused(Reason.HOP_BUSY))
        return bool(shed)
