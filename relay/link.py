"""What a switch remembers of one link: who is there, what is under way, and what waits to be written.

States of a link:

    called by a client      OPEN
    called by a relay       OPEN -> CLAIM comes -> CLAIMED -> PROOF comes -> PROVEN
    calling a relay         CLAIMING -> CHALLENGE comes -> PROVEN

Only a PROVEN link carries packets of depth 1 and more.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from onionpath.crypto.identity import RelayId
from onionpath.injected import UnixTime
from onionpath.link.frames import FrameReader
from onionpath.link.proof import Claim
from relay.backlog import Backlog
from relay.limits import SwitchLimits
from relay.packet_rate import PacketRate


class LinkState(Enum):
    """How far a link's two ends know each other."""

    OPEN = "open"
    CLAIMED = "claimed"
    CLAIMING = "claiming"
    PROVEN = "proven"


@dataclass(slots=True)
class Link:
    """One connection, as the switch sees it."""

    link_id: int
    state: LinkState
    peer: RelayId | None
    opened_at: UnixTime
    heard_at: UnixTime
    reader: FrameReader
    rate: PacketRate
    in_flight_limit: int
    used_at: UnixTime  # to which time ``used_openings`` is reckoned
    used_openings: float = 0.0  # packets opened for it, forgotten little by little
    incomplete_since: UnixTime | None = None
    backlog: Backlog = field(default_factory=Backlog)
    in_flight: int = 0  # requests and calls it sent us that aren't answered
    next_exchange_id: int = 1
    going_away: bool = False
    claim: Claim | None = None
    our_nonce: bytes = b""

    @property
    def is_client(self) -> bool:
        """True unless a relay has proven itself here."""
        return self.state is not LinkState.PROVEN

    def charge_bad_packet(self, limits: SwitchLimits) -> None:
        """A client had us open a packet that no honest client sends."""
        if self.is_client:
            self.rate.charge(self.rate.per_second / limits.bad_packets_per_second)

    def overdue(self, limits: SwitchLimits, now: UnixTime, *, is_used: bool) -> str | None:
        """Why its time is over, if so.

        Args:
            is_used: something is under way over it, in either direction.
        """
        if self.incomplete_since is not None and now - self.incomplete_since > limits.frame_timeout_s:
            return "frame_too_slow"
        if self.backlog.age(now) > limits.stall_timeout_s:
            return "peer_never_reads"
        is_unproven = self.state in (LinkState.CLAIMED, LinkState.CLAIMING)
        if is_unproven and now - self.opened_at > limits.proof_timeout_s:
            return "proof_too_slow"
        if is_used:
            return None
        if self.going_away:
            return "went_away"
        return "idle" if now - self.heard_at > limits.idle_timeout_s else None

    def fresh_exchange_id(self) -> int:
        """A number that no other exchange of ours on this link has had."""
        exchange_id = self.next_exchange_id
        self.next_exchange_id += 1
        return exchange_id
