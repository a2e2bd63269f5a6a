"""The numbers that bound a switch, each with its unit and reason."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class PeerLimits:
    """What one neighbour may ask of us.

    Args:
        packets_per_second, burst: of its requests; beyond them we stop reading, and nothing is lost.
        in_flight: requests of it that are under way; beyond them it gets REJECT.
    """

    packets_per_second: float
    burst: float
    in_flight: int


# 100 large packets a second carry 12 MB/s, more than one client should take from a relay; the burst is what a page
# with many parts sends at once. 64 in flight keep a 300 ms path at 25 MB/s.
CLIENT = PeerLimits(packets_per_second=100, burst=200, in_flight=64)
# A client's packet that doesn't open has cost us a key encapsulation for nothing, and an honest client sends one only
# when it meets a new key. So many a second may come over a link before nothing else may: 50 links of garbage take 3 %
# of a core. Links from relays are not charged: whoever sends garbage through a relay would slow everybody behind it.
BAD_PACKETS_PER_SECOND = 5.0
# A relay speaks for many clients: as many packets as one core can open, and a second of them under way.
RELAY = PeerLimits(packets_per_second=5_000, burst=5_000, in_flight=2_048)


@dataclass(frozen=True, slots=True)
class SwitchLimits:
    """Bounds of a whole switch; sizes in bytes, times in seconds.

    Args:
        in_flight: exchanges under way in all. When as many are, whoever holds least displaces the oldest of whoever
            holds most, so that nobody can fill a relay and lock the others out.
        queued_bytes_per_peer: 64 large replies, so that a client that uses its whole allowance and reads slowly is
            not cut off; requests to a relay beyond it are refused, any peer at twice of it is closed.
        queued_bytes: over all peers; beyond it the peer that holds most is closed.
        dial_queue: packets that wait for one connection to be made.
        dial_bytes: of packets that wait for connections, in all: 128 large ones.
        redial_after_s: how long a relay that could not be reached is not tried again.
        service_timeout_s: what the last hop gives a service; each hop before waits ``hop_margin_s`` longer, so that
            the hop that knows most speaks first.
    """

    client: PeerLimits = field(default=CLIENT)
    relay: PeerLimits = field(default=RELAY)
    in_flight: int = 4_096
    queued_bytes_per_peer: int = 8 * 1024 * 1024
    queued_bytes: int = 256 * 1024 * 1024
    dial_queue: int = 256
    dial_bytes: int = 16 * 1024 * 1024
    redial_after_s: float = 2.0
    service_timeout_s: float = 25.0
    hop_margin_s: float = 2.0
    frame_timeout_s: float = 15.0
    stall_timeout_s: float = 30.0
    proof_timeout_s: float = 10.0
    idle_timeout_s: float = 120.0

    def patience_s(self, hops_after: int) -> float:
        """How long a relay with so many hops after it waits for their reply."""
        return self.service_timeout_s + self.hop_margin_s * hops_after
