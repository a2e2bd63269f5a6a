"""The bytes of the directory service, read and written by both ends. Spec: docs/specs/directory.md §8."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from onionpath.crypto.tags import digest
from onionpath.directory.descriptor import MAX_DESCRIPTOR_SIZE
from onionpath.directory.document import DIGEST_SIZE, MAX_NUMBER
from onionpath.directory.trust import MAX_VERSION
from onionpath.errors import MalformedError, RefusedError, UsageError

# Fixed by the specification (§8).
MAX_DIGESTS = 64  # per call: 2,056 bytes, so that the call fits a small request over five hops
MIN_PART = 1024  # bytes: whoever sends less per reply, although more is to come, only wants us to wait

_DOCUMENT_CALL = struct.Struct(">B3xIQQ")
_DESCRIPTORS_CALL = struct.Struct(">BB2xI")
_PUBLISH_CALL = struct.Struct(">B3xII32s")
_SUCCESSIONS_CALL = struct.Struct(">BB2xI")
_REPLY_HEAD = struct.Struct(">B3xIIQ")
REPLY_HEAD_SIZE = _REPLY_HEAD.size  # 20 bytes
PUBLISH_HEAD_SIZE = _PUBLISH_CALL.size  # 44 bytes


class Kind(IntEnum):
    """What a call asks."""

    DOCUMENT = 1
    DESCRIPTORS = 2
    PUBLISH = 3
    SUCCESSIONS = 4
    DIFFERENCE = 5


class Outcome(IntEnum):
    """How a reply answers."""

    CONTENT = 0  # a part of the content follows
    UNCHANGED = 1  # there is nothing newer than what is known
    CHANGED = 2  # the wanted number isn't served any more, or nothing leads there from the known one
    MISSING = 3  # this relay has no document
    ACCEPTED = 4  # a part of a descriptor was taken
    REFUSED = 5  # the descriptor wasn't


@dataclass(frozen=True, slots=True)
class DocumentCall:
    """Ask for the newest document unless it is ``known``, or for more of the ``wanted`` one; 0 is none."""

    known: int = 0
    wanted: int = 0
    offset: int = 0

    def encode(self) -> bytes:
        return _DOCUMENT_CALL.pack(Kind.DOCUMENT, self.offset, self.known, self.wanted)


@dataclass(frozen=True, slots=True)
class DifferenceCall:
    """Ask for what leads from the ``known`` document to the newest, or for more of what leads to ``wanted``."""

    known: int
    wanted: int = 0
    offset: int = 0

    def encode(self) -> bytes:
        return _DOCUMENT_CALL.pack(Kind.DIFFERENCE, self.offset, self.known, self.wanted)


@dataclass(frozen=True, slots=True)
class DescriptorsCall:
    """Ask for up to 64 descriptors by digest."""

    digests: tuple[bytes, ...]
    offset: int = 0

    def encode(self) -> bytes:
        head = _DESCRIPTORS_CALL.pack(Kind.DESCRIPTORS, len(self.digests), self.offset)
        return head + b"".join(self.digests)


@dataclass(frozen=True, slots=True)
class PublishCall:
    """Hand over a part of a descriptor's envelope, which has ``total`` bytes and this digest."""

    digest: bytes
    total: int
    offset: int
    part: bytes

    def encode(self) -> bytes:
        return _PUBLISH_CALL.pack(Kind.PUBLISH, self.offset, self.total, self.digest) + self.part


@dataclass(frozen=True, slots=True)
class SuccessionsCall:
    """Ask for the successions that lead on from this version of the trust root."""

    version: int
    offset: int = 0

    def encode(self) -> bytes:
        return _SUCCESSIONS_CALL.pack(Kind.SUCCESSIONS, self.version, self.offset)


DirectoryCall = DocumentCall | DifferenceCall | DescriptorsCall | PublishCall | SuccessionsCall


def decode_call(body: bytes) -> DirectoryCall:
    """Read a call.

    Raises:
        MalformedError: it is none, or one of its fields is out of range.
    """
    try:
        match body[:1]:
            case b"\x01":
                call: DirectoryCall = _decode_document(body)
            case b"\x02":
                call = _decode_descriptors(body)
            case b"\x03":
                call = _decode_publish(body)
            case b"\x04":
                call = _decode_successions(body)
            case b"\x05":
                call = _decode_difference(body)
            case _:
                raise MalformedError("a call to the directory has an unknown kind")
    except struct.error as error:
        raise MalformedError("a call to the directory has a wrong length") from error
    # Writing it again shows whether the bytes that must be zero are.
    if call.encode() != body:
        raise MalformedError("a call to the directory has bytes that must be zero, or too many")
    return call


@dataclass(frozen=True, slots=True)
class DirectoryReply:
    """A part of the content from ``offset`` on; ``total`` is the whole content's length."""

    outcome: Outcome
    total: int = 0
    offset: int = 0
    number: int = 0
    part: bytes = b""

    def encode(self) -> bytes:
        return _REPLY_HEAD.pack(self.outcome, self.total, self.offset, self.number) + self.part


