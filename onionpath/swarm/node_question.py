"""A question for nodes, and the list that answers it. Spec: docs/specs/session-network.md §2.1 and §2.2."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping, Sequence

import msgspec

from onionpath.crypto.tags import digest
from onionpath.errors import MalformedError
from onionpath.swarm.node_list import HARD_FORK, NODE_FIELDS, node_state
from onionpath.swarm.nodes import Roster, SessionNode

_ALL = "all"
_ASKED_FOR_ONLY = frozenset({"certificate_hash"})

_LIST_FIELDS: Mapping[str, Callable[[Roster], object]] = {
    "height": lambda roster: roster.number,
    "target_height": lambda roster: roster.number,
    "block_hash": lambda roster: roster.digest.hex(),
    "hardfork": lambda _: HARD_FORK[0],
    "snode_revision": lambda _: HARD_FORK[1],
}


class NodesQuestion(msgspec.Struct, frozen=True):
    """The parameters of a question for nodes; what else a client sends is not looked at."""

    fields: dict[str, bool] | list[str] | None = None
    limit: int = 0
    service_node_pubkeys: list[str] | None = None

    @classmethod
    def parse(cls, params: object) -> NodesQuestion:
        """Read parameters; none at all ask for everything.

        Raises:
            MalformedError: one has another type.
        """
        try:
            return msgspec.convert({} if params is None else params, cls)
        except (msgspec.ValidationError, UnicodeEncodeError) as error:
            raise MalformedError("a question for nodes has a parameter of another type") from error


def answer_nodes(question: NodesQuestion, roster: Roster, *, lot: bytes) -> dict[str, object]:
    """The list of nodes that a question asks for.

    Args:
        lot: draws the nodes where the question wants only some; another one for each question.
    """
    names = _names(question.fields)
    states = [node_state(node, names) for node in _chosen(question, roster, lot)]
    beside = {name: value(roster) for name, value in _LIST_FIELDS.items() if name in names}
    return {**beside, "service_node_states": states, "status": "OK"}


def _names(fields: Mapping[str, bool] | Sequence[str] | None) -> frozenset[str]:
    everything = frozenset({*NODE_FIELDS, *_LIST_FIELDS}) - _ASKED_FOR_ONLY
    if fields is None:
        return everything
    named = [name for name, wanted in fields.items() if wanted] if isinstance(fields, Mapping) else fields
    names = frozenset(named) | (everything if _ALL in named else frozenset())
    return names - {name[1:] for name in named if name.startswith("-")}


def _chosen(question: NodesQuestion, roster: Roster, lot: bytes) -> Sequence[SessionNode]:
    nodes: Sequence[SessionNode] = roster.nodes
    if question.service_node_pubkeys is not None:
        wanted = {key.lower() for key in question.service_node_pubkeys}
        nodes = [node for node in nodes if node.relay_id.hex() in wanted]
    if 0 < question.limit < len(nodes):
        # Not simply the first: everybody who wants a few would ask the same ones.
        nodes = heapq.nsmallest(question.limit, nodes, key=lambda node: digest(lot + node.relay_id))
    return nodes
