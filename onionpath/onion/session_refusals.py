"""What Session's relays say outside of every seal, as one table, and the decision about a request that uses it.

Whatever cannot be read gets one refusal, whether its seal, its framing, its JSON or its sense is at fault, and so does
a replay: the original tells these apart and shows its parser's texts. Nobody authenticates these answers, neither the
original's nor ours: any hop may invent one, so a client takes them as hints and accuses no named relay by them.
Spec: docs/specs/session-onion.md §9.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from onionpath.crypto.identity import RelayId, parse_relay_id
from onionpath.errors import MalformedError, PeerError, RefusedError, UsageError
from onionpath.onion.session import SessionOnion
from onionpath.onion.session_instructions import parse_hex_key
from onionpath.onion.session_messages import decode_hop_message, decode_post
from onionpath.onion.session_packets import SessionHopKey, SessionPacket, SessionPeeled


class Refusal(Enum):
    """Status and text of each refusal; ``{}`` stands for a relay's id in hex."""

    UNREADABLE = (400, "Invalid ciphertext")  # also malformed, self-contradicting, unknown, replayed
    PATH_TOO_LONG = (400, "onion request max path length exceeded")
    TOO_LARGE = (413, "Request body too large")
    NEXT_MALFORMED = (500, "Invalid response from snode")
    NEXT_UNKNOWN = (502, "Next node not found: {}")
    SERVER_UNREACHABLE = (502, "Server unreachable")  # ours: the original shows the text of its HTTP library
    BUSY = (503, "Server busy, try again later")
    NOT_READY = (503, "Snode not ready: {}")
    NEXT_TIMED_OUT = (504, "Request time out")
    SERVER_TIMED_OUT = (504, "Server time out")  # ours, likewise

    @property
    def status(self) -> int:
        """The HTTP status outside of every seal."""
        return int(self.value[0])

    @property
    def text(self) -> str:
        """The body, with ``{}`` where a relay's id stands."""
        return str(self.value[1])


@dataclass(frozen=True, slots=True)
class Refuse:
    """The request has no effect; this is answered, in plain text."""

    status: int
    # It may name the next relay, which belongs into no log.
    body: bytes = field(repr=False)


Decision = SessionPeeled | Refuse


class Hint(NamedTuple):
    """What an unsealed answer says, if it says something known. Nobody vouches for it."""

    refusal: Refusal
    named: RelayId | None


# What a relay may pass on of the next one's answer; everything else becomes 500, as in the original.
PASSED_STATUSES = frozenset({200, 400, 401, 403, 404, 406, 410, 413, 421, 429, 502, 503, 504})


# The original ends these with a parser's text or a reason of its own.
_ONLY_THE_ORIGINAL_SAYS = (
    (400, b"Error parsing onion request: ", Refusal.UNREADABLE),
    (400, b"Invalid internal onion request: ", Refusal.UNREADABLE),
    (503, b"Service node is not ready: ", Refusal.NOT_READY),
)


def refuse(refusal: Refusal, *, named: RelayId | None = None) -> Refuse:
    """The answer for a refusal.

    Args:
        named: the relay that the refusal's text names, for those whose text does.

    Raises:
        UsageError: a relay is missing, or the text has no place for one.
    """
    if ("{}" in refusal.text) is (named is None):
        raise UsageError(f"{refusal.name} names a relay exactly if its text does")
    return Refuse(refusal.status, refusal.text.replace("{}", named.hex() if named else "").encode())


def passed_status(status: int) -> int:
    """The status with which the next relay's answer is passed back."""
    return status if status in PASSED_STATUSES else 500


def read_hint(status: int, body: bytes) -> Hint | None:
    """What an unsealed answer of a first relay says, ours or the original's; None if we don't know it."""
    for original_status, original_start, meant in _ONLY_THE_ORIGINAL_SAYS:
        if status == original_status and body.startswith(original_start):
            return Hint(meant, None)
    for refusal in Refusal:
        start, placeholder, _ = refusal.text.encode().partition(b"{}")
        if status == refusal.status and body.startswith(start):
            rest = body[len(start) :]
            if not placeholder and not rest:
                return Hint(refusal, None)
            if placeholder and (named := _relay_id(rest)):
                return Hint(refusal, named)
    return None


def decide_post(onion: SessionOnion, body: bytes, key: SessionHopKey) -> Decision:
    """What to do with the body of a client's ``POST /onion_req/v2``."""
    return _decide(onion, lambda: decode_post(body, max_size=onion.max_size), key)


def decide_hop_message(onion: SessionOnion, message: bytes, key: SessionHopKey) -> Decision:
    """What to do with a message of another relay."""
    return _decide(onion, lambda: decode_hop_message(message, max_size=onion.max_size), key)


def _decide(onion: SessionOnion, decode: Callable[[], SessionPacket], key: SessionHopKey) -> Decision:
    try:
        return onion.peel(decode(), key)
    except PeerError:
        return refuse(Refusal.UNREADABLE)
    except RefusedError:
        return refuse(Refusal.PATH_TOO_LONG)


def _relay_id(text: bytes) -> RelayId | None:
    try:
        return parse_relay_id(parse_hex_key(text.decode("ascii")))
    except (MalformedError, UnicodeDecodeError):
        return None
