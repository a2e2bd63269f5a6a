"""Frames: what links carry, in two sizes and no other.

A frame is a header of 16 bytes, a body whose length follows from (kind, class, depth), and zeros up to the size of
its class. The zeros are checked, so that a frame has one encoding.

Spec: docs/specs/link.md §2 and §3.
"""

from __future__ import annotations

from enum import IntEnum
from struct import Struct
from typing import NamedTuple

from onionpath.link.faults import Fault, FaultyPeerError
from onionpath.onion.geometry import FRAME_HEADER_SIZE, Geometry, SizeClass

_HEADER = Struct(">BBBBIQ")  # kind, class, depth, key generation, time slot, exchange id
_CALL_HEAD = Struct(">HBBI")  # service, reply class, zero, body length
_ANSWER_HEAD = Struct(">BBHI")  # status, zero, reason, body length
CALL_HEAD_SIZE = _CALL_HEAD.size


class Kind(IntEnum):
    """What a frame is for."""

    REQUEST = 1
    REPLY = 2
    REJECT = 3  # the one answer to every request that could not be opened or taken
    CALL = 4  # unsealed, to the neighbour itself
    ANSWER = 5  # to a call
    PING = 6
    PONG = 7
    GOING_AWAY = 8  # send nothing new; what is under way will be finished
    PADDING = 9
    CLAIM = 10  # "I am this relay": docs/specs/link.md §4
    CHALLENGE = 11
    PROOF = 12


_KINDS = {int(kind): kind for kind in Kind}
_CLASSES = tuple(SizeClass)


class Frame(NamedTuple):
    """One frame. A body that was read points into the reader's buffer and is valid until its next call."""

    kind: Kind
    size_class: SizeClass
    depth: int
    generation: int
    slot: int
    exchange_id: int
    body: bytes | memoryview


def encode_frame(
    geometry: Geometry,
    kind: Kind,
    body: bytes | memoryview = b"",
    *,
    size_class: SizeClass = SizeClass.SMALL,
    depth: int = 0,
    generation: int = 0,
    slot: int = 0,
    exchange_id: int = 0,
) -> bytes:
    """The bytes of one frame: exactly ``geometry.frame_size(size_class)``."""
    padding = geometry.frame_size(size_class) - FRAME_HEADER_SIZE - len(body)
    header = _HEADER.pack(kind, size_class, depth, generation, slot, exchange_id)
    return b"".join((header, body, bytes(padding)))


class FrameReader:
    """Cuts a byte stream into frames.

    ``feed`` what came, then ``next_frame`` until it gives None. What is incomplete waits inside, at most one feed
    and one frame long.
    """

    def __init__(self, geometry: Geometry) -> None:
        self._sizes = (geometry.small, geometry.large)
        self._body_sizes = _body_sizes(geometry)
        self._view = memoryview(b"")
        self._position = 0

    def feed(self, data: bytes | memoryview) -> None:
        """Append bytes that came over the link; they are copied only if a frame is cut in two."""
        rest = self._view[self._position :]
        self._view = memoryview(b"".join((rest, data))) if len(rest) else memoryview(data)
        self._position = 0

    def keep(self) -> None:
        """Copy what is left, because the buffer that was fed will be used for something else."""
        self._view = memoryview(bytes(self._view[self._position :]))
        self._position = 0

    def unread(self, waiting: int) -> None:
        """Go back to where ``waiting`` had this value, so that the frame comes again."""
        self._position = len(self._view) - waiting

    @property
    def waiting(self) -> int:
        """Bytes of a frame that isn't complete, or that nobody has asked for yet."""
        return len(self._view) - self._position

    def next_frame(self) -> Frame | None:
        """The next complete frame, or None.

        Raises:
            FaultyPeerError: no correct peer sends this; the link must be closed. ``.args[0]`` is the reason that
                is counted.
        """
        view, start = self._view, self._position
        if len(view) - start < FRAME_HEADER_SIZE:
            return None
        kind_code, class_code, depth, generation, slot, exchange_id = _HEADER.unpack_from(view, start)
        body_size = self._body_sizes.get((kind_code, class_code, depth))
        if body_size is None:
            raise FaultyPeerError(Fault.FRAME_UNKNOWN)
        if (generation or slot) and kind_code != 1:  # only a request has them
            raise FaultyPeerError(Fault.FRAME_HEADER_STRAY)
        end = start + self._sizes[class_code]
        if len(view) < end:
            return None
        body_end = start + FRAME_HEADER_SIZE + body_size
        if bytes(view[body_end:end]) != bytes(end - body_end):
            raise FaultyPeerError(Fault.FRAME_PADDING)
        self._position = end
        body = view[start + FRAME_HEADER_SIZE : body_end]
        return Frame(_KINDS[kind_code], _CLASSES[class_code], depth, generation, slot, exchange_id, body)


