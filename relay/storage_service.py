"""The storage of a swarm as a service at the end of native paths. Spec: docs/specs/storage.md §7."""

from __future__ import annotations

from onionpath.onion.session_packets import ReplyForm
from onionpath.onion.session_replies import encode_reply
from onionpath.onion.statuses import Reason
from onionpath.service.calls import Call, Limits, Reply
from relay.session.destination import Destination

# {"body":…,"status":200}
FRAME_SIZE = 32  # bytes


class StorageService:
    """Has a destination answer calls.

    Args:
        limits: its calls may be repeated anywhere: what is stored is known by its content.
    """

    def __init__(self, destination: Destination, *, limits: Limits) -> None:
        self._destination = destination
        self._limits = limits

    @property
    def limits(self) -> Limits:
        """Callable at the end of a path."""
        return self._limits

    async def answer(self, call: Call) -> Reply:
        """The reply as JSON; ``BAD_CALL`` if the reply's class cannot hold it."""
        reply = await self._destination.answer(call.body, max_reply=call.reply_capacity - FRAME_SIZE)
        encoded = encode_reply(reply, ReplyForm.JSON)
        return Reply(encoded) if len(encoded) <= call.reply_capacity else Reply.refused(Reason.BAD_CALL)
