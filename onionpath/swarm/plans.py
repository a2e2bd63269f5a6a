"""What a judged request is to a member of the swarm: a reply at once, a question, a change, or several of these.

A plan only says; whoever replicates carries it out (``relay/store/replica/requests.py``):

    run = carry_out(plan, max_reply=...)
    steps = next(run)                 # Reads and Writes that may be carried out at the same time, in this order
    steps = run.send(replies)         # one SessionReply for each of them; StopIteration carries the request's reply

A ``Read`` or ``Write`` that was signed by a subaccount has a ``gate``, a question to the store that comes before its
own: if the token is revoked, its refusal is the reply. Spec: docs/specs/storage.md §5.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field

from onionpath.crypto.identity import IdentityKey, RelayId
from onionpath.onion.session_packets import SessionReply
from onionpath.swarm.changes import change_of
from onionpath.swarm.operations import (
    AccountId,
    Change,
    Expiries,
    Expiring,
    IsRevoked,
    Message,
    Result,
    Retrieve,
    Retrieved,
    Revoked,
    Version,
)
from onionpath.swarm.parts import Failed, Part, as_entry, make_part
from onionpath.swarm.replies import NOT_READY, as_result, dated_reply, fit, json_reply, results_reply
from onionpath.swarm.requests import DeleteRequest, StoreRequest, WriteRequest


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
        return not (isinstance(answer, Revoked) and answer.count == 0)


@dataclass(frozen=True, slots=True)
class Read:
    """One question to this member's store.

    Args:
        gate: asked first, if there is one.
    """

    question: Retrieve | Expiries
    gate: Gate | None = None

    @property
    def account(self) -> AccountId:
        """Whose."""
        return self.question.account

    def reply(self, result: Result, *, now_ms: int) -> SessionReply:
        """The reply that this answer of the store makes; 503 if it could not answer."""
        match result:
            case Retrieved(messages, has_more):
                fields = {"messages": list(map(_as_json, messages)), "more": has_more}
                return dated_reply(fields, now_ms=now_ms)
            case Expiring(updated):
                return json_reply({"expiries": dict(updated)})
        return NOT_READY


@dataclass(frozen=True, slots=True)
class Write:
    """One change, made by every member of the swarm that judges it likewise.

    Args:
        params: the fields that the request was read from.
        judged_at_ms: now of the member that was asked first.
        gate: asked first, if there is one: by the member that is asked, and by each of the others again.
    """

    request: WriteRequest
    params: Mapping[str, object] = field(repr=False)
    judged_at_ms: int
    gate: Gate | None = None

    @property
    def account(self) -> AccountId:
        """Whose."""
        return self.request.account

    def change(self, version: Version) -> Change:
        """What the store is told to do, under the version that the first member has chosen."""
        return change_of(self.request, version, judged_at_ms=self.judged_at_ms)

    def part(self, result: Result, key: IdentityKey) -> Part | Failed:
        """What this member says in the reply about its own store, signed with its identity."""
        return make_part(self.request, result, key, judged_at_ms=self.judged_at_ms)

    def reply(self, parts: Mapping[RelayId, Part | Failed], *, is_durable: bool, now_ms: int) -> SessionReply:
        """The reply to the client.

        Args:
            parts: one for each member of the swarm.
            is_durable: a majority has it on disk; otherwise the status is 503 and the parts say who has it.
        """
        fields: dict[str, object] = {"swarm": {relay.hex(): as_entry(part) for relay, part in parts.items()}}
        if isinstance(self.request, StoreRequest):
            fields["hash"] = self.request.hash
        status = 503 if not is_durable else 404 if self._misses(parts) else 200
        return dated_reply(fields, now_ms=now_ms, status=status)

    def _misses(self, parts: Mapping[RelayId, Part | Failed]) -> bool:
        """Whether something had to be deleted, and nobody had it."""
        if not (isinstance(self.request, DeleteRequest) and self.request.is_required):
            return False
        return not any(isinstance(part, Part) and part.has_deleted for part in parts.values())


Step = Read | Write


@dataclass(frozen=True, slots=True)
class Several:
    """A batch or a sequence. Each part is a plan of its own, and what one is refused changes nothing for its siblings.

    Args:
        is_sequence: one after the other, and none after the first whose status is not 2xx.
    """

    plans: tuple[Done | Read | Write, ...]
    is_sequence: bool


@dataclass(frozen=True, slots=True)
class Chosen:
    """A branch of ifelse, or None where there was none to take.

    Args:
        outcome: what the reply says beside the branch's result.
    """

    plan: Plan | None
    outcome: Mapping[str, object] = field(default_factory=dict)


Plan = Done | Read | Write | Several | Chosen
Run = Generator[tuple[Step, ...], tuple[SessionReply, ...], SessionReply]


def carry_out(plan: Plan, *, max_reply: int) -> Run:
    """Go through a plan, step by step, to its reply.

    Args:
        max_reply: bytes of the reply's body that its way back carries; a longer one becomes 413.
    """
    return fit((yield from _carry_out(plan)), max_reply)


def _carry_out(plan: Plan) -> Run:
    match plan:
        case Done(reply):
            return reply
        case Several(plans, True):
            return results_reply((yield from _one_by_one(plans)))
        case Several(plans, _):
            return results_reply((yield from _side_by_side(plans)))
        case Chosen(None, outcome):
            return json_reply(outcome)
        case Chosen(Done() | Read() | Write() | Several() | Chosen() as branch, outcome):
            return json_reply({**outcome, "result": as_result((yield from _carry_out(branch)))})
        case Read() | Write():
            (reply,) = yield (plan,)
            return reply
    raise AssertionError("there is no other plan")


_Results = Generator[tuple[Step, ...], tuple[SessionReply, ...], list[SessionReply]]


def _one_by_one(plans: tuple[Done | Read | Write, ...]) -> _Results:
    replies: list[SessionReply] = []
    for plan in plans:
        replies.append((yield from _carry_out(plan)))
        if not 200 <= replies[-1].status <= 299:
            break
    return replies


def _side_by_side(plans: tuple[Done | Read | Write, ...]) -> _Results:
    steps = tuple(plan for plan in plans if not isinstance(plan, Done))
    replies = iter((yield steps) if steps else ())
    return [plan.reply if isinstance(plan, Done) else next(replies) for plan in plans]


def _as_json(message: Message) -> dict[str, object]:
    return {
        "data": b64encode(message.data).decode(),
        "expiration": message.expiry_ms,
        "hash": message.hash,
        "timestamp": message.timestamp_ms,
    }
