"""How replies of the storage RPC are written. Spec: docs/specs/storage.md §5.1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from onionpath.onion.session_packets import SessionReply
from onionpath.swarm.node_list import HARD_FORK

NOT_READY = SessionReply(503, b"Service node is not ready")
TOO_LARGE = SessionReply(413, b"reply too large")


def encode_json(fields: Mapping[str, object]) -> bytes:
    """Keys in ascending order, no white space."""
    return msgspec.json.encode(fields, order="sorted")


def text_reply(status: int, text: str) -> SessionReply:
    """Plain text."""
    return SessionReply(status, text.encode())


def json_reply(fields: Mapping[str, object], *, status: int = 200) -> SessionReply:
    """An object as it is."""
    return SessionReply(status, encode_json(fields), is_json=True)


def dated_reply(fields: Mapping[str, object], *, now_ms: int, status: int = 200) -> SessionReply:
    """An object with the time and the version of the protocol."""
    return json_reply({**fields, "t": now_ms, "hf": HARD_FORK}, status=status)


def results_reply(replies: Sequence[SessionReply]) -> SessionReply:
    """Of a batch or a sequence."""
    return json_reply({"results": [as_result(reply) for reply in replies]})


def as_result(reply: SessionReply) -> dict[str, object]:
    """A reply within another one."""
    body = msgspec.Raw(reply.body) if reply.is_json else reply.body.decode()
    return {"code": reply.status, "body": body}


def fit(reply: SessionReply, max_size: int) -> SessionReply:
    """The reply, or 413 if its body has more than ``max_size`` bytes."""
    return reply if len(reply.body) <= max_size else TOO_LARGE
