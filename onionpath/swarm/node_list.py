"""The list of nodes that Session's seeds give out: what stands in it of each, and how a stranger's is read.

Spec: docs/specs/session-network.md §2.1 and §2.3.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from onionpath.crypto.certificates import HASH_SIZE
from onionpath.crypto.identity import parse_relay_id
from onionpath.crypto.session_channels import SessionPublicKey
from onionpath.errors import MalformedError
from onionpath.onion.session_fields import decode_fields
from onionpath.onion.session_instructions import parse_hex_key
from onionpath.swarm.json_depth import check_depth
from onionpath.swarm.nodes import SessionNode

# Session's own, for a relay without a swarm; no swarm of a document has it.
NO_SWARM = 2**64 - 1
STORAGE_VERSION = (2, 8, 0)  # of the original whose calls we speak
HARD_FORK = (19, 4)

MAX_LIST_SIZE = 16 * 1024 * 1024  # bytes
MAX_LIST_DEPTH = 8
MAX_NODES = 20_000

NODE_FIELDS: Mapping[str, Callable[[SessionNode], object]] = {
    "service_node_pubkey": lambda node: node.relay_id.hex(),
    "pubkey_ed25519": lambda node: node.relay_id.hex(),
    "pubkey_x25519": lambda node: node.session_key.encoded.hex(),
    "public_ip": lambda node: node.host,
    "storage_port": lambda node: node.https_port,
    "swarm_id": lambda node: NO_SWARM if node.swarm is None else node.swarm,
    "swarm": lambda node: swarm_hex(node.swarm),
    "storage_server_version": lambda _: STORAGE_VERSION,
    "active": lambda _: True,
    "funded": lambda _: True,
    "requested_unlock_height": lambda _: 0,
    "certificate_hash": lambda node: node.certificate_hash.hex() if node.certificate_hash else None,
}


def node_state(node: SessionNode, names: Collection[str]) -> dict[str, object]:
    """What a list says of a node, as far as its fields are among these names."""
    return {name: value(node) for name, value in NODE_FIELDS.items() if name in names}


def encode_nodes(nodes: Sequence[SessionNode]) -> bytes:
    """A list with everything that is known of these nodes, for ``parse_nodes`` and for people."""
    states = [node_state(node, NODE_FIELDS.keys()) for node in nodes]
    return msgspec.json.encode({"service_node_states": states, "status": "OK"}, order="sorted")


@dataclass(frozen=True, slots=True)
class NodeList:
    """What was read of a list.

    Args:
        dropped: how many nodes were left out, since what it says of them is wrong or was said of another node.
    """

    nodes: tuple[SessionNode, ...]
    dropped: int


def parse_nodes(text: bytes) -> NodeList:
    """Read a list of nodes, as a seed answers it or by itself; nothing of it is trusted but its form.

    Raises:
        MalformedError: it is no list; single nodes that are none are dropped.
    """
    states = _states(text)
    nodes: list[SessionNode] = []
    taken: set[object] = set()
    for state in states:
        node = _parse_node(state)
        if node is None or not taken.isdisjoint(_claims(node)):
            continue
        taken |= _claims(node)
        nodes.append(node)
    return NodeList(tuple(nodes), len(states) - len(nodes))


def swarm_hex(swarm: int | None) -> str:
    """A swarm as Session writes it: hex without leading zeros."""
    return f"{NO_SWARM if swarm is None else swarm:x}"


class _Result(msgspec.Struct, frozen=True):
    service_node_states: list[object]


class _State(msgspec.Struct, frozen=True):
    pubkey_ed25519: str
    pubkey_x25519: str
    public_ip: str
    storage_port: int
    swarm_id: int | None = None
    certificate_hash: str | None = None


def _states(text: bytes) -> list[object]:
    check_depth(text, most=MAX_LIST_DEPTH)
    # Their number says nothing: a list has as many brackets as it has nodes.
    read: object = decode_fields(text, max_size=MAX_LIST_SIZE, max_brackets=MAX_LIST_SIZE)
    if isinstance(read, dict) and "result" in read:
        read = read["result"]
    try:
        states = msgspec.convert(read, _Result).service_node_states
    except msgspec.ValidationError as error:
        raise MalformedError("service_node_states is missing, or is no list") from error
    if len(states) > MAX_NODES:
        raise MalformedError(f"a list has {len(states)} nodes, more than {MAX_NODES}")
    return states


def _claims(node: SessionNode) -> set[object]:
    """What no other node of a list may have."""
    return {node.relay_id, node.session_key, (node.host, node.https_port)}


def _parse_node(state: object) -> SessionNode | None:
    try:
        return _checked(msgspec.convert(state, _State))
    except (MalformedError, ValueError):  # of which msgspec's and those of addresses are kinds
        return None


def _checked(state: _State) -> SessionNode:
    host = ipaddress.IPv4Address(state.public_ip)
    swarm = None if state.swarm_id == NO_SWARM else state.swarm_id
    hash_ = None if state.certificate_hash is None else bytes.fromhex(state.certificate_hash)
    if host.is_unspecified or not 1 <= state.storage_port <= 65_535:
        raise MalformedError("a node has no address")
    if not 0 <= (swarm or 0) < NO_SWARM or (hash_ is not None and len(hash_) != HASH_SIZE):
        raise MalformedError("a node has a swarm or a certificate that is none")
    return SessionNode(
        parse_relay_id(parse_hex_key(state.pubkey_ed25519)),
        SessionPublicKey(parse_hex_key(state.pubkey_x25519)),
        str(host),
        state.storage_port,
        hash_,
        swarm,
    )
