"""The echo service: every relay returns what it is sent, so that clients and authorities can measure it."""

from __future__ import annotations

from onionpath.onion.statuses import Reason
from onionpath.service.calls import Call, Limits, Reply


class EchoService:
    """Answers with the call's own body, at every depth; ``BAD_CALL`` if the reply's class cannot hold it."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits(any_depth=True, has_effects=False)

    @property
    def limits(self) -> Limits:
        """Callable everywhere: it has no effect and reaches nobody."""
        return self._limits

    async def answer(self, call: Call) -> Reply:
        """Give the body back."""
        if len(call.body) > call.reply_capacity:
            return Reply.refused(Reason.BAD_CALL)
        return Reply(call.body)
