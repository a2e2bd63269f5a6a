"""What goes into an onion and what comes out of it: the values both formats share.

Those that a relay makes for each packet are named tuples, which cost a quarter of a frozen dataclass to make.

Spec: docs/specs/onion-native.md §3 to §5.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from onionpath.crypto.hybrid import HybridPrivateKey, HybridPublicKey
from onionpath.crypto.identity import RelayId
from onionpath.crypto.keys import fingerprint
from onionpath.crypto.reply_keys import ReplySecret
from onionpath.errors import Edge, UsageError
from onionpath.injected import Entropy
from onionpath.onion.geometry import SizeClass
from onionpath.onion.statuses import Reason, ReplyStatus


@dataclass(frozen=True, slots=True)
class Hop:
    """One relay's part of a path, as the client sees it."""

    relay_id: RelayId
    key: HybridPublicKey
    generation: int


@dataclass(frozen=True, slots=True)
class HopKey:
    """A relay's own packet key of one generation, with the name it is bound to."""

    relay_id: RelayId
    generation: int
    private: HybridPrivateKey


@dataclass(frozen=True, slots=True)
class OnionCall:
    """What the last hop is asked, and the size classes of the way there and back."""

    service: int
    # What somebody asks, and the key by which he may ask again, belong into no log.
    body: bytes = field(repr=False)
    idempotency_key: bytes = field(repr=False)
    request_class: SizeClass = SizeClass.SMALL
    reply_class: SizeClass = SizeClass.SMALL


class Packet(NamedTuple):
    """A request as it stands on one link, without the link's own type and exchange id.

    ``layer`` has exactly ``geometry.request_layer_size(size_class, depth)`` bytes; all the rest is authenticated.
    """

    size_class: SizeClass
    depth: int
    generation: int
    slot: int
    layer: bytes | memoryview


class ReplyKey:
    """The right to seal one reply. It is consumed by use, so two replies never share key and purpose."""

    __slots__ = ("_secret", "depth", "reply_class")

    def __init__(self, secret: bytes, reply_class: SizeClass, depth: int) -> None:
        self._secret: bytes | None = secret
        self.reply_class = reply_class
        self.depth = depth

    def use(self) -> bytes:
        """Hand over the 32 secret bytes, once.

        Raises:
            UsageError: it was used before.
        """
        secret, self._secret = self._secret, None
        if secret is None:
            raise UsageError("this reply key has already sealed its reply")
        return secret

    def __repr__(self) -> str:
        return f"<ReplyKey {fingerprint(self._secret, 'ReplyKey')}>" if self._secret else "<ReplyKey spent>"

    def __reduce__(self) -> Any:
        raise TypeError("ReplyKey is secret and is not pickled")


class Forward(NamedTuple):
    """The packet goes on to the next relay."""

    next_relay: RelayId
    packet: Packet
    seed: bytes
    reply_key: ReplyKey

    def __repr__(self) -> str:
        # A named tuple would print the seed, which is the reply key to whoever reads it.
        return f"<Forward {self.reply_key!r}>"


class Serve(NamedTuple):
    """This relay is asked to answer itself."""

    service: int
    body: bytes
    idempotency_key: bytes
    seed: bytes
    reply_key: ReplyKey

    def __repr__(self) -> str:
        # Neither the seed nor what somebody asks belongs into a log.
        return f"<Serve service={self.service} {self.reply_key!r}>"


Peeled = Forward | Serve


class ReplyHead(NamedTuple):
    """What a hop says about a reply: its own, or the next hop's that it passes on."""

    status: ReplyStatus
    reason: Reason = Reason.NONE
    hold_ms: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """An opened reply.

    Args:
        hop: index of the relay that spoke last: the one that served, refused, or reported a broken edge.
        head: what it said.
        body: the service's bytes, empty unless the status is ``ANSWERED``.
        hold_ms: for each hop up to ``hop``, how long it held the exchange, in milliseconds.
    """

    hop: int
    head: ReplyHead
    body: bytes = field(repr=False)  # nobody's log should hold what somebody was answered
    hold_ms: tuple[int, ...]

    @property
    def reason(self) -> Reason:
        """Why that relay refused, or failed; ``NONE`` if it served."""
        return self.head.reason

    @property
    def held_s(self) -> float:
        """For how long that relay held the exchange, as it says."""
        return self.hold_ms[-1] / 1_000

    @property
    def lying_edge(self) -> Edge | None:
        """The first pair of neighbours whose hold times don't nest, if any: one of the two lies."""
        pairs = zip(self.hold_ms, self.hold_ms[1:], strict=False)
        return next((Edge(hop, hop + 1) for hop, (ours, theirs) in enumerate(pairs) if ours < theirs), None)


@dataclass(frozen=True, slots=True)
class ReplyOpener:
    """The only object that can open the reply to one wrapped packet."""

    secrets: tuple[ReplySecret, ...]
    reply_class: SizeClass


@dataclass(frozen=True, slots=True)
class Wrapped:
    """A packet for the first hop, with what opens its reply."""

    packet: Packet
    opener: ReplyOpener


class Onion(Protocol):
    """The four verbs of a packet format."""

    def peel(self, packet: Packet, key: HopKey) -> Peeled: ...

    def seal_reply(
        self, key: ReplyKey, head: ReplyHead, inner: bytes | memoryview, *, entropy: Entropy
    ) -> bytes: ...

    def open_reply(self, opener: ReplyOpener, layer: bytes | memoryview) -> Answer: ...
