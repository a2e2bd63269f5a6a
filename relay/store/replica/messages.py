"""What members of a swarm ask each other over the service REPLICA: values, and the forms in which they travel.

Each message is a MessagePack array: the sender's document number, its clock in milliseconds, and the question or
answer, an array that begins with its name. Spec: docs/specs/replication.md §6.
"""

from __future__ import annotations

from typing import Annotated, TypeVar

import msgspec

from onionpath.errors import MalformedError
from onionpath.swarm.arcs import BUCKETS, Arc
from onionpath.swarm.operations import AccountId, Version
from onionpath.swarm.parts import Failed
from onionpath.swarm.reconciliation import BucketDigest, Key, Kind, Row, Standing

MAX_STANDINGS = 1_000  # in one answer: some 120 KB
MAX_ROWS_SIZE = 1024 * 1024  # bytes of data in one message, unless it is one row
MAX_REQUEST_SIZE = 4 * 1024 * 1024
MAX_PART_SIZE = 4 * 1024 * 1024
MAX_TOUCHED = 20_000  # an account has 10,000 messages, and up to twice as many while replicas differ

Count = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
_Signed = Annotated[int, msgspec.Meta(ge=-(2**62), le=2**62)]
_KINDS = tuple(Kind)
_Position = Annotated[bytes, msgspec.Meta(min_length=8, max_length=8)]


class Form(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """An array of exactly these fields."""

    # Whose messages these are belongs into no log.
    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


class KeyForm(Form, frozen=True):
    """A ``Key``."""

    account: Annotated[bytes, msgspec.Meta(min_length=33, max_length=33)]
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]

    @classmethod
    def of(cls, key: Key) -> KeyForm:
        """To be sent."""
        return cls(key.account, key.name)

    def value(self) -> Key:
        """What was sent."""
        return Key(AccountId(self.account), self.name)


class StandingForm(Form, frozen=True):
    """A ``Standing``."""

    key: KeyForm
    kind: Annotated[int, msgspec.Meta(ge=int(min(Kind)), le=int(max(Kind)))]
    version: Count
    expiry_version: Count
    expiry_ms: _Signed
    timestamp_ms: _Signed

    @classmethod
    def of(cls, each: Standing) -> StandingForm:
        """To be sent."""
        key, kind = KeyForm.of(each.key), int(each.kind)
        return cls(key, kind, each.version, each.expiry_version, each.expiry_ms, each.timestamp_ms)

    def value(self) -> Standing:
        """What was sent."""
        versions = Version(self.version), Version(self.expiry_version)
        return Standing(self.key.value(), _KINDS[self.kind], *versions, self.expiry_ms, self.timestamp_ms)


class RowForm(Form, frozen=True):
    """A ``Row``."""

    standing: StandingForm
    namespace: Annotated[int, msgspec.Meta(ge=-(2**15), lt=2**15)]
    until_ms: _Signed
    data: Annotated[bytes, msgspec.Meta(max_length=2**17)] | None

    @classmethod
    def of(cls, row: Row) -> RowForm:
        """To be sent."""
        return cls(StandingForm.of(row.standing), row.namespace, row.until_ms, row.data)

    def value(self) -> Row:
        """What was sent."""
        return Row(self.standing.value(), self.namespace, self.until_ms, self.data)


class ArcForm(Form, frozen=True):
    """An ``Arc``: its first and its last position."""

    first: _Position
    last: _Position

    @classmethod
    def of(cls, arc: Arc) -> ArcForm:
        """To be sent."""
        return cls(arc.start.to_bytes(8, "big"), (arc.end - 1).to_bytes(8, "big"))

    def value(self) -> Arc:
        """What was sent."""
        arc = Arc(int.from_bytes(self.first, "big"), int.from_bytes(self.last, "big") + 1)
        if arc.start >= arc.end:
            raise MalformedError("an arc is empty")
        return arc


class DigestForm(Form, frozen=True):
    """A ``BucketDigest``."""

    bucket: Annotated[int, msgspec.Meta(ge=0, lt=BUCKETS)]
    rows: Count
    digest: Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]

    @classmethod
    def of(cls, each: BucketDigest) -> DigestForm:
        """To be sent."""
        return cls(each.bucket, each.rows, each.digest)

    def value(self) -> BucketDigest:
        """What was sent."""
        return BucketDigest(self.bucket, self.rows, self.digest)


# Questions.


class Question(Form, frozen=True, tag=True):
    """What a member asks another."""


