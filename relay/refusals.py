"""Why a request is answered with REJECT: the names that are counted. Spec: docs/specs/link.md §7.3, §7.4."""

from __future__ import annotations

from enum import StrEnum

from onionpath.onion.replay import Remembered


class Refusal(StrEnum):
    """In the order in which they are looked for."""

    DEPTH_FROM_CLIENT = "depth_from_client"
    GENERATION_UNKNOWN = "generation_unknown"
    SLOT_CLOSED = "slot_closed"
    DRAINING = "draining"
    PEER_IN_FLIGHT_FULL = "peer_in_flight_full"
    NODE_IN_FLIGHT_FULL = "node_in_flight_full"
    # From here on the packet was opened.
    LAYER_BAD = "layer_bad"
    LAYER_MALFORMED = "layer_malformed"
    REPLAY_REPLAYED = "replay_replayed"
    REPLAY_FULL = "replay_full"
    REPLAY_CLOSED = "replay_closed"


OF_REPLAY = {
    Remembered.REPLAYED: Refusal.REPLAY_REPLAYED,
    Remembered.FULL: Refusal.REPLAY_FULL,
    Remembered.CLOSED: Refusal.REPLAY_CLOSED,
}
