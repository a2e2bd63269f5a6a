"""The senders, relays and answers of the native onion's vectors, made by the independent implementation."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import nacl.bindings

from tests.onion.independent import layers
from tests.onion.independent.hpke import KeyPair, grow

SLOT = 5_666_667
ANSWERED, RELAYED, REFUSED, EDGE_FAILED = 0, 1, 2, 3
SMALL, LARGE = 0, 1


def material(*name: object, size: int = 32) -> bytes:
    """Bytes that this name always gives."""
    return hashlib.shake_256(repr(name).encode()).digest(size)


NETWORK_ID = material("network")


@dataclass(frozen=True)
class Relay:
    """A hop, and all that its seed makes of it."""

    relay_id: bytes
    generation: int
    key_seed: bytes
    pair: KeyPair


@cache
def relay(depth: int) -> Relay:
    public, _ = nacl.bindings.crypto_sign_seed_keypair(material("identity", depth))
    seed = material("packet key", depth)
    return Relay(public, (250 + 3 * depth) % 256, seed, grow(seed))


@dataclass(frozen=True)
class Sending:
    """A packet that is to be made: everything a sender chooses."""

    hops: int
    request_class: int = SMALL
    reply_class: int = SMALL
    service: int = 1
    body: bytes = b"a call's body"

    @property
    def name(self) -> str:
        return f"{self.hops}-hops-{self.request_class}-{self.reply_class}"

    @property
    def idempotency_key(self) -> bytes:
        return material("idempotency", self.name, size=16)

    def seed(self, depth: int) -> bytes:
        return material("seed", self.name, depth)

    def eseed(self, depth: int) -> bytes:
        return material("eseed", self.name, depth, size=64)

    def context(self, depth: int) -> layers.Context:
        hop = relay(depth)
        return layers.Context(NETWORK_ID, hop.relay_id, SLOT, hop.generation, self.request_class, depth)

    def serve_head(self) -> bytes:
        last = self.hops - 1
        return layers.serve_head(
            self.reply_class, self.seed(last), self.service, self.idempotency_key, len(self.body)
        )

    def forward_head(self, depth: int) -> bytes:
        after = relay(depth + 1)
        return layers.forward_head(self.reply_class, after.generation, self.seed(depth), after.relay_id)

    def innermost(self) -> bytes:
        """The body, padded to capacity."""
        return self.body + bytes(layers.request_size(self.request_class, self.hops) - len(self.body))


def seal(path: Sending, depth: int, plain: bytes, /, **changes: Any) -> bytes:
    """Seal a plaintext for the relay at this depth, perhaps bound to something wrong."""
    context = replace(path.context(depth), **changes)
    return layers.seal_layer(
        relay(depth).pair.public, context, plain[:80], plain[80:], eseed=path.eseed(depth)
    )


@cache
def bytes_of_path(path: Sending) -> tuple[bytes, ...]:
    """The layer for each depth, the first relay's first."""
    made = [seal(path, path.hops - 1, path.serve_head() + path.innermost())]
    for depth in reversed(range(path.hops - 1)):
        made.insert(0, seal(path, depth, path.forward_head(depth) + made[0]))
    return tuple(made)


@dataclass(frozen=True)
class Answering:
    """A reply that is to be made: who speaks last, and what."""

    name: str
    hop: int
    status: int = ANSWERED
    reason: int = 0
    body: bytes = b""


def bytes_of_reply(path: Sending, answering: Answering) -> tuple[bytes, ...]:
    """The reply layer of each depth that speaks, the first relay's first."""
    made: list[bytes] = []
    inner, head = answering.body, (answering.status, answering.reason, hold_ms(answering.hop))
    for depth in reversed(range(answering.hop + 1)):
        inner = layers.seal_reply(
            path.seed(depth),
            inner,
            head=head,
            size_class=path.reply_class,
            depth=depth,
            nonce=nonce(path, answering, depth),
        )
        made.insert(0, inner)
        head = (RELAYED, 0, hold_ms(depth - 1))
    return tuple(made)


def hold_ms(depth: int) -> int:
    return 900 - 100 * depth


def nonce(path: Sending, answering: Answering, depth: int) -> bytes:
    return material("nonce", path.name, answering.name, depth, size=12)


def answers(path: Sending) -> list[Answering]:
    """One of each status, and the longest body that fits."""
    last = path.hops - 1
    capacity = layers.reply_size(path.reply_class, path.hops)
    return [
        Answering("answered", last, body=b"a reply's body"),
        Answering("answered-empty", last),
        Answering("answered-full", last, body=material("full", size=64) * (capacity // 64)),
        Answering("refused-by-the-last", last, REFUSED, 21),
        Answering("refused-by-the-first", 0, REFUSED, 22),
        Answering("edge-failed", last - 1, EDGE_FAILED, 3),
    ]


def good_paths() -> list[Sending]:
    small = [Sending(hops) for hops in (2, 3, 4, 5)]
    full = Sending(3, service=3, body=material("body", size=layers.request_size(SMALL, 3)), reply_class=LARGE)
    return [*small, full, Sending(3, LARGE, SMALL), Sending(2, LARGE, LARGE, body=b"")]
