"""The destination of a relay that stores nothing: it knows the network and no account.

Spec: docs/specs/storage.md §2 and docs/specs/session-network.md §4.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import NamedTuple

from onionpath.crypto.identity import RelayId
from onionpath.errors import MalformedError
from onionpath.injected import UnixTime
from onionpath.onion.session_packets import SessionReply
from onionpath.onion.session_refusals import Refusal, refuse
from onionpath.swarm.fields import echoed
from onionpath.swarm.json_depth import check_depth
from onionpath.swarm.network_rpc import answer_network
from onionpath.swarm.nodes import Roster

# Calls about the network nest three deep, and are short.
MAX_DEPTH = 8
MAX_CALL_SIZE = 64 * 1024  # bytes

_NO_JSON = SessionReply(400, b"invalid json")


class NetworkDestination:
    """Answers what is asked about the network; a ``Destination``.

    Args:
        ours: named while there is no list.
        roster: the newest list of nodes; None while there is no directory that is valid.
        clock: Unix time that never goes back.
    """

    def __init__(
        self, ours: RelayId, roster: Callable[[], Roster | None], *, clock: Callable[[], UnixTime]
    ) -> None:
        not_ready = refuse(Refusal.NOT_READY, named=ours)
        self._not_ready = SessionReply(not_ready.status, not_ready.body)
        self._roster = roster
        self._clock = clock

    async def answer(self, request: bytes, *, max_reply: int) -> SessionReply:
        """Answer, or refuse by value."""
        call = _parse(request)
        if isinstance(call, SessionReply):
            return call
        roster = self._roster()
        if roster is None:
            return self._not_ready
        reply = answer_network(call.method, call.params, roster, now=self._clock())
        if reply is None:
            return SessionReply(400, f"no method {echoed(call.method)}".encode())
        return reply if len(reply.body) <= max_reply else SessionReply(500, b"request failed")


class _Call(NamedTuple):
    method: str
    params: dict[str, object]


def _parse(request: bytes) -> _Call | SessionReply:
    fields = _read(request)
    if not isinstance(fields, dict):
        return _NO_JSON
    method, params = fields.get("method"), fields.get("params")
    if not isinstance(method, str):
        return SessionReply(400, b"invalid json: no `method` field")
    if not isinstance(params, dict):
        return SessionReply(400, b"invalid json: no `params` field")
    return _Call(method, params)


def _read(request: bytes) -> object:
    if len(request) > MAX_CALL_SIZE:
        return None
    try:
        check_depth(request, most=MAX_DEPTH)
        return json.loads(request.decode("utf-8"))
    except (MalformedError, ValueError):
        return None
