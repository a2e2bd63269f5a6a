"""One authority asks another what it has: questions, replies, and a visit that puts them together.

Both ends are pure; who carries the bytes, and for how long at most, is the driver's.
Spec: docs/specs/authorities.md §6.
"""

from __future__ import annotations

import struct
from collections import deque
from dataclasses import dataclass, field
from enum import IntEnum

from onionpath.crypto.tags import digest
from onionpath.directory.document import DIGEST_SIZE, MAX_DOCUMENT_SIZE
from onionpath.errors import MalformedError, UsageError
from onionpath.injected import UnixTime
from relay.authority.actions import NOTHING, Actions
from relay.authority.agreement import Agreement
from relay.authority.bulletin import MAX_BULLETIN_SIZE, Bulletin, decode_bulletin

# Fixed by the specification (§6).
MAX_QUESTIONS = 2048
MAX_VISIT_BYTES = 64 * 1024 * 1024
MIN_PART = 1024  # bytes: whoever sends less, although more is to come, only wants us to wait

_QUESTION = struct.Struct(">B3xI32s")
_REPLY_HEAD = struct.Struct(">B3xI32s")
REPLY_HEAD_SIZE = _REPLY_HEAD.size  # 40 bytes
NO_DIGEST = bytes(DIGEST_SIZE)


class Kind(IntEnum):
    """What a question asks."""

    BULLETIN = 1
    CONTENT = 2


class Outcome(IntEnum):
    """How a reply answers."""

    CONTENT = 0  # a part of the content follows
    UNCHANGED = 1  # the bulletin is the one that the visitor has
    MISSING = 2  # it isn't here


@dataclass(frozen=True, slots=True)
class Question:
    """Ask for a bulletin unless it has this digest, or for a part of a content."""

    kind: Kind
    digest: bytes = NO_DIGEST
    offset: int = 0

    def encode(self) -> bytes:
        """40 bytes."""
        return _QUESTION.pack(self.kind, self.offset, self.digest)


@dataclass(frozen=True, slots=True)
class Reply:
    """A part of a content that has ``total`` bytes, or why there is none."""

    outcome: Outcome
    total: int = 0
    digest: bytes = NO_DIGEST
    part: bytes = field(default=b"", repr=False)

    def encode(self) -> bytes:
        """40 bytes and the part."""
        return _REPLY_HEAD.pack(self.outcome, self.total, self.digest) + self.part


def decode_question(body: bytes) -> Question:
    """Read a question.

    Raises:
        MalformedError: it is none.
    """
    try:
        kind, offset, name = _QUESTION.unpack(body)
        question = Question(Kind(kind), name, offset)
    except (struct.error, ValueError) as error:
        raise MalformedError("a question between authorities has a wrong length or kind") from error
    if question.encode() != body or (question.kind is Kind.BULLETIN and offset):
        raise MalformedError("a question between authorities is not zero where it must be")
    return question


def asks_for_bulletin(body: bytes) -> bool:
    """Whether the reply to a question of ours is probably short."""
    return body[0] == Kind.BULLETIN


def decode_reply(body: bytes) -> Reply:
    """Read a reply.

    Raises:
        MalformedError: it is none.
    """
    try:
        outcome, total, name = _REPLY_HEAD.unpack_from(body)
        reply = Reply(Outcome(outcome), total, name, body[REPLY_HEAD_SIZE:])
    except (struct.error, ValueError) as error:
        raise MalformedError("a reply between authorities has a wrong length or status") from error
    is_empty = (total, name, reply.part) == (0, NO_DIGEST, b"")
    if reply.encode() != body or (reply.outcome is not Outcome.CONTENT and not is_empty):
        raise MalformedError("a reply between authorities is not zero where it must be")
    return reply


def answer(agreement: Agreement, body: bytes, *, room: int) -> bytes:
    """Reply to a visitor's question.

    Args:
        room: bytes that the reply may have.

    Raises:
        MalformedError: it is no question.
        UsageError: the room is too small for any part.
    """
    if room < REPLY_HEAD_SIZE + MIN_PART:
        raise UsageError(f"a reply between authorities needs {REPLY_HEAD_SIZE + MIN_PART} bytes of room")
    question = decode_question(body)
    is_bulletin = question.kind is Kind.BULLETIN
    content = agreement.bulletin() if is_bulletin else agreement.content(question.digest)
    if content is None or question.offset >= len(content):
        return Reply(Outcome.MISSING).encode()
    name = digest(content) if is_bulletin else question.digest
    if is_bulletin and name == question.digest:
        return Reply(Outcome.UNCHANGED).encode()
    return part_of(content, Question(question.kind, name, question.offset), room=room)


