"""What clients of Session and strangers' seeds send about the network, as functions for ``targets``."""

from __future__ import annotations

import json
from functools import cache

from onionpath.errors import MalformedError
from onionpath.onion.session_fields import decode_fields
from onionpath.swarm.network_rpc import answer_network, answer_seed
from onionpath.swarm.node_list import encode_nodes, parse_nodes
from onionpath.swarm.nodes import Roster
from tests.directory.networks import NOW
from tests.swarm.rosters import roster_of

NOW_MS = int(NOW * 1000)


@cache
def _roster() -> Roster:
    return roster_of({1: 0, 2: 2**63, 3: None})


def nodes(data: bytes) -> None:
    """A stranger's list; what is read of it must survive one writing of ours."""
    read = parse_nodes(data).nodes
    if parse_nodes(encode_nodes(read)).nodes != read:
        raise AssertionError("a list of nodes changes when it is written")


def seed(data: bytes) -> None:
    """What anybody can post to a seed; every answer is JSON."""
    answer = json.loads(answer_seed(data, _roster(), now_ms=NOW_MS)[1])
    if "error" in answer:
        raise MalformedError("a request that the seed refuses")


def call(data: bytes) -> None:
    """A storage call, as whatever reads it hands it on."""
    fields = decode_fields(data, max_size=65_536, max_brackets=64)
    method, params = fields.get("method"), fields.get("params")
    if not isinstance(method, str) or not isinstance(params, dict):
        raise MalformedError("no call")
    reply = answer_network(method, params, _roster(), now_ms=NOW_MS)
    if reply is None or not reply.is_json:
        raise MalformedError("a call that is refused, or about messages")
    json.loads(reply.body)


def inputs() -> dict[str, dict[str, bytes]]:
    """The corpus of these targets."""
    fields = {"public_ip": True, "storage_port": True, "pubkey_x25519": True, "pubkey_ed25519": True}
    asked = {"active_only": True, "fields": fields}
    listed = encode_nodes(_roster().nodes)
    account = "05" + "00" * 32
    return {
        "session-nodes": {
            "good": listed,
            "good-answer": b'{"jsonrpc":"2.0","id":0,"result":' + listed + b"}",
            "good-dropped": listed.replace(b'"storage_port":22021', b'"storage_port":0', 1),
            "bad-twice": listed.replace(b'"public_ip":"20.1', b'"public_ip":"","public_ip":"20.1'),
            "bad-fraction": b'{"service_node_states":[],"height":1.5}',
            "bad-nested": b'{"service_node_states":' + b"[" * 5000,
            "bad-quotes": b'"' + b'\\"' * 2000,
        },
        "session-seed": {
            "good": _json({"jsonrpc": "2.0", "method": "get_n_service_nodes", "params": asked}),
            "good-list": _json(
                {"id": 7, "method": "get_service_nodes", "params": {"fields": ["all", "-swarm"]}}
            ),
            "bad-method": _json({"id": "0", "method": "get_info"}),
            "bad-limit": _json({"method": "get_n_service_nodes", "params": {"limit": "1"}}),
            "bad-id": b'{"method":"get_service_nodes","id":' + b"9" * 400 + b"}",
            "bad-nested": b'{"method":"get_service_nodes","params":' + b"[" * 500,
        },
        "session-network-call": {
            "good-info": _json({"method": "info", "params": {}}),
            "good-swarm": _json({"method": "get_swarm", "params": {"pubkey": account}}),
            "good-nodes": _json(
                {"method": "oxend_request", "params": {"endpoint": "get_service_nodes", "params": asked}}
            ),
            "bad-account": _json({"method": "get_swarm", "params": {"pubkey": account[:-1]}}),
            "bad-endpoint": _json({"method": "oxend_request", "params": {"endpoint": "ons_resolve"}}),
            "bad-surrogate": b'{"method":"oxend_request","params":{"endpoint":"\\ud800"}}',
        },
    }


def _json(value: object) -> bytes:
    return json.dumps(value).encode()
