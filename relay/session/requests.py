"""Answers a whole request of the door, once its route is known; no socket and no HTTP.

Spec: docs/specs/session-onion.md §12.2.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Callable
from typing import assert_never

import msgspec

from onionpath.crypto.identity import RelayId
from onionpath.injected import UnixTime
from onionpath.onion.session_refusals import Refusal, refuse
from onionpath.swarm.network_rpc import answer_seed
from onionpath.swarm.node_list import STORAGE_VERSION
from onionpath.swarm.nodes import Roster
from relay.session.budget import Budget
from relay.session.http import Response
from relay.session.onions import Onions
from relay.session.routes import Route

JSON = b"application/json"
BUSY = Response(Refusal.BUSY.status, Refusal.BUSY.text.encode())
STATISTICS = Response(200, msgspec.json.encode({"version": ".".join(map(str, STORAGE_VERSION))}), JSON)


class Requests:
    """What the door does with requests.

    Args:
        budget: of clients.
        roster: the newest list of nodes; None while there is no directory that is valid.
        clock: Unix time that never goes back.
    """

    def __init__(
        self,
        onions: Onions,
        budget: Budget,
        *,
        relay_id: RelayId,
        roster: Callable[[], Roster | None],
        clock: Callable[[], UnixTime],
    ) -> None:
        self._onions = onions
        self._budget = budget
        self._roster = roster
        self._clock = clock
        self._answered: Counter[int] = Counter()
        not_ready = refuse(Refusal.NOT_READY, named=relay_id)
        self._not_ready = Response(not_ready.status, not_ready.body)
        self._pong = Response(200, headers=((b"X-Oxen-Snode-Pubkey", base64.b64encode(relay_id)),))

    def counts(self) -> dict[str, int]:
        """Answers by status, and failures of the destination by kind, since the start."""
        answered = {f"answered_{status}": count for status, count in self._answered.items()}
        return answered | {f"failed_{kind}": count for kind, count in self._onions.failed.items()}

    async def answer(self, route: Route, body: bytes, *, source: str) -> Response:
        """The response to one request; ``BUSY`` itself if its source has used up its part.

        Args:
            source: where it came from, for the budget and nothing else.
        """
        response = BUSY
        if self._budget.draw(source, len(body), now=self._clock()):
            response = await self._answer(route, body)
            self._budget.charge(source, len(response.body), now=self._clock())
        self._answered[response.status] += 1
        return response

    async def _answer(self, route: Route, body: bytes) -> Response:
        match route:
            case Route.STATISTICS:
                return STATISTICS
            case Route.PING:
                return self._pong
            case Route.ONION:
                answer = await self._onions.answer_post(body)
                return Response(answer.status, answer.body)
            case Route.STORAGE:
                reply = await self._onions.answer_call(body)
                return Response(reply.status, reply.body, JSON if reply.is_json else b"text/plain")
            case Route.SEED:
                return self._answer_seed(body)
        assert_never(route)

    def _answer_seed(self, body: bytes) -> Response:
        roster = self._roster()
        if roster is None:
            return self._not_ready
        return Response(*answer_seed(body, roster, now_ms=int(self._clock() * 1000)), JSON)
