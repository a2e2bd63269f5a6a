"""What a member wants done, and what it is told: frozen values between its decisions and whoever carries them out."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from onionpath.crypto.identity import RelayId
from onionpath.onion.session_packets import SessionReply
from onionpath.swarm.operations import Operation
from onionpath.swarm.reconciliation import Upkeep

# What a job waits for; each comes back as one event with its tag.


@dataclass(frozen=True, slots=True)
class Apply:
    """To the store, durably; comes back as the list of results, one for each operation."""

    operations: tuple[Operation | Upkeep, ...]


@dataclass(frozen=True, slots=True)
class Ask:
    """Another member over REPLICA; comes back as bytes, or as the ``Reason`` why there are none."""

    relay: RelayId
    body: bytes = field(repr=False)
    timeout_s: float


@dataclass(frozen=True, slots=True)
class Pause:
    """Comes back as None after so long."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Run:
    """Another job; comes back as the reply that it gives, though it may go on after that."""

    job: Job


Want = Apply | Ask | Pause | Run


class Event(NamedTuple):
    """What came back, and for what."""

    tag: Any
    result: Any


class Start(NamedTuple):
    """A job lets these begin, each under a tag of its choice, and goes on with the next event of any it has begun."""

    wants: tuple[tuple[Any, Want], ...] = ()
    reply: SessionReply | None = None  # whoever waits for the job has its reply now; the job goes on


Job = Generator[Start, Event, Any]


# What the driver is given.


@dataclass(frozen=True, slots=True)
class Do:
    """Carry this out and call ``Member.done`` with the ticket and the result."""

    ticket: int
    want: Apply | Ask | Pause


@dataclass(frozen=True, slots=True)
class AnswerClient:
    """The reply to the client's request of this number."""

    request: int
    reply: SessionReply


@dataclass(frozen=True, slots=True)
class AnswerMember:
    """The answer to a member's question of this number."""

    question: int
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class FetchDocument:
    """Somebody has a newer document than we have: fetch it soon."""


Step = Do | AnswerClient | AnswerMember | FetchDocument
