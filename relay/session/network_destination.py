"""The destination of a relay that stores nothing: it knows the network, and sends all others to the right swarm.

Spec: docs/specs/storage.md §4 and docs/specs/session-network.md §4.
"""

from __future__ import annotations

from collections.abc import Callable

from onionpath.crypto.identity import RelayId
from onionpath.injected import UnixTime
from onionpath.onion.session_packets import SessionReply
from onionpath.onion.session_refusals import Refusal, refuse
from onionpath.swarm.nodes import Roster
from onionpath.swarm.planning import Jurisdiction, plan
from onionpath.swarm.plans import carry_out


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
        roster = self._roster()
        if roster is None:
            return self._not_ready
        jurisdiction = Jurisdiction(roster, stores=lambda _: False)
        run = carry_out(
            plan(request, jurisdiction, now_ms=int(self._clock() * 1_000), max_reply=max_reply),
            max_reply=max_reply,
        )
        try:
            next(run)
        except StopIteration as end:
            reply: SessionReply = end.value
            return reply
        raise AssertionError("whoever stores for nobody has no step to carry out")
