"""What a virtual client is asked to do, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from onionpath.client.attempts import DEFAULT_DEADLINE_S
from onionpath.crypto.identity import RelayId
from onionpath.errors import Edge
from onionpath.injected import UnixTime
from onionpath.onion.packets import Answer
from onionpath.onion.statuses import Reason
from onionpath.service.calls import ServiceId


@dataclass(frozen=True, slots=True)
class Ask:
    """A call as a program would make it; the arguments are those of ``Client.call``."""

    service: int
    body: bytes = b""
    to: RelayId | None = None
    deadline_s: float = DEFAULT_DEADLINE_S
    isolation: str | None = None
    large_reply: bool = False


def echo(body: bytes = b"hello", *, large_reply: bool = False, isolation: str | None = None) -> Ask:
    """Ask any relay to return these bytes."""
    return Ask(ServiceId.ECHO, body, large_reply=large_reply, isolation=isolation)


class Ending(Enum):
    """How a request ended."""

    ANSWERED = "answered"
    REFUSED = "refused"  # a relay, or its service, understood and refused
    UNREACHABLE = "unreachable"  # every attempt failed, or the deadline passed
    UNKNOWN = "unknown"  # sent and lost, and it must not be sent twice
    NO_PATH = "no path"  # nothing was sent, or nothing more could be
    NO_DIRECTORY = "no directory"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One request's end.

    Args:
        attempts: packets sent, or paths tried.
        path: names of the last attempt's relays.
        answer: the last opened reply, if there was one.
        edge: where the last attempt broke, if that is known.
    """

    ending: Ending
    started_at: UnixTime
    took_s: float
    attempts: int
    path: tuple[str, ...] = ()
    answer: Answer | None = None
    edge: Edge | None = None
    error: str = ""

    @property
    def is_answered(self) -> bool:
        """Whether the service's answer came."""
        return self.ending is Ending.ANSWERED

    @property
    def body(self) -> bytes:
        """What the service answered."""
        return self.answer.body if self.answer is not None else b""

    @property
    def reason(self) -> Reason:
        """Why it was refused."""
        return self.answer.head.reason if self.answer is not None else Reason.NONE


class Request:
    """A request under way; ``outcome`` is there once it has ended."""

    def __init__(self, started_at: UnixTime) -> None:
        self.started_at = started_at
        self.outcome: Outcome | None = None

    @property
    def has_ended(self) -> bool:
        """Whether there is an outcome."""
        return self.outcome is not None
