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
# A relay speaks for many clients: as many packets as one core can open, and a second of them under way.
RELAY = PeerLimits(packets_per_second=5_000, burst=5_000, in_flight=2_048)
# Of what one core can open when it does nothing else. A packet and its reply cost about twice its opening, so here the
# core is full; with more, as the 60 % that one often reads, the core would be full before the budget is used up, and
# chance would divide it instead of the shares of ``openings``. With less a relay that nobody floods would stand still.
OPENINGS_PART = 0.5


@dataclass(frozen=True, slots=True)
class SwitchLimits:
    """Bounds of a whole switch; sizes in bytes, times in seconds.

    Args:
        openings_per_second: packets that may be opened over all links together; the default is what a fast core can,
            and a relay measures its own (``opening_speed``).
        bad_packets_per_second: of a client, which had us spend a key encapsulation for nothing; so many come over a
            link before nothing else does. An honest client sends one only when it meets a new key, and 50 links of
            garbage take 2 % of a core. Links from relays are not charged: whoever sends garbage through a relay would
            slow everybody behind it.
        in_flight: exchanges under way in all. When as many are, whoever holds least displaces the oldest of whoever
            holds most, so that nobody can fill a relay and lock the others out.
        queued_bytes_per_peer: 64 large replies, so that a client that uses its whole allowance and reads slowly is
            not cut off; requests to a relay beyond it are refused, any peer at twice of it is closed.
        queued_bytes: over all peers; beyond it the peer that holds most is closed.
        asks, asks_per_peer: calls of our own to other relays that are under way, in all and to one of them; a quarter
            of what a relay may have under way with another, so that packets find room beside them.
        dial_queue: packets that wait for one connection to be made.
        dial_bytes: of packets and calls that wait for connections, in all: 128 large ones.
        redial_after_s: how long a relay that could not be reached is not tried again.
        service_timeout_s: what the last hop gives a service; each hop before waits ``hop_margin_s`` longer, so that
            the hop that knows most speaks first.
    """

    client: PeerLimits = field(default=CLIENT)
    relay: PeerLimits = field(default=RELAY)
    openings_per_second: float = 10_000.0
    bad_packets_per_second: float = 5.0
    in_flight: int = 4_096
    queued_bytes_per_peer: int = 8 * 1024 * 1024
    queued_bytes: int = 256 * 1024 * 1024
    asks: int = 4_096
    asks_per_peer: int = 512
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
