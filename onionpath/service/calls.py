"""A call to the last hop, its reply, and what answers it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Protocol

from onionpath.crypto.identity import RelayId
from onionpath.injected import UnixTime
from onionpath.onion.statuses import Reason, ReplyStatus


class ServiceId(IntEnum):
    """The numbers of services on the wire; 5 (http) is reserved.

    SESSION carries Session's layers from relay to relay, REPLICA what members of a swarm tell each other: neither is
    for clients.
    """

    ECHO = 1
    DIRECTORY = 2
    STREAM = 3
    STORAGE = 4
    VOTES = 6
    SESSION = 7
    REPLICA = 8


@dataclass(frozen=True, slots=True)
class Call:
    """What a service is asked.

    Args:
        service: its number; unknown numbers are answered with ``SERVICE_UNKNOWN``.
        body: exactly what the caller gave, without padding.
        idempotency_key: 16 bytes that the caller repeats when it repeats the call.
        reply_capacity: the longest reply body that fits the reply's class, in bytes.
        caller: opaque number of the link it came over, for accounting only.
        deadline: after this time nobody waits for the reply.
        peer: the relay that asks for itself, over a link on which it has proven itself; None for whatever comes from
            clients, or at the end of an onion.
    """

    service: int
    # What somebody asks, and the key by which he may ask again, belong into no log.
    body: bytes = field(repr=False)
    idempotency_key: bytes = field(repr=False)
    reply_capacity: int
    caller: int
    deadline: UnixTime
    peer: RelayId | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """A service's answer; ``body`` is empty unless ``status`` is ``ANSWERED``."""

    body: bytes = field(default=b"", repr=False)
    status: ReplyStatus = ReplyStatus.ANSWERED
    reason: Reason = Reason.NONE

    @classmethod
    def refused(cls, reason: Reason) -> Reply:
        """The service understood, and won't."""
        return cls(status=ReplyStatus.REFUSED, reason=reason)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one service may take from its relay.

    Args:
        concurrent: calls answered at once over all callers; more are refused as busy.
        timeout_s: a call that takes longer is cancelled and answered ``SERVICE_TIMED_OUT``; a relay sets it to
            what its switch gives the last hop.
        any_depth: whether it may be called at every depth and over links from clients.
        has_effects: whether a call that is carried out twice does more than once; its repetitions are answered from
            memory, or refused. Of no meaning together with ``any_depth`` or ``relays_only``.
        relays_only: whether it may be called by relays that ask for themselves, and by nobody else.
    """

    concurrent: int = 1024
    timeout_s: float = 25.0
    any_depth: bool = False
    has_effects: bool = True
    relays_only: bool = False


class Service(Protocol):
    """Something the last hop can be asked."""

    @property
    def limits(self) -> Limits: ...

    async def answer(self, call: Call) -> Reply:
        """Answer, or refuse by value. Raising is a bug, answered as ``SERVICE_FAILED`` and counted."""
        ...