def part_of(content: bytes, question: Question, *, room: int) -> bytes:
    """The reply with as much of a content as there is room for, from the question's offset on."""
    part = content[question.offset : question.offset + room - REPLY_HEAD_SIZE]
    return Reply(Outcome.CONTENT, len(content), question.digest, part).encode()


@dataclass(frozen=True, slots=True)
class Taken:
    """A bulletin that was taken in full, by digest, and what ours was then: the same need not be taken twice.

    Ours counts, because what told us nothing before we signed, or in another number, may tell us something now.
    """

    theirs: bytes
    ours: bytes


class Visit:
    """A visitor's side: ask what ``question`` says, ``take`` the reply, until there is no question left.

    Args:
        last: ``taken`` of the last visit there.
    """

    def __init__(self, agreement: Agreement, *, last: Taken | None = None) -> None:
        self._agreement = agreement
        self._taken = last if last and last.ours == digest(agreement.bulletin()) else None
        known = self._taken.theirs if self._taken else NO_DIGEST
        self._question: Question | None = Question(Kind.BULLETIN, known)
        self._asked = 0
        self._bytes = 0
        self._parts = b""
        self._total = 0
        self._bulletin: Bulletin | None = None
        self._name = NO_DIGEST
        self._queue: deque[bytes] = deque()
        self._wanted: set[bytes] = set()
        self._contents: dict[bytes, bytes] = {}

    @property
    def question(self) -> bytes | None:
        """What to ask next; None when the visit is over."""
        return None if self._question is None else self._question.encode()

    @property
    def taken(self) -> Taken | None:
        """What the next visit there begins with; None if something is still lacking."""
        return self._taken

    @property
    def _may_ask(self) -> bool:
        return self._asked < MAX_QUESTIONS and self._bytes < MAX_VISIT_BYTES

    def take(self, body: bytes, now: UnixTime) -> Actions:
        """Take the reply to ``question``.

        Raises:
            MalformedError, DirectoryError: no honest authority replies so; the visit is over.
            UsageError: nothing was asked.
        """
        question, self._question = self._question, None
        if question is None:
            raise UsageError("this visit is over")
        reply = decode_reply(body)
        self._asked += 1
        self._bytes += len(body)
        match reply.outcome:
            case Outcome.UNCHANGED:
                self._check(question.kind is Kind.BULLETIN)
                return NOTHING
            case Outcome.MISSING:
                return self._go_on(now)
            case Outcome.CONTENT:
                return self._take_part(question, reply, now)

    def _take_part(self, question: Question, reply: Reply, now: UnixTime) -> Actions:
        is_first = question.offset == 0
        self._total = reply.total if is_first else self._total
        self._parts = reply.part if is_first else self._parts + reply.part
        limit = MAX_DOCUMENT_SIZE if self._bulletin else MAX_BULLETIN_SIZE
        is_asked = question.kind is Kind.BULLETIN or reply.digest == question.digest
        self._check(is_asked and reply.total == self._total <= limit and len(self._parts) <= self._total)
        if len(self._parts) == self._total:
            return self._take_content(reply.digest, now)
        self._check(len(reply.part) >= MIN_PART)
        if not self._may_ask:
            return self._merge(now)
        self._question = Question(Kind.CONTENT, reply.digest, len(self._parts))
        return NOTHING

    def _take_content(self, name: bytes, now: UnixTime) -> Actions:
        content, self._parts = self._parts, b""
        if self._bulletin is not None:
            self._contents[name] = content
            return self._go_on(now)
        self._check(digest(content) == name)
        self._bulletin = decode_bulletin(content)
        self._name = name
        return self._merge(now)

    def _go_on(self, now: UnixTime) -> Actions:
        if self._ask_next() or not self._contents:
            return NOTHING
        return self._merge(now)

    def _merge(self, now: UnixTime) -> Actions:
        if self._bulletin is None:
            return NOTHING
        contents, self._contents = self._contents, {}
        actions = self._agreement.merge(self._bulletin, now, contents)
        self._queue.extend(wanted for wanted in actions.wanted if wanted not in self._wanted)
        self._wanted.update(self._queue)
        # What is lacking may have come there by the next time.
        ours = digest(self._agreement.bulletin())
        self._taken = None if actions.wanted else Taken(self._name, ours)
        self._ask_next()
        return actions

    def _ask_next(self) -> bool:
        if self._queue and self._may_ask:
            self._question = Question(Kind.CONTENT, self._queue.popleft())
        return self._question is not None

    def _check(self, holds: bool) -> None:
        if not holds:
            raise MalformedError("a reply between authorities does not fit its question")