def _body_sizes(geometry: Geometry) -> dict[tuple[int, int, int], int]:
    """The length of the body for each legal kind, class and depth; what isn't here is malformed."""
    sizes = {(kind, SizeClass.SMALL, 0): size for kind, size in _FIXED_BODIES.items()}
    for size_class in SizeClass:
        for depth in range(geometry.hops):
            sizes[Kind.REQUEST, size_class, depth] = geometry.request_layer_size(size_class, depth)
            sizes[Kind.REPLY, size_class, depth] = geometry.reply_layer_size(size_class, depth)
        for kind in (Kind.CALL, Kind.ANSWER):
            sizes[kind, size_class, 0] = geometry.frame_size(size_class) - FRAME_HEADER_SIZE
    # Plain numbers: they are looked up for every frame, and an enum's hash is ten times as slow.
    return {(int(kind), int(size_class), depth): size for (kind, size_class, depth), size in sizes.items()}


# CLAIM: relay id, nonce. CHALLENGE: nonce. PROOF: signature. The others say all by their kind.
_FIXED_BODIES = {
    Kind.REJECT: 0,
    Kind.PING: 0,
    Kind.PONG: 0,
    Kind.GOING_AWAY: 0,
    Kind.PADDING: 0,
    Kind.CLAIM: 64,
    Kind.CHALLENGE: 32,
    Kind.PROOF: 64,
}


class CallBody(NamedTuple):
    """A call to the neighbour: which service, how large an answer, and the request."""

    service: int
    reply_class: SizeClass
    body: bytes


class AnswerBody(NamedTuple):
    """The answer to a call; codes as in a sealed reply's head."""

    status: int
    reason: int
    body: bytes


def call_capacity(geometry: Geometry, size_class: SizeClass) -> int:
    """The longest body of a call, or of an answer, in a frame of this class."""
    return geometry.frame_size(size_class) - FRAME_HEADER_SIZE - CALL_HEAD_SIZE


def encode_call(call: CallBody) -> bytes:
    """The body of a CALL frame, without its zeros."""
    return _CALL_HEAD.pack(call.service, call.reply_class, 0, len(call.body)) + call.body


def decode_call(body: bytes | memoryview) -> CallBody:
    """Read a CALL frame's body.

    Raises:
        FaultyPeerError: stray bytes, or a length that isn't there.
    """
    if len(body) < CALL_HEAD_SIZE:
        raise FaultyPeerError(Fault.CALL_LENGTH)
    service, reply_class, zero, length = _CALL_HEAD.unpack_from(body)
    if zero or reply_class > 1:
        raise FaultyPeerError(Fault.CALL_HEAD)
    return CallBody(service, _CLASSES[reply_class], _padded(body, length))


def encode_answer(answer: AnswerBody) -> bytes:
    """The body of an ANSWER frame, without its zeros."""
    return _ANSWER_HEAD.pack(answer.status, 0, answer.reason, len(answer.body)) + answer.body


def decode_answer(body: bytes | memoryview) -> AnswerBody:
    """Read an ANSWER frame's body.

    Raises:
        FaultyPeerError: stray bytes, or a length that isn't there.
    """
    if len(body) < CALL_HEAD_SIZE:
        raise FaultyPeerError(Fault.CALL_LENGTH)
    status, zero, reason, length = _ANSWER_HEAD.unpack_from(body)
    if zero:
        raise FaultyPeerError(Fault.ANSWER_HEAD)
    return AnswerBody(status, reason, _padded(body, length))


def _padded(body: bytes | memoryview, length: int) -> bytes:
    end = CALL_HEAD_SIZE + length
    if end > len(body) or bytes(body[end:]) != bytes(len(body) - end):
        raise FaultyPeerError(Fault.CALL_LENGTH)
    return bytes(body[CALL_HEAD_SIZE:end])
