"""From a request's text to a plan: read, find its place, judge. Spec: docs/specs/storage.md §4."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from onionpath.swarm.authority import revocation_question
from onionpath.swarm.changes import retrieve_of
from onionpath.swarm.fields import BadRequestError
from onionpath.swarm.judging import FROM_CLIENT, Tolerance, judge, signature_refusal
from onionpath.swarm.network_rpc import answer_network, wrong_swarm
from onionpath.swarm.node_list import HARD_FORK, STORAGE_VERSION
from onionpath.swarm.nodes import Roster
from onionpath.swarm.operations import AccountId, Expiries
from onionpath.swarm.plans import Chosen, Done, Gate, Plan, Read, Several, Write
from onionpath.swarm.replies import text_reply
from onionpath.swarm.requests import (
    Asked,
    BatchRequest,
    IfElseRequest,
    Leaf,
    NetworkRequest,
    ReadRequest,
    Request,
    RetrieveRequest,
    StorageRequest,
    WriteRequest,
)
from onionpath.swarm.rpc import read_request

# What a reply has beside the messages of its reads: twenty results with their codes, times and versions.
_REPLY_FRAME_SIZE = 4096  # bytes


@dataclass(frozen=True, slots=True)
class Jurisdiction:
    """What a member knows of the network when it judges.

    Args:
        roster: of the directory of now.
        stores: whether this member stores for an account.
    """

    roster: Roster
    stores: Callable[[AccountId], bool]


def plan(text: bytes, jurisdiction: Jurisdiction, *, now_ms: int, max_reply: int) -> Plan:
    """What is to be done about a request of a client.

    Args:
        text: unchecked.
        max_reply: bytes of the reply's body that its way back carries.
    """
    try:
        request = read_request(text)
    except BadRequestError as error:
        return Done(text_reply(400, str(error)))
    return _Planner(jurisdiction, now_ms, _share(request, max_reply)).plan(request)


@dataclass(frozen=True, slots=True)
class _Planner:
    jurisdiction: Jurisdiction
    now_ms: int
    max_retrieved: int

    def plan(self, request: Request) -> Plan:
        """Of any request."""
        match request:
            case BatchRequest(requests, is_sequence):
                return Several(tuple(map(self.plan_leaf, requests)), is_sequence)
            case IfElseRequest():
                return self._choose(request)
            case _:
                return self.plan_leaf(request)

    def plan_leaf(self, leaf: Leaf) -> Done | Read | Write:
        """Of a request that holds no others."""
        if isinstance(leaf, NetworkRequest):
            return self._answer(leaf)
        account = leaf.request.account
        if not self.jurisdiction.stores(account):
            return Done(wrong_swarm(account, self.jurisdiction.roster, now_ms=self.now_ms))
        if isinstance(leaf.request, ReadRequest):
            return _plan_read(leaf.request, now_ms=self.now_ms, max_retrieved=self.max_retrieved)
        return plan_write(leaf.request, leaf.params, now_ms=self.now_ms, tolerance=FROM_CLIENT)

    def _answer(self, request: NetworkRequest) -> Done:
        reply = answer_network(request.method, request.params, self.jurisdiction.roster, now_ms=self.now_ms)
        return Done(reply or text_reply(400, f"no method {request.method}"))

    def _choose(self, request: IfElseRequest) -> Chosen:
        state = {"hf": HARD_FORK, "v": STORAGE_VERSION, "height": (self.jurisdiction.roster.number,)}
        holds = request.condition.holds(state)
        branch = request.then if holds else request.otherwise
        outcome = {**state, "height": self.jurisdiction.roster.number, "condition": holds}
        return Chosen(None if branch is None else self.plan(branch), outcome)


def plan_write(
    request: WriteRequest, params: Mapping[str, object], *, now_ms: int, tolerance: Tolerance
) -> Done | Write:
    """What is to be done about a change of an account that this member stores for.

    Args:
        params: the fields that the request was read from.
    """
    refusal = judge(request, now_ms=now_ms, tolerance=tolerance)
    return Done(refusal) if refusal else Write(request, params, now_ms, _gate(request))


def _plan_read(request: ReadRequest, *, now_ms: int, max_retrieved: int) -> Done | Read:
    refusal = judge(request, now_ms=now_ms, tolerance=FROM_CLIENT)
    if refusal is not None:
        return Done(refusal)
    if isinstance(request, RetrieveRequest):
        return Read(retrieve_of(request, max_size=max_retrieved), _gate(request))
    return Read(Expiries(request.account, tuple(dict.fromkeys(request.hashes))), _gate(request))


def _gate(request: StorageRequest) -> Gate | None:
    question = revocation_question(request)
    return None if question is None else Gate(question, signature_refusal(request))


def _share(request: Request, max_reply: int) -> int:
    """Bytes for the messages of each read of a request: all of them together must fit into one reply."""
    return max(0, max_reply - _REPLY_FRAME_SIZE) // max(1, _count_reads(request))


def _count_reads(request: Request | None) -> int:
    match request:
        case BatchRequest(requests):
            return sum(map(_count_reads, requests))
        case IfElseRequest(_, then, otherwise):
            return max(_count_reads(then), _count_reads(otherwise))
        case Asked(RetrieveRequest()):
            return 1
    return 0
