"""One packet over one path, and what the frame that comes back means; no waiting.

Whoever has a connection sends ``packet`` over it and hands the frame that ends the exchange to ``judge``.
What an answer proves is in docs/specs/onion-native.md §5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from onionpath.errors import FIRST_EDGE, Edge, PeerError, UnreachableError, UsageError
from onionpath.injected import Entropy
from onionpath.link.frames import Frame, Kind
from onionpath.onion.geometry import Geometry, SizeClass
from onionpath.onion.native import NativeOnion
from onionpath.onion.packets import Answer, Hop, OnionCall, Packet, ReplyOpener
from onionpath.onion.statuses import Reason


def onion_call(
    geometry: Geometry, service: int, body: bytes, *, idempotency_key: bytes, large_reply: bool
) -> OnionCall:
    """A call in the smallest class that holds its body.

    Raises:
        UsageError: no class does.
    """
    reply_class = SizeClass.LARGE if large_reply else SizeClass.SMALL
    fits_small = len(body) <= geometry.request_capacity(SizeClass.SMALL, geometry.last_depth)
    request_class = SizeClass.SMALL if fits_small else SizeClass.LARGE
    capacity = geometry.request_capacity(request_class, geometry.last_depth)
    if len(body) > capacity:
        raise UsageError(f"a call carries at most {capacity} bytes")
    return OnionCall(service, body, idempotency_key, request_class, reply_class)


@dataclass(frozen=True, slots=True)
class OnionExchange:
    """Made by ``begin``; of use once, as its packet is."""

    packet: Packet
    _onion: NativeOnion
    _opener: ReplyOpener
    _last_hop: int

    @classmethod
    def begin(
        cls, onion: NativeOnion, hops: Sequence[Hop], call: OnionCall, *, slot: int, entropy: Entropy
    ) -> OnionExchange:
        """Seal a call for a path; see ``NativeOnion.wrap``."""
        wrapped = onion.wrap(hops, call, slot=slot, entropy=entropy)
        return cls(wrapped.packet, onion, wrapped.opener, len(hops) - 1)

    def judge(self, frame: Frame) -> Answer:
        """The last hop's answer, which may be a refusal.

        Raises:
            UnreachableError: the call, or its reply, got lost at ``.edge``.
        """
        if frame.kind is not Kind.REPLY or frame.size_class is not self._opener.reply_class or frame.depth:
            message = "hop 1 rejected the packet: stale key, wrong clock, or overload"
            raise UnreachableError(message, edge=FIRST_EDGE)
        answer = self._open(frame)
        if answer.hop < self._last_hop:
            # Whatever a relay on the way says of itself, the call did not get through between it and the next.
            edge = Edge(answer.hop, answer.hop + 1)
            reason = answer.head.reason
            raise UnreachableError(f"{edge}: {_EDGE_WORDS.get(reason, reason.name.lower())}", edge=edge)
        return answer

    def _open(self, frame: Frame) -> Answer:
        try:
            return self._onion.open_reply(self._opener, frame.body)
        except PeerError as error:
            hop = error.hop or 0
            message = f"the reply of hop {hop + 1} was forged or damaged"
            raise UnreachableError(message, edge=Edge(hop - 1, hop)) from error


_EDGE_WORDS = {
    Reason.NEXT_UNKNOWN: "the next relay is not in its directory",
    Reason.NEXT_UNREACHABLE: "no connection could be made",
    Reason.NEXT_REJECTED: "the packet was rejected (stale key, wrong clock, or overload)",
    Reason.NEXT_TIMED_OUT: "no answer in time",
    Reason.NEXT_CLOSED: "the connection broke",
    Reason.NEXT_MALFORMED: "the answer was malformed",
    Reason.NEXT_CONGESTED: "the queue is full",
}
