"""How exchanges end: what goes back over the link that they came from.

Whatever happened, a sealed request gets a sealed REPLY of the class that it asked for, and a call an ANSWER; whoever
looks at the link cannot tell one from the other. An exchange is taken out of ``Exchanges`` before it ends here.

Spec: docs/specs/onion-native.md §5, docs/specs/link.md §5, §6.2.
"""

from __future__ import annotations

from collections import Counter

from onionpath.injected import Entropy
from onionpath.link.frames import AnswerBody, Kind, encode_answer
from onionpath.onion.native import NativeOnion
from onionpath.onion.packets import ReplyHead
from onionpath.onion.statuses import Reason, ReplyStatus
from onionpath.service.calls import Reply
from relay.exchanges import Origin
from relay.link import Link
from relay.link_table import LinkTable
from relay.step import Step


class Replies:
    """Ends exchanges.

    Args:
        counts: of the switch, by named reason.
        entropy: for nonces.
    """

    def __init__(
        self, onion: NativeOnion, links: LinkTable, counts: Counter[str], *, entropy: Entropy
    ) -> None:
        self._onion = onion
        self._links = links
        self._counts = counts
        self._entropy = entropy

    def end(self, step: Step, origin: Origin, reply: Reply) -> None:
        """A service has answered, or we have in its place."""
        if origin.reply_key is not None:
            self._seal(step, origin, reply.status, reply.reason, reply.body)
            return
        link = self._links.get(origin.link_id)
        if link is not None:
            link.in_flight -= 1
            self.answer(step, link, origin, reply)

    def answer(self, step: Step, link: Link, origin: Origin, reply: Reply) -> None:
        """Answer a call, also one that was never under way."""
        body = encode_answer(AnswerBody(reply.status, reply.reason, reply.body))
        step.write(
            link, Kind.ANSWER, body=body, size_class=origin.reply_class, exchange_id=origin.exchange_id
        )

    def pass_back(self, step: Step, origin: Origin, layer: bytes | memoryview) -> None:
        """The next relay has replied."""
        self._counts["reply_relayed"] += 1
        self._seal(step, origin, ReplyStatus.RELAYED, Reason.NONE, layer)

    def fail_edge(self, step: Step, origin: Origin, reason: Reason) -> None:
        """Something is wrong between us and the next relay."""
        self._counts[f"edge_{reason.name.lower()}"] += 1
        self._seal(step, origin, ReplyStatus.EDGE_FAILED, reason, b"")

    def _seal(
        self, step: Step, origin: Origin, status: ReplyStatus, reason: Reason, inner: bytes | memoryview
    ) -> None:
        link = self._links.get(origin.link_id)
        if link is None or origin.reply_key is None:
            self._counts["reply_for_gone_link"] += 1
            return
        head = ReplyHead(status, reason, max(0, int((step.now - origin.received_at) * 1000)))
        layer = self._onion.seal_reply(origin.reply_key, head, inner, entropy=self._entropy)
        link.in_flight -= 1
        step.write(
            link, Kind.REPLY, body=layer, size_class=origin.reply_class,
            depth=origin.depth, exchange_id=origin.exchange_id,
        )  # fmt: skip
