"""Relays with real keys, and a path's whole way there and back, for the tests of the onion."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from random import Random

from onionpath.crypto.hybrid import HybridPrivateKey
from onionpath.crypto.identity import IdentityKey
from onionpath.onion.geometry import Geometry, SizeClass
from onionpath.onion.native import NativeOnion
from onionpath.onion.packets import (
    Forward,
    Hop,
    HopKey,
    OnionCall,
    Packet,
    ReplyHead,
    ReplyKey,
    Serve,
    Wrapped,
)
from onionpath.onion.statuses import ReplyStatus

NETWORK_ID = hashlib.sha256(b"a network of tests").digest()
SLOT = 5_000_000


def entropy(seed: int) -> Callable[[int], bytes]:
    return Random(seed).randbytes


@cache
def hop_key(number: int) -> HopKey:
    identity = IdentityKey(hashlib.sha256(b"identity %d" % number).digest())
    return HopKey(
        identity.relay_id, number, HybridPrivateKey(hashlib.sha256(b"packets %d" % number).digest())
    )


def hops_of(numbers: Sequence[int]) -> list[Hop]:
    return [Hop(hop_key(each).relay_id, hop_key(each).private.public, each) for each in numbers]


@cache
def native(hops: int = 3) -> NativeOnion:
    return NativeOnion(Geometry(hops), NETWORK_ID)


def a_call(
    body: bytes = b"body", *, request: SizeClass = SizeClass.SMALL, reply: SizeClass = SizeClass.SMALL
) -> OnionCall:
    return OnionCall(1, body, b"k" * 16, request, reply)


def wrap(call: OnionCall | None = None, *, hops: int = 3, network: int = 0, seed: int = 0) -> Wrapped:
    """A packet over relays 0, 1, … of a network with that many hops (the same number unless told otherwise)."""
    return native(network or hops).wrap(
        hops_of(range(hops)), call or a_call(), slot=SLOT, entropy=entropy(seed)
    )


@dataclass(frozen=True)
class Walk:
    """What each relay got and made of it; the last one's reply key seals the answer."""

    packets: tuple[Packet, ...]
    forwards: tuple[Forward, ...]
    serve: Serve

    @property
    def reply_keys(self) -> list[ReplyKey]:
        return [each.reply_key for each in (*self.forwards, self.serve)]


def walk(packet: Packet, *, network: int = 3) -> Walk:
    """Carry a packet through the relays until one serves it."""
    packets, forwards = [packet], []
    while True:
        peeled = native(network).peel(packets[-1], hop_key(packets[-1].depth))
        if isinstance(peeled, Serve):
            return Walk(tuple(packets), tuple(forwards), peeled)
        forwards.append(peeled)
        packets.append(peeled.packet)


def reply_layers(
    keys: Sequence[ReplyKey],
    head: ReplyHead,
    body: bytes = b"",
    *,
    network: int = 3,
    holds: Sequence[int] = (),
    seed: int = 1,
) -> list[bytes]:
    """The layer that each of these hops sends back, the first hop's first; the last of them speaks."""
    draw, layers = (
        entropy(seed),
        [native(network).seal_reply(keys[-1], head, body, entropy=entropy(seed + 1))],
    )
    for depth in reversed(range(len(keys) - 1)):
        hold = holds[depth] if holds else head.hold_ms
        relayed = ReplyHead(ReplyStatus.RELAYED, hold_ms=hold)
        layers.insert(0, native(network).seal_reply(keys[depth], relayed, layers[0], entropy=draw))
    return layers
