"""What other relays ask of this one: to open a layer that they pass on. Spec: docs/specs/session-onion.md §8.3."""

from __future__ import annotations

from collections.abc import Callable

from onionpath.crypto.identity import RelayId
from onionpath.injected import UnixTime
from onionpath.onion.session_answers import encode_hop_answer
from onionpath.onion.statuses import Reason
from relay.session.budget import Budget
from relay.session.onions import Onions


class HopMessages:
    """The service of relays for relays, a ``PeerService``.

    Args:
        budget: of relays, none of which clients can use up.
        clock: Unix time that never goes back.
    """

    def __init__(self, onions: Onions, budget: Budget, *, clock: Callable[[], UnixTime]) -> None:
        self._onions = onions
        self._budget = budget
        self._clock = clock

    async def answer(self, peer: RelayId, body: bytes) -> bytes | Reason:
        """The answer of whatever the layer leads to, or ``SERVICE_BUSY``."""
        if not self._budget.draw(peer.hex(), len(body), now=self._clock()):
            return Reason.SERVICE_BUSY
        answer = encode_hop_answer(await self._onions.answer_hop_message(body))
        self._budget.charge(peer.hex(), len(answer), now=self._clock())
        return answer
