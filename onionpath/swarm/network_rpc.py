"""What a relay answers when Session's clients ask for relays: by storage calls, and as a seed.

Spec: docs/specs/session-network.md §3 and §4.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated

import msgspec

from onionpath.crypto.identity import RelayId
from onionpath.errors import MalformedError
from onionpath.onion.session_fields import decode_fields
from onionpath.onion.session_packets import SessionReply
from onionpath.swarm.fields import echoed
from onionpath.swarm.node_list import STORAGE_VERSION, swarm_hex
from onionpath.swarm.node_question import NodesQuestion, answer_nodes
from onionpath.swarm.nodes import Roster, SessionNode
from onionpath.swarm.replies import dated_reply, encode_json, text_reply

MAX_SEED_REQUEST_SIZE = 16 * 1024  # bytes
_MAX_SEED_BRACKETS = 16
_SEED_METHODS = frozenset({"get_n_service_nodes", "get_service_nodes", "get_all_service_nodes"})
_ACCOUNT = re.compile(r"[0-9a-fA-F]{66}\Z")
# Zooko's alphabet, in which Session writes the names of relays.
_BASE32Z = "ybndrfg8ejkmcpqxot1uwisza345h769"


def answer_network(
    method: str, params: Mapping[str, object], roster: Roster, *, now_ms: int
) -> SessionReply | None:
    """Answer a storage call that is about the network and not about messages; None for all others.

    Args:
        params: as JSON has them, unchecked, of bounded depth.
    """
    match method:
        case "info":
            return _reply({"version": STORAGE_VERSION, "timestamp": now_ms}, now_ms=now_ms)
        case "get_swarm" | "get_snodes_for_pubkey":
            return _answer_swarm(params, roster, now_ms=now_ms)
        case "oxend_request":
            return _answer_oxend(params, roster, now_ms=now_ms)
    return None


def wrong_swarm(account: bytes, roster: Roster, *, now_ms: int) -> SessionReply:
    """What a member of another swarm answers to a call about an account of 33 bytes: who stores for it."""
    return _reply(_swarm(account, roster), now_ms=now_ms, status=421)


def answer_seed(request: bytes, roster: Roster, *, now_ms: int) -> tuple[int, bytes]:
    """Answer the body of ``POST /json_rpc`` with an HTTP status and a body, whose type is ``application/json``."""
    try:
        fields = decode_fields(request, max_size=MAX_SEED_REQUEST_SIZE, max_brackets=_MAX_SEED_BRACKETS)
        call = msgspec.convert(fields, _SeedCall)
    except (MalformedError, msgspec.ValidationError, UnicodeEncodeError):
        return 400, _seed_error(None, -32_700, "Parse error")
    if call.method not in _SEED_METHODS:
        return 200, _seed_error(call.id, -32_601, "Method not found")
    try:
        question = NodesQuestion.parse(call.params)
    except MalformedError:
        return 200, _seed_error(call.id, -32_602, "Invalid params")
    result = answer_nodes(question, roster, lot=_lot(now_ms))
    return 200, encode_json({"jsonrpc": "2.0", "id": call.id, "result": result})


# What comes back must be a number that every reader keeps, or plain text.
_IdNumber = Annotated[int, msgspec.Meta(ge=-(2**53), le=2**53)]
_IdText = Annotated[str, msgspec.Meta(max_length=64, pattern="^[ -~]*$")]


class _SeedCall(msgspec.Struct, frozen=True):
    method: str
    params: object = None
    id: _IdNumber | _IdText | None = None


def _answer_swarm(params: Mapping[str, object], roster: Roster, *, now_ms: int) -> SessionReply:
    account = params.get("pubkey", params.get("pubKey"))
    if not isinstance(account, str) or not _ACCOUNT.match(account):
        return _refusal("Pubkey must be 66 hex digits (33 bytes) long")
    return _reply(_swarm(bytes.fromhex(account), roster), now_ms=now_ms)


def _answer_oxend(params: Mapping[str, object], roster: Roster, *, now_ms: int) -> SessionReply:
    endpoint = params.get("endpoint")
    if endpoint != "get_service_nodes":
        return _refusal(f"Invalid oxend endpoint '{echoed(endpoint)}'")
    try:
        question = NodesQuestion.parse(params.get("params"))
    except MalformedError as error:
        return _refusal(str(error))
    return _reply({"result": answer_nodes(question, roster, lot=_lot(now_ms))}, now_ms=now_ms)


def _swarm(account: bytes, roster: Roster) -> dict[str, object]:
    swarm = roster.swarm_of(account[1:])
    members = () if swarm is None else roster.swarms[swarm]
    return {"swarm": swarm_hex(swarm), "snodes": [_member(node) for node in members]}


def _member(node: SessionNode) -> dict[str, object]:
    # The numbers of other transports are missing, since we have none.
    return {
        "address": f"{_base32z(node.relay_id)}.snode",
        "ip": node.host,
        "port": str(node.https_port),  # text, for clients that are older than the number
        "port_https": node.https_port,
        "pubkey_ed25519": node.relay_id.hex(),
        "pubkey_legacy": node.relay_id.hex(),
        "pubkey_x25519": node.session_key.encoded.hex(),
    }


def _base32z(relay_id: RelayId) -> str:
    """52 characters of 5 bits each; the last one has 4 bits of zeros."""
    number = int.from_bytes(relay_id, "big") << 4
    return "".join(_BASE32Z[number >> shift & 31] for shift in range(255, -1, -5))


def _refusal(reason: str) -> SessionReply:
    return text_reply(400, f"invalid request: {reason}")


def _reply(fields: Mapping[str, object], *, now_ms: int, status: int = 200) -> SessionReply:
    return dated_reply(fields, now_ms=now_ms, status=status)


def _seed_error(request_id: int | str | None, code: int, message: str) -> bytes:
    return encode_json({"jsonrpc": "2.0", "id": request_id, "error": {"code": code, "message": message}})


def _lot(now_ms: int) -> bytes:
    return now_ms.to_bytes(8, "big")
