"""What our own services are asked: at the end of an onion, or by a neighbour over its link.

Spec: docs/specs/link.md §5.
"""

from __future__ import annotations

from collections import Counter

from onionpath.injected import UnixTime
from onionpath.link.frames import Frame, call_capacity, decode_call
from onionpath.onion.geometry import Geometry
from onionpath.onion.packets import Serve
from onionpath.onion.statuses import Reason
from onionpath.service.calls import Call, Reply
from relay.admission import Admission
from relay.exchanges import Exchanges, Origin
from relay.limits import SwitchLimits
from relay.link import Link
from relay.replies import Replies
from relay.step import Serving, Step


class Calls:
    """One relay's part in it.

    Args:
        counts: of the switch, by named reason.
    """

    def __init__(
        self,
        geometry: Geometry,
        admission: Admission,
        exchanges: Exchanges,
        replies: Replies,
        counts: Counter[str],
        limits: SwitchLimits,
    ) -> None:
        self._geometry = geometry
        self._admission = admission
        self._exchanges = exchanges
        self._replies = replies
        self._counts = counts
        self._limits = limits

    def take_sealed(self, step: Step, link: Link, peeled: Serve, origin: Origin) -> None:
        """The innermost layer of an onion was for us."""
        capacity = self._geometry.reply_capacity(origin.reply_class, origin.depth)
        call = Call(
            peeled.service, peeled.body, peeled.idempotency_key, capacity, link.link_id, origin.deadline
        )
        self._serve(step, link, call, origin, last_depth=origin.depth == self._geometry.last_depth)

    def take_call(self, step: Step, link: Link, frame: Frame) -> None:
        """A neighbour's unsealed call, under the same limits as a request.

        Raises:
            FaultyPeerError: it has not the specified form.
        """
        called = decode_call(frame.body)
        deadline = UnixTime(step.now + self._limits.patience_s(0))
        origin = Origin(link.link_id, frame.exchange_id, called.reply_class, None, 0, step.now, deadline)
        overload = self._admission.overload(step, link)
        if overload is not None:
            self._counts[f"call_{overload.value}"] += 1
            self._replies.answer(step, link, origin, Reply.refused(Reason.HOP_BUSY))
            return
        link.in_flight += 1
        capacity = call_capacity(self._geometry, called.reply_class)
        peer = None if link.is_client else link.peer
        call = Call(called.service, called.body, bytes(16), capacity, link.link_id, deadline, peer)
        self._serve(step, link, call, origin, last_depth=False)

    def _serve(self, step: Step, link: Link, call: Call, origin: Origin, *, last_depth: bool) -> None:
        self._counts["served"] += 1
        call_id = self._exchanges.serve(origin)
        step.actions.serves.append(Serving(call_id, call, link.is_client, last_depth))

    def answered(self, step: Step, call_id: int, reply: Reply) -> None:
        """A service has answered; a second answer, or one after the deadline, is counted and dropped."""
        origin = self._exchanges.take_by_call(call_id)
        if origin is None:
            self._counts["answer_too_late"] += 1
        else:
            self._replies.end(step, origin, reply)
