"""The native onion as docs/specs/onion-native.md tells it, and nothing else: a second implementation.

It imports nothing from onionpath, so that an error in ours and a misunderstanding of the specification show
as a difference. Fields are cut by offset, as the tables of the specification give them.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.onion.independent.hpke import (
    AES_256_GCM,
    DoesNotOpenError,
    KeyPair,
    aead_open,
    aead_seal,
    hkdf_expand,
    open_sealed,
    seal,
)

CLASS_SIZES = (8192, 131072)
STATUSES = {0: "answered", 1: "relayed", 2: "refused", 3: "edge-failed"}
EDGE_REASONS, REFUSAL_REASONS = range(1, 8), (*range(16, 23), *range(32, 41))


class BreaksSpecificationError(Exception):
    """It opened, and its sender does not follow the specification."""


@dataclass(frozen=True)
class Context:
    """What a layer's seal is bound to (§3.2)."""

    network_id: bytes
    relay_id: bytes
    slot: int
    generation: int
    size_class: int
    depth: int

    @property
    def info(self) -> bytes:
        return (
            b"onionpath/1 layer"
            + self.network_id
            + self.relay_id
            + self.slot.to_bytes(4, "big")
            + bytes([self.generation, self.size_class, self.depth])
        )


@dataclass(frozen=True)
class Opened:
    """The head of an opened layer and what follows it."""

    kind: str
    reply_class: int
    seed: bytes
    rest: bytes
    next_generation: int = 0
    next_relay: bytes = b""
    service: int = 0
    idempotency_key: bytes = b""


@dataclass(frozen=True)
class Head:
    """The head of a reply layer."""

    status: str
    reason: int
    hold_ms: int


def _insist(holds: bool, what: str) -> None:
    if not holds:
        raise BreaksSpecificationError(what)


def request_size(size_class: int, depth: int) -> int:
    """Bytes of the layer that the relay at this depth receives (§2)."""
    return CLASS_SIZES[size_class] - 16 - 1216 * depth


def reply_size(size_class: int, depth: int) -> int:
    """Bytes of the reply layer that the relay at this depth sends (§2)."""
    return CLASS_SIZES[size_class] - 16 - 48 * depth


def forward_head(reply_class: int, generation: int, seed: bytes, next_relay: bytes) -> bytes:
    return bytes([1, 0, reply_class, generation]) + seed + next_relay + bytes(12)


def serve_head(reply_class: int, seed: bytes, service: int, key: bytes, length: int) -> bytes:
    head = bytes([2, 0, reply_class, 0]) + seed + service.to_bytes(2, "big") + bytes(2) + key
    return head + length.to_bytes(4, "big") + bytes(20)


def seal_layer(public: bytes, context: Context, head: bytes, rest: bytes, *, eseed: bytes) -> bytes:
    return seal(public, head + rest, context.info, eseed=eseed)


def open_layer(pair: KeyPair, context: Context, layer: bytes, *, hops: int) -> Opened:
    """Peel one layer (§4)."""
    _insist(len(layer) == request_size(context.size_class, context.depth), "layer length")
    plain = open_sealed(pair, layer, context.info)
    kind, flags, reply_class, generation, seed = plain[0], plain[1], plain[2], plain[3], plain[4:36]
    _insist(flags == 0, "flag")
    _insist(reply_class in (0, 1), "reply class")
    if kind == 1:
        _insist(plain[68:80] == bytes(12), "zeros of a forward head")
        _insist(context.depth + 1 < hops, "depth")
        return Opened("forward", reply_class, seed, plain[80:], generation, plain[36:68])
    _insist(kind == 2, "kind")
    _insist(
        generation == 0 and plain[38:40] == bytes(2) and plain[60:80] == bytes(20), "zeros of a serve head"
    )
    length = int.from_bytes(plain[56:60], "big")
    body = plain[80:]
    _insist(length <= len(body), "body length")
    _insist(not any(body[length:]), "padding of the body")
    service = int.from_bytes(plain[36:38], "big")
    return Opened("serve", reply_class, seed, body[:length], service=service, idempotency_key=plain[40:56])


def reply_key(seed: bytes) -> bytes:
    return hkdf_expand("sha256", seed, b"onionpath/1 reply", 32)


def seal_reply_plain(seed: bytes, plain: bytes, *, nonce: bytes) -> bytes:
    """Seal any plaintext as a reply layer; vectors with a defect need one that no relay would send."""
    return nonce + aead_seal(AES_256_GCM, reply_key(seed), nonce, plain)


def reply_plain(status: int, reason: int, hold_ms: int, length: int, *, flags: int = 0) -> bytes:
    numbers = reason.to_bytes(2, "big") + hold_ms.to_bytes(4, "big") + length.to_bytes(4, "big")
    return bytes([status, flags]) + numbers + bytes(8)


def seal_reply(
    seed: bytes, inner: bytes, *, head: tuple[int, int, int], size_class: int, depth: int, nonce: bytes
) -> bytes:
    """A reply layer of (status, reason, hold_ms) around a body or the next hop's layer (§5)."""
    padded = inner + bytes(reply_size(size_class, depth + 1) - len(inner))
    return seal_reply_plain(seed, reply_plain(*head, len(inner)) + padded, nonce=nonce)


def open_reply(seeds: list[bytes], size_class: int, layer: bytes) -> tuple[int, list[Head], bytes]:
    """The hop that spoke last, all heads, and the body (§5.4)."""
    _insist(len(layer) == reply_size(size_class, 0), "reply length")
    heads: list[Head] = []
    for hop, seed in enumerate(seeds):
        plain = aead_open(AES_256_GCM, reply_key(seed), layer[:12], layer[12:])
        head, layer = _reply_head(plain, is_last=hop == len(seeds) - 1)
        heads.append(head)
        if head.status != "relayed":
            return hop, heads, layer
    raise DoesNotOpenError  # the last hop cannot say "relayed"; _reply_head has refused it


def _reply_head(plain: bytes, *, is_last: bool) -> tuple[Head, bytes]:
    status, reason = STATUSES.get(plain[0], ""), int.from_bytes(plain[2:4], "big")
    length, body = int.from_bytes(plain[8:12], "big"), plain[20:]
    _insist(status != "", "status")
    _insist(plain[1] == 0 and plain[12:20] == bytes(8), "zeros of a reply head")
    _insist(length <= len(body) and not any(body[length:]), "padding of a reply")
    if status in ("answered", "relayed"):
        _insist(reason == 0, "reason of a success")
    else:
        _insist(length == 0 and reason in (*EDGE_REASONS, *REFUSAL_REASONS), "reason of a failure")
    _insist(status != "relayed" or length == len(body), "length of a relayed reply")
    _insist(not (is_last and status in ("relayed", "edge-failed")), "status of the last hop")
    return Head(status, reason, int.from_bytes(plain[4:8], "big")), body[:length]
