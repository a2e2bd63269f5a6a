"""One echo: the packet that asks for it, and what the frame that comes back proves.

Nothing here waits or sends; sockets and the event heap of simulations use the same. Spec: docs/specs/measuring.md §3.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from onionpath.errors import Edge, PeerError
from onionpath.injected import Entropy, UnixTime
from onionpath.link.frames import Frame
from onionpath.onion.geometry import SizeClass
from onionpath.onion.native import NativeOnion
from onionpath.onion.packets import Hop, OnionCall, Wrapped
from onionpath.onion.replay import slot_at
from onionpath.service.calls import ServiceId
from relay.authority.findings import Broken
from relay.authority.probe_paths import Probe

# A packet is filled up to its class whatever it carries, so more would move not one byte more. Nobody guesses these.
BODY_SIZE = 32


@dataclass(frozen=True, slots=True)
class Echo:
    """A packet that is under way, and how to tell its echo."""

    wrapped: Wrapped
    body: bytes = field(repr=False)
    last: int

    def broken(self, onion: NativeOnion, frame: Frame) -> Broken | None:
        """Where it broke by this frame's word, or None if it is the echo."""
        # A REJECT has no body, and a reply of another class or depth a body of another length: none of them opens.
        try:
            answer = onion.open_reply(self.wrapped.opener, frame.body)
        except PeerError as error:
            hop = error.hop or 0
            return Broken(Edge(hop - 1, hop))
        if answer.hop < self.last:
            return Broken(Edge(answer.hop, answer.hop + 1))
        if answer.body != self.body:
            # It refused, or lied, and said so itself: blamed on the pair like everything else, so there is one rule.
            return Broken(Edge(self.last - 1, self.last))
        return None


def hops_of(probe: Probe, now: UnixTime) -> tuple[Hop, ...] | None:
    """The path as packets are sealed to it, or None if a relay has no packet key for now."""
    keys = [relay.descriptor.packet_key(now) for relay in probe.path]
    hops = tuple(
        Hop(relay.relay_id, key.public, key.generation)
        for relay, key in zip(probe.path, keys, strict=True)
        if key is not None
    )
    return hops if len(hops) == len(probe.path) else None


def seal_echo(
    onion: NativeOnion,
    hops: tuple[Hop, ...],
    size_class: SizeClass,
    *,
    slot_s: int,
    now: UnixTime,
    entropy: Entropy,
) -> Echo:
    """Wrap a packet of one class whose echo has the same class."""
    body = entropy(BODY_SIZE)
    call = OnionCall(ServiceId.ECHO, body, entropy(16), request_class=size_class, reply_class=size_class)
    wrapped = onion.wrap(hops, call, slot=slot_at(now, slot_s), entropy=entropy)
    return Echo(wrapped, body, len(hops) - 1)
