"""The native format: one HPKE box per hop, each with one legal length, nothing in between.

A request layer is ``enc 1120 ‖ sealed(head 80 ‖ rest) ‖ tag 16``; a reply layer is
``nonce 12 ‖ sealed(head 20 ‖ inner) ‖ tag 16``. Everything that is sealed is used only after it opened, and every
padding byte is checked to be zero, so that no two packets mean the same.

Spec: docs/specs/onion-native.md. Nothing here knows a link, a peer or a clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct

from onionpath.crypto.identity import RelayId
from onionpath.crypto.reply_keys import ReplySecret, derive_reply_key, open_with, seal_with
from onionpath.errors import MalformedError, PeerError, UsageError
from onionpath.injected import Entropy
from onionpath.onion.geometry import HEAD_SIZE, REPLY_HEAD_SIZE, Geometry, SizeClass
from onionpath.onion.packets import (
    Answer,
    Forward,
    Hop,
    HopKey,
    OnionCall,
    Packet,
    Peeled,
    ReplyHead,
    ReplyKey,
    ReplyOpener,
    Serve,
    Wrapped,
)
from onionpath.onion.statuses import Reason, ReplyStatus

LAYER_LABEL = b"onionpath/1 layer"
KIND_FORWARD, KIND_SERVE = 1, 2
SEED_SIZE = 32

_BOUND = Struct(">IBBB")  # slot, generation, class, depth: the end of ``info``
# kind, flags, reply class, next generation, seed; then one of the two tails.
_FORWARD_HEAD = Struct(">BBBB32s32s12s")  # next relay, zeros
_SERVE_HEAD = Struct(">BBBB32sH2s16sI20s")  # service, zeros, idempotency key, body length, zeros
_REPLY_HEAD = Struct(">BBHII8s")  # status, flags, reason, hold in ms, length, zeros

_MAX_HOLD_MS = 2**32 - 1
_CLASSES = tuple(SizeClass)
_STATUSES = {int(status): status for status in ReplyStatus}
_REASONS = {int(reason): reason for reason in Reason}


class NativeOnion:
    """The native format in one network.

    Args:
        geometry: the network's sizes.
        network_id: 32 bytes that every seal is bound to.
    """

    def __init__(self, geometry: Geometry, network_id: bytes) -> None:
        if len(network_id) != 32:
            raise UsageError(f"a network id has 32 bytes, not {len(network_id)}")
        self.geometry = geometry
        self._info_start = LAYER_LABEL + network_id

    def wrap(self, hops: Sequence[Hop], call: OnionCall, *, slot: int, entropy: Entropy) -> Wrapped:
        """Seal a call for the last of ``hops``, in a layer for each.

        Args:
            hops: first relay first; at most the network's number of hops. A single hop may be asked only for
                services that answer at every depth.
            call: its body fits ``geometry.request_capacity(call.request_class, len(hops) - 1)``.
            slot: the time slot now (§6).
            entropy: 32 bytes per hop are drawn; a retry therefore shares no byte with the first try.

        Raises:
            UsageError: too many hops or too long a body.

        Spec: docs/specs/onion-native.md §3.
        """
        if not 1 <= len(hops) <= self.geometry.hops:
            raise UsageError(f"a path in this network has up to {self.geometry.hops} hops, not {len(hops)}")
        capacity = self.geometry.request_capacity(call.request_class, len(hops) - 1)
        if len(call.body) > capacity or len(call.idempotency_key) != 16:
            raise UsageError(f"a body has at most {capacity} bytes here and its idempotency key 16")
        seeds = [entropy(SEED_SIZE) for _ in hops]
        head = _SERVE_HEAD.pack(
            KIND_SERVE, 0, call.reply_class, 0, seeds[-1],
            call.service, bytes(2), call.idempotency_key, len(call.body), bytes(20),
        )  # fmt: skip
        inner = call.body + bytes(capacity - len(call.body))
        for depth in reversed(range(len(hops))):
            hop = hops[depth]
            if depth < len(hops) - 1:
                after = hops[depth + 1]
                head = _FORWARD_HEAD.pack(
                    KIND_FORWARD,
                    0,
                    call.reply_class,
                    after.generation,
                    seeds[depth],
                    after.relay_id,
                    bytes(12),
                )
            info = self._info(hop.relay_id, slot, hop.generation, call.request_class, depth)
            inner = hop.key.seal(head + inner, info=info)
        packet = Packet(call.request_class, 0, hops[0].generation, slot, inner)
        return Wrapped(packet, ReplyOpener(tuple(map(ReplySecret.from_seed, seeds)), call.reply_class))

    def peel(self, packet: Packet, key: HopKey) -> Peeled:
        """Remove one layer and say what this relay must do with the rest.

        Args:
            packet: as it came, its layer of exactly ``geometry.request_layer_size(size_class, depth)`` bytes.
            key: our packet key of the packet's generation.

        Raises:
            BadLayerError: the seal did not open. Wrong key, wrong slot and damage look alike on purpose.
            MalformedError: it opened, and its sender does not follow the specification.

        Spec: docs/specs/onion-native.md §4.
        """
        geometry, depth = self.geometry, packet.depth
        if depth >= geometry.hops or len(packet.layer) != geometry.request_layer_size(
            packet.size_class, depth
        ):
            raise MalformedError("a layer has one legal length at each depth, and no path is longer")
        info = self._info(key.relay_id, packet.slot, packet.generation, packet.size_class, packet.depth)
        opened = key.private.open(packet.layer, info=info)
        match opened[0]:
            case 1:  # KIND_FORWARD
                return self._forward(packet, opened)
            case 2:  # KIND_SERVE
                return self._serve(packet, opened)
            case kind:
                raise MalformedError(f"a layer's head has kind 1 or 2, not {kind}")

    def _forward(self, packet: Packet, opened: bytes) -> Forward:
        _, flags, reply_class, generation, seed, next_relay, zeros = _FORWARD_HEAD.unpack_from(opened)
        if flags or reply_class > 1 or any(zeros) or packet.depth + 1 >= self.geometry.hops:
            raise MalformedError(
                "a forward head has a set flag, an unknown class, a stray byte or no depth left"
            )
        onward = Packet(
            packet.size_class, packet.depth + 1, generation, packet.slot, memoryview(opened)[HEAD_SIZE:]
        )
        return Forward(RelayId(next_relay), onward, seed, self._reply_key(seed, reply_class, packet.depth))

    def _serve(self, packet: Packet, opened: bytes) -> Serve:
        head = _SERVE_HEAD.unpack_from(opened)
        _, flags, reply_class, generation, seed, service, zeros, idempotency_key, length, more_zeros = head
        if flags or reply_class > 1 or generation or any(zeros) or any(more_zeros):
            raise MalformedError("a serve head has a set flag, an unknown class or a stray byte")
        end = HEAD_SIZE + length
        if end > len(opened) or not _is_zero_from(opened, end):
            raise MalformedError("a call's body is longer than its layer, or followed by something")
        body = opened[HEAD_SIZE:end]
        return Serve(service, body, idempotency_key, seed, self._reply_key(seed, reply_class, packet.depth))

    def seal_reply(
        self, key: ReplyKey, head: ReplyHead, inner: bytes | memoryview, *, entropy: Entropy
    ) -> bytes:
        """Seal a reply of ours, or the next hop's sealed reply once more.

        Args:
            key: consumed; a second use raises ``UsageError``.
            head: ``RELAYED`` goes with the next hop's whole layer, ``ANSWERED`` with a body, the rest with nothing.
            inner: at most ``geometry.reply_capacity(key.reply_class, key.depth)`` bytes.

        Returns:
            exactly ``geometry.reply_layer_size(key.reply_class, key.depth)`` bytes.

        Spec: docs/specs/onion-native.md §5.
        """
        capacity = self.geometry.reply_capacity(key.reply_class, key.depth)
        padding = capacity - len(inner)
        if padding < 0 or (padding and head.status is ReplyStatus.RELAYED):
            raise UsageError(f"{len(inner)} bytes don't fit a reply that carries {capacity}")
        hold_ms = min(head.hold_ms, _MAX_HOLD_MS)
        packed = _REPLY_HEAD.pack(head.status, 0, head.reason, hold_ms, len(inner), bytes(8))
        plaintext = b"".join((packed, inner, bytes(padding)))
        return seal_with(key.use(), plaintext, entropy=entropy)

    def open_reply(self, opener: ReplyOpener, layer: bytes | memoryview) -> Answer:
        """Open a reply, layer by layer, as far as the hop that spoke last.

        Raises:
            BadLayerError, MalformedError: at the hop whose index is ``.hop``; whoever sits between us and
                that hop, or that hop itself, damaged or forged it.

        Spec: docs/specs/onion-native.md §5.
        """
        if len(layer) != self.geometry.reply_layer_size(opener.reply_class, 0):
            raise MalformedError("a reply has one legal length at each depth", hop=0)
        holds: list[int] = []
        last = len(opener.secrets) - 1
        for hop, secret in enumerate(opener.secrets):
            try:
                opened = open_with(secret.reveal(), layer)
                head, layer = self._reply_head(opened, is_last=hop == last)
            except PeerError as error:
                raise type(error)(str(error), hop=hop) from error
            holds.append(head.hold_ms)
            if head.status is not ReplyStatus.RELAYED:
                return Answer(hop, head, bytes(layer), tuple(holds))
        raise AssertionError("the last hop's RELAYED was refused above")

    def _reply_head(self, opened: bytes, *, is_last: bool) -> tuple[ReplyHead, memoryview]:
        status_code, flags, reason_code, hold_ms, length, zeros = _REPLY_HEAD.unpack_from(opened)
        status, reason = _STATUSES.get(status_code), _REASONS.get(reason_code)
        rest = memoryview(opened)[REPLY_HEAD_SIZE:]
        if status is None or reason is None or flags or any(zeros) or length > len(rest):
            raise MalformedError("a reply's head has an unknown value or a stray byte")
        carries = status is ReplyStatus.ANSWERED or status is ReplyStatus.RELAYED
        if carries != (reason is Reason.NONE) or (not carries and length):
            raise MalformedError("a reply's head contradicts its body")
        if not _is_zero_from(opened, REPLY_HEAD_SIZE + length):
            raise MalformedError("a reply's body is followed by something")
        if is_last and status in (ReplyStatus.RELAYED, ReplyStatus.EDGE_FAILED):
            raise MalformedError("the last hop speaks of a hop after it")
        if not is_last and status is ReplyStatus.ANSWERED:
            # Only the hop that was asked may answer: each hop before it has a reply key too, and could otherwise
            # answer in its place.
            raise MalformedError("a hop answers what was not asked of it")
        if status is ReplyStatus.RELAYED and length != len(rest):
            raise MalformedError("a relayed reply does not fill its layer")
        return ReplyHead(status, reason, hold_ms), rest[:length]

    def _info(
        self, relay_id: RelayId, slot: int, generation: int, size_class: SizeClass, depth: int
    ) -> bytes:
        return self._info_start + relay_id + _BOUND.pack(slot, generation, size_class, depth)

    def _reply_key(self, seed: bytes, reply_class: int, depth: int) -> ReplyKey:
        return ReplyKey(derive_reply_key(seed), _CLASSES[reply_class], depth)


def _is_zero_from(opened: bytes, start: int) -> bool:
    # startswith compares at memory speed; comparing memoryviews goes byte by byte and takes 30 times as long.
    return opened.startswith(bytes(len(opened) - start), start)