def decode_reply(body: bytes) -> DirectoryReply:
    """Read a reply.

    Raises:
        MalformedError: wrong form, a part beyond the content's end, or a small part that isn't the last.
    """
    if len(body) < REPLY_HEAD_SIZE:
        raise MalformedError("a reply of the directory is too short")
    outcome, total, offset, number = _REPLY_HEAD.unpack_from(body)
    if outcome not in set(Outcome) or number > MAX_NUMBER:
        raise MalformedError("a reply of the directory has an unknown status or number")
    reply = DirectoryReply(Outcome(outcome), total, offset, number, body[REPLY_HEAD_SIZE:])
    end = offset + len(reply.part)
    if reply.encode() != body or end > total or (reply.outcome is not Outcome.CONTENT and total):
        raise MalformedError("a reply of the directory contradicts itself")
    if reply.outcome is Outcome.CONTENT and (not reply.part or (end < total and len(reply.part) < MIN_PART)):
        raise MalformedError("a reply of the directory makes too little progress")
    return reply


def part_of(content: bytes, *, offset: int, capacity: int, number: int = 0) -> DirectoryReply:
    """The reply with as much of the content from ``offset`` as fits ``capacity`` bytes, head included.

    Raises:
        MalformedError: there is nothing at this offset.
        UsageError: the capacity has no room for a part.
    """
    if offset >= len(content):
        raise MalformedError("a call to the directory asks beyond the end")
    if capacity < REPLY_HEAD_SIZE + MIN_PART:
        raise UsageError(f"a reply of {capacity} bytes cannot carry a part of the directory")
    part = content[offset : offset + capacity - REPLY_HEAD_SIZE]
    return DirectoryReply(Outcome.CONTENT, len(content), offset, number, part)


def publish_calls(envelope: bytes, *, capacity: int) -> list[bytes]:
    """The bodies of the calls, to be made in this order over one link, that hand a descriptor over.

    Args:
        capacity: the longest body of a call, in bytes.
    """
    size = capacity - PUBLISH_HEAD_SIZE
    if size < 1:
        raise UsageError(f"a call of {capacity} bytes cannot carry a part of a descriptor")
    name = digest(envelope)
    return [
        PublishCall(name, len(envelope), offset, envelope[offset : offset + size]).encode()
        for offset in range(0, len(envelope), size)
    ]


def check_published(body: bytes) -> None:
    """Read the reply to one of ``publish_calls``.

    Raises:
        RefusedError: the descriptor was refused, or nobody collects descriptors there.
        MalformedError: this is no such reply.
    """
    match decode_reply(body).outcome:
        case Outcome.ACCEPTED:
            return
        case Outcome.REFUSED:
            raise RefusedError("the descriptor was refused", reason="descriptor-refused")
        case _:
            raise MalformedError("a descriptor was answered with something else")


def _decode_document(body: bytes) -> DocumentCall:
    _, offset, known, wanted = _DOCUMENT_CALL.unpack(body)
    if max(known, wanted) > MAX_NUMBER:
        raise MalformedError("a document's number is out of range")
    return DocumentCall(known, wanted, offset)


def _decode_difference(body: bytes) -> DifferenceCall:
    _, offset, known, wanted = _DOCUMENT_CALL.unpack(body)
    if not 1 <= known <= MAX_NUMBER or wanted > MAX_NUMBER:
        raise MalformedError("a document's number is out of range")
    return DifferenceCall(known, wanted, offset)


def _decode_descriptors(body: bytes) -> DescriptorsCall:
    _, count, offset = _DESCRIPTORS_CALL.unpack_from(body)
    rest = body[_DESCRIPTORS_CALL.size :]
    if not 1 <= count <= MAX_DIGESTS or len(rest) != count * DIGEST_SIZE:
        raise MalformedError(f"a call asks for 1 to {MAX_DIGESTS} descriptors")
    return DescriptorsCall(_split(rest), offset)


def _decode_publish(body: bytes) -> PublishCall:
    _, offset, total, name = _PUBLISH_CALL.unpack_from(body)
    part = body[PUBLISH_HEAD_SIZE:]
    if not part or total > MAX_DESCRIPTOR_SIZE or offset + len(part) > total:
        raise MalformedError("a part of a descriptor is empty or ends beyond its total")
    return PublishCall(name, total, offset, part)


def _decode_successions(body: bytes) -> SuccessionsCall:
    _, version, offset = _SUCCESSIONS_CALL.unpack(body)
    if not 1 <= version <= MAX_VERSION:
        raise MalformedError(f"a trust root has a version of 1 to {MAX_VERSION}, not {version}")
    return SuccessionsCall(version, offset)


def _split(digests: bytes) -> tuple[bytes, ...]:
    starts: Sequence[int] = range(0, len(digests), DIGEST_SIZE)
    return tuple(digests[start : start + DIGEST_SIZE] for start in starts)
