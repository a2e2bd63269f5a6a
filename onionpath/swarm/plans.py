"""What a judged request is to a member of the swarm: a reply at once, a question, a change, or several of these.

A plan only says; whoever replicates carries it out (``relay/store``):

    run = carry_out(plan)
    steps = next(run)                 # Reads and Writes that may be carried out at the same time, in this order
    steps = run.send(replies)         # one SessionReply for each of them; StopIteration carries the request's reply

A ``Read`` or ``Write`` that was signed by a subaccount has a ``gate``, a question to the store that comes before its
own: if the token is revoked, its refusal is the reply. Spec: docs/specs/storage.md §6.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from onionpath.crypto.identity import IdentityKey, RelayId
from onionpath.onion.session_packets import SessionReply
from onionpath.swarm.operations import (
    AccountId,
    Change,
    Expiries,
    IsRevoked,
    Result,
    Retrieve,
    Revoked,
    Version,
)
from onionpath.swarm.parts import Failed, Part


@dataclass(frozen=True, slots=True)
class Done:
    """The reply is known without asking the store."""

    reply: SessionReply


@dataclass(frozen=True, slots=True)
class Gate:
    """Asked of the store first: a subaccount's token may have been revoked."""

    question: IsRevoked
    refusal: SessionReply

    def refuses(self, answer: Result) -> bool:
        """Whether ``refusal`` is the reply. A store that cannot answer refuses as well."""
        return answer != Revoked(0)


class Read(Protocol):
    """One question to this member's store."""

    @property
    def account(self) -> AccountId:
        """Whose."""

    @property
    def gate(self) -> Gate | None:
        """Asked first, if there is one."""

    @property
    def question(self) -> Retrieve | Expiries:
        """What the store is asked."""

    def reply(self, result: Result, *, now_ms: int) -> SessionReply:
        """The reply that this answer of the store makes; 503 if it could not answer."""


class Write(Protocol):
    """One change, made by every member of the swarm that judges it likewise."""

    @property
    def account(self) -> AccountId:
        """Whose."""

    @property
    def gate(self) -> Gate | None:
        """Asked first, if there is one: by the member that is asked, and by each of the others again."""

    def change(self, version: Version) -> Change:
        """What the store is told to do, under the version that the first member has chosen."""

    def forwarded(self, version: Version) -> bytes:
        """What the other members are sent; ``forwarding.plan_forwarded`` judges it again. At most 110,000 bytes
        more than the request's lists of hashes."""

    def part(self, result: Result, key: IdentityKey) -> Part | Failed:
        """What this member says in the reply about its own store, signed with its identity."""

    def reply(self, parts: Mapping[RelayId, Part | Failed], *, is_durable: bool, now_ms: int) -> SessionReply:
        """The reply to the client.

        Args:
            parts: one for each member of the swarm.
            is_durable: a majority has it on disk; otherwise the status is 503 and the parts say who has it.
        """


Step = Read | Write


@dataclass(frozen=True, slots=True)
class Several:
    """A batch or a sequence. Each part is a plan of its own, and what one is refused changes nothing for its siblings.

    Args:
        is_sequence: one after the other, and none after the first whose status is not 2xx.
    """

    plans: tuple[Plan, ...]
    is_sequence: bool


@dataclass(frozen=True, slots=True)
class Chosen:
    """A branch of ifelse, or neither.

    Args:
        outcome: what the reply says beside the branch's result.
    """

    plan: Plan | None
    outcome: Mapping[str, object] = field(default_factory=dict)


Plan = Done | Read | Write | Several | Chosen
Run = Generator[tuple[Step, ...], tuple[SessionReply, ...], SessionReply]
