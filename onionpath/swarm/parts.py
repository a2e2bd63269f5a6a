"""What one member of a swarm says in the reply to a change: that it was made, with a signature, or why not.

Spec: docs/specs/storage.md §6.3.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


@dataclass(frozen=True, slots=True)
class Part:
    """A member's word, signed by it, as the JSON object that the client gets."""

    json: bytes = field(repr=False)


class Failed(Enum):
    """Why a member has no part in a change; the value is the key beside ``failed``."""

    TIMEOUT = "timeout"
    BAD_REPLY = "bad_peer_response"
    STORE = "query_failure"  # its disk is full or damaged
    REFUSED = "refused"  # it judged the request otherwise
