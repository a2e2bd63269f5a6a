"""Packets and replies that are right but for one thing, each named for it.

``SHUT`` and ``MALFORMED`` are the two ways in which they are refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from tests.onion.independent import layers
from tests.vectors.onion_native_packets import (
    ANSWERED,
    EDGE_FAILED,
    LARGE,
    REFUSED,
    RELAYED,
    SLOT,
    SMALL,
    Sending,
    answers,
    bytes_of_path,
    bytes_of_reply,
    material,
    relay,
    seal,
)

# Bad requests: the last layer of five hops with one defect each. "does-not-open" and "malformed" are the two answers.

DEEP = Sending(5)
SHUT, MALFORMED = "does-not-open", "malformed"


def changed(data: bytes, at: int, value: bytes) -> bytes:
    return data[:at] + value + data[at + len(value) :]


def flipped(data: bytes, at: int) -> bytes:
    return changed(data, at % len(data), bytes([data[at] ^ 1]))


def sealed_with(**changes: Any) -> bytes:
    return seal(DEEP, 4, DEEP.serve_head() + DEEP.innermost(), **changes)


def plain_with(at: int, value: bytes) -> bytes:
    return seal(DEEP, 4, changed(DEEP.serve_head() + DEEP.innermost(), at, value))


def forward_with(at: int, value: bytes) -> bytes:
    path = Sending(5)
    return seal(path, 3, changed(path.forward_head(3) + bytes_of_path(path)[4], at, value))


def bad_requests() -> Iterator[tuple[str, int, str, bytes]]:
    """Name, depth at which it is peeled, how it is refused, and the layer."""
    right = sealed_with()
    size = len(right)
    for name, layer in {
        "mlkem-ciphertext-flipped": flipped(right, 500),
        "ephemeral-flipped": flipped(right, 1100),
        "ephemeral-alias-bit-255": changed(right, 1119, bytes([right[1119] ^ 0x80])),
        "ephemeral-small-order": changed(right, 1088, bytes(32)),
        "head-flipped": flipped(right, 1120),
        "body-flipped": flipped(right, 2000),
        "tag-flipped": flipped(right, size - 1),
        "wrong-network": sealed_with(network_id=material("another network")),
        "wrong-relay": sealed_with(relay_id=relay(0).relay_id),
        "wrong-slot": sealed_with(slot=SLOT + 1),
        "wrong-generation": sealed_with(generation=relay(4).generation ^ 1),
        "wrong-class": sealed_with(size_class=LARGE),
        "wrong-depth": sealed_with(depth=3),
        "all-zero": bytes(size),
    }.items():
        yield name, 4, SHUT, layer
    for name, layer in {
        "one-byte-short": right[:-1],
        "trailing-byte": right + b"\0",
        "empty": b"",
        "kind-zero": plain_with(0, b"\0"),
        "kind-unknown": plain_with(0, b"\3"),
        "flag-set": plain_with(1, b"\1"),
        "reply-class-unknown": plain_with(2, b"\2"),
        "serve-generation-set": plain_with(3, b"\1"),
        "serve-zeros-after-service-set": plain_with(39, b"\1"),
        "serve-zeros-at-the-end-set": plain_with(79, b"\1"),
        "length-too-long": plain_with(56, (len(DEEP.innermost()) + 1).to_bytes(4, "big")),
        "length-largest": plain_with(56, b"\xff" * 4),
        "padding-not-zero": plain_with(80 + len(DEEP.body), b"\1"),
        "last-byte-of-padding-not-zero": plain_with(80 + len(DEEP.innermost()) - 1, b"\1"),
        "forward-at-the-last-depth": plain_with(0, Sending(6).forward_head(4)),
    }.items():
        yield name, 4, MALFORMED, layer
    for name, layer in {
        "forward-flag-set": forward_with(1, b"\x80"),
        "forward-reply-class-unknown": forward_with(2, b"\xff"),
        "forward-zeros-set": forward_with(79, b"\1"),
    }.items():
        yield name, 3, MALFORMED, layer


# Bad replies: of the last hop alone, whose layer stands in an otherwise good chain of two hops.

TWO = Sending(2)


def last_reply(plain_head: bytes, body: bytes = b"") -> bytes:
    padded = body + bytes(layers.reply_size(SMALL, 2) - len(body))
    return layers.seal_reply_plain(TWO.seed(1), plain_head + padded, nonce=material("bad nonce", size=12))


def first_reply(inner: bytes, head: bytes | None = None) -> bytes:
    plain = head or layers.reply_plain(RELAYED, 0, 7, len(inner))
    padded = inner + bytes(layers.reply_size(SMALL, 1) - len(inner))
    return layers.seal_reply_plain(TWO.seed(0), plain + padded, nonce=material("nonce", size=12))


def bad_replies() -> Iterator[tuple[str, str, int, bytes]]:
    """Name, how it is refused, the hop that is named, and the outermost layer."""
    capacity = layers.reply_size(SMALL, 2)
    plain: Callable[..., bytes] = layers.reply_plain
    right = first_reply(last_reply(plain(ANSWERED, 0, 5, 4), b"body"))
    yield "reply-tag-flipped", SHUT, 0, flipped(right, len(right) - 1)
    yield "reply-nonce-flipped", SHUT, 0, flipped(right, 0)
    yield "reply-of-another-packet", SHUT, 0, bytes_of_reply(Sending(3), answers(Sending(3))[0])[0]
    yield "reply-inner-tag-flipped", SHUT, 1, first_reply(flipped(last_reply(plain(ANSWERED, 0, 5, 0)), 60))
    yield "reply-short", MALFORMED, 0, right[:-1]
    yield "reply-long", MALFORMED, 0, right + b"\0"
    for name, head, body in (
        ("reply-status-unknown", plain(4, 0, 5, 0), b""),
        ("reply-reason-unknown", plain(REFUSED, 8, 5, 0), b""),
        ("reply-answered-with-a-reason", plain(ANSWERED, 21, 5, 0), b""),
        ("reply-refused-without-a-reason", plain(REFUSED, 0, 5, 0), b""),
        ("reply-refused-with-a-body", plain(REFUSED, 21, 5, 1), b"x"),
        ("reply-flag-set", plain(ANSWERED, 0, 5, 0, flags=1), b""),
        ("reply-zeros-set", plain(ANSWERED, 0, 5, 0)[:-1] + b"\1", b""),
        ("reply-length-too-long", plain(ANSWERED, 0, 5, capacity + 1), b""),
        ("reply-padding-not-zero", plain(ANSWERED, 0, 5, 0), b"x"),
        ("reply-last-padding-byte-not-zero", plain(ANSWERED, 0, 5, 0), bytes(capacity - 1) + b"x"),
        ("reply-relayed-by-the-last", plain(RELAYED, 0, 5, capacity), b""),
        ("reply-edge-failed-by-the-last", plain(EDGE_FAILED, 3, 5, 0), b""),
    ):
        yield name, MALFORMED, 1, first_reply(last_reply(head, body))
    yield "reply-relayed-but-short", MALFORMED, 0, first_reply(b"", plain(RELAYED, 0, 7, 0))