class Change(Question, frozen=True, tag="change"):
    """Judge this request and make its change.

    Args:
        members: ``name_of`` those whom the first takes for the account's.
        request: as ``onionpath.swarm.forwarding`` writes it.
    """

    members: Annotated[bytes, msgspec.Meta(min_length=8, max_length=8)]
    request: Annotated[bytes, msgspec.Meta(max_length=MAX_REQUEST_SIZE)]


class Compare(Question, frozen=True, tag="compare"):
    """Which of your digests of an arc differ from mine, whose sum this is (``sum_of``)?"""

    arc: ArcForm
    sum: Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]


class Listing(Question, frozen=True, tag="list"):
    """The standings of a bucket's part on an arc, after this key."""

    bucket: Annotated[int, msgspec.Meta(ge=0, lt=BUCKETS)]
    arc: ArcForm
    after: KeyForm | None = None


class Bring(Question, frozen=True, tag="bring"):
    """These rows, as many as fit one answer."""

    keys: Annotated[list[KeyForm], msgspec.Meta(min_length=1, max_length=MAX_STANDINGS)]


class Give(Question, frozen=True, tag="give"):
    """Take these rows."""

    rows: Annotated[list[RowForm], msgspec.Meta(min_length=1, max_length=MAX_STANDINGS)]


# Answers.


class Made(Form, frozen=True, tag="made"):
    """Of ``Change``: it is on disk.

    Args:
        part: the member's part of the reply, as ``onionpath.swarm.parts`` writes it.
        touched: names of rows that it met, if a condition chose them.
    """

    part: Annotated[bytes, msgspec.Meta(max_length=MAX_PART_SIZE)]
    touched: Annotated[list[str], msgspec.Meta(max_length=MAX_TOUCHED)]


class Outdone(Form, frozen=True, tag="outdone"):
    """Of ``Change``: it is to be made again above this version."""

    version: Count


class NotMade(Form, frozen=True, tag="not made"):
    """Of ``Change``: why not."""

    why: Failed


class Compared(Form, frozen=True, tag="compared"):
    """Of ``Compare``.

    Args:
        digests: all of mine; None if they are equal.
        holds: whether I have kept all that I ever had of the arc.
        is_new: whether my store began without what was acknowledged before, and has not caught up.
        owes_since: the document of the oldest layout that I have not caught up with, but for the present one.
    """

    digests: list[DigestForm] | None
    holds: bool
    is_new: bool
    owes_since: int | None


class Listed(Form, frozen=True, tag="listed"):
    """Of ``Listing``."""

    standings: list[StandingForm]
    has_more: bool


class Brought(Form, frozen=True, tag="brought"):
    """Of ``Bring``: some of the rows, and how many keys of the question were worked off."""

    rows: list[RowForm]
    left: list[KeyForm]


class Took(Form, frozen=True, tag="took"):
    """Of ``Give``: on disk, but for so many rows that were refused."""

    refused: Count


class Refused(Form, frozen=True, tag="refused"):
    """Of any question: ``skewed``, ``stale`` (ask by a newer document), ``leaving``, ``busy`` or ``malformed``."""

    why: str


Answer = Made | Outdone | NotMade | Compared | Listed | Brought | Took | Refused


class Said(Form, frozen=True):
    """A question with what stands before each message."""

    number: Count
    clock_ms: Count
    question: Change | Compare | Listing | Bring | Give


class Replied(Form, frozen=True):
    """An answer with what stands before each message."""

    number: Count
    clock_ms: Count
    answer: Answer


_Message = TypeVar("_Message", Said, Replied)
_encoder = msgspec.msgpack.Encoder()
_said = msgspec.msgpack.Decoder(Said)
_replied = msgspec.msgpack.Decoder(Replied)


def encode_said(said: Said) -> bytes:
    """A question as bytes."""
    return _encoder.encode(said)


def encode_replied(replied: Replied) -> bytes:
    """An answer as bytes."""
    return _encoder.encode(replied)


def decode_said(body: bytes) -> Said:
    """Read a question.

    Raises:
        MalformedError: it is none.
    """
    return _decode(_said, body)


def decode_replied(body: bytes) -> Replied:
    """Read an answer.

    Raises:
        MalformedError: it is none.
    """
    return _decode(_replied, body)


def _decode(decoder: msgspec.msgpack.Decoder[_Message], body: bytes) -> _Message:
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise MalformedError("a message between members of a swarm has not its form") from error
