"""What a peer can do wrong on a link: each fault closes it and is counted by name. Spec: docs/specs/link.md §7.1."""

from __future__ import annotations

from enum import StrEnum

from onionpath.errors import MalformedError


class Fault(StrEnum):
    """Names for the counters ``link_…``."""

    FRAME_UNKNOWN = "frame_unknown"  # no legal kind, class and depth
    FRAME_HEADER_STRAY = "frame_header_stray"  # a generation or slot where there is none
    FRAME_PADDING = "frame_padding"  # filled up with something else than zeros
    CALL_HEAD = "call_head"
    CALL_LENGTH = "call_length"
    ANSWER_HEAD = "answer_head"
    CLAIM_LENGTH = "claim_length"
    CLAIM_KEY = "claim_key"  # the claimed identity is no usable key
    PROOF_WRONG = "proof_wrong"
    PROOF_OUT_OF_ORDER = "proof_out_of_order"
    PROOF_UNKNOWN_RELAY = "proof_unknown_relay"
    PEER_LEFT_NETWORK = "peer_left_network"
    REPLY_FROM_CLIENT = "reply_from_client"


class FaultyPeerError(MalformedError):
    """A peer broke the rules of the link; ``fault`` says which."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.value)
        self.fault = fault
