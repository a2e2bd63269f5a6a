"""What a sealed reply says of itself, and the reasons that travel back. Spec: docs/specs/onion-native.md §5."""

from __future__ import annotations

from enum import IntEnum


class ReplyStatus(IntEnum):
    """What a sealed reply says of itself."""

    ANSWERED = 0  # by the service at this hop; a body follows
    RELAYED = 1  # the next hop's sealed reply follows
    REFUSED = 2  # by this hop, for a Reason
    EDGE_FAILED = 3  # this hop and the next could not do it together, for a Reason


class Reason(IntEnum):
    """Why a hop refused or failed; ``detail`` in a reply's head."""

    NONE = 0
    # Edge failures: between the hop that says so and the one after it.
    NEXT_UNKNOWN = 1  # the next relay isn't in the document
    NEXT_UNREACHABLE = 2  # no link could be made
    NEXT_REJECTED = 3  # it answered with REJECT: stale key, slot, or damage
    NEXT_TIMED_OUT = 4
    NEXT_CLOSED = 5  # the link broke while the request was under way
    NEXT_MALFORMED = 6  # its reply had the wrong size or shape
    NEXT_CONGESTED = 7  # its queue is full
    # Refusals by the serving relay.
    SERVICE_UNKNOWN = 16
    WRONG_DEPTH = 17
    SERVICE_BUSY = 18
    SERVICE_TIMED_OUT = 19
    SERVICE_FAILED = 20
    BAD_CALL = 21  # the body is not of the service's form
    HOP_BUSY = 22  # this relay sheds load
    CALL_UNKNOWN = 23  # a repetition of a call that it may have carried out before it remembers
    # Refusals of the stream service.
    PORT_REFUSED = 32  # the exit policy doesn't allow this port or network
    ADDRESS_FORBIDDEN = 33  # the name leads to an address that no exit may reach
    NAME_NOT_FOUND = 34
    NAME_TIMED_OUT = 35
    CONNECTION_REFUSED = 36
    CONNECTION_TIMED_OUT = 37
    STREAM_UNKNOWN = 38  # no such token: never opened here, expired, or this relay restarted
    STREAM_LIMIT = 39
