"""What a switch says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SwitchStatistics:
    """Counts by named reason since the start, and what is held now.

    Args:
        in_flight: requests and calls that neighbours sent and that aren't answered.
        waiting: of these, how many wait for another relay.
        calls: and how many a service works on.
        asks: what we ask other relays ourselves.
    """

    counts: Mapping[str, int]
    links: int
    in_flight: int
    waiting: int
    calls: int
    asks: int
    queued_bytes: int
