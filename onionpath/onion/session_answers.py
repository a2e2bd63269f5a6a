"""What a relay answers to a Session packet outside of every seal, and its form between our own relays.

The original's relays use a transport of their own for it, which we don't speak.
Spec: docs/specs/session-onion.md §8.3.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from onionpath.errors import MalformedError

MAX_BODY_SIZE = 11 * 1024 * 1024 - 2  # bytes: with its status it fills the longest answer to a relay's call
_STATUS_SIZE = 2


@dataclass(frozen=True, slots=True)
class HopAnswer:
    """A status and a body, sealed or in plain text; nobody authenticates the status.

    Args:
        status: 100 to 599.
        body: up to 11,534,334 bytes.
    """

    status: int
    # Unsealed it may name a relay of somebody's path.
    body: bytes = field(repr=False)


def encode_hop_answer(answer: HopAnswer) -> bytes:
    """What one relay of ours answers to another."""
    return answer.status.to_bytes(_STATUS_SIZE, "big") + answer.body


def decode_hop_answer(data: bytes) -> HopAnswer:
    """Read what the next relay has answered.

    Raises:
        MalformedError: there is no status, or an impossible one, or the body is too long.
    """
    status, body = int.from_bytes(data[:_STATUS_SIZE], "big"), data[_STATUS_SIZE:]
    if len(data) < _STATUS_SIZE or not 100 <= status <= 599 or len(body) > MAX_BODY_SIZE:
        raise MalformedError("a relay's answer is a status and a body")
    return HopAnswer(status, body)
