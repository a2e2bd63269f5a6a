"""The votes service: answers the visits of other authorities. Spec: docs/specs/authorities.md §6."""

from __future__ import annotations

from onionpath.errors import MalformedError, UsageError
from onionpath.onion.statuses import Reason
from onionpath.service.calls import Call, Limits, Reply
from relay.authority.agreement import Agreement
from relay.authority.visit import answer


class VotesService:
    """Service 6; answers from memory and never waits."""

    def __init__(self, agreement: Agreement, limits: Limits) -> None:
        self.limits = limits
        self._agreement = agreement

    async def answer(self, call: Call) -> Reply:
        """Show a part of what is asked for."""
        try:
            return Reply(answer(self._agreement, call.body, room=call.reply_capacity))
        except (MalformedError, UsageError):
            return Reply.refused(Reason.BAD_CALL)
