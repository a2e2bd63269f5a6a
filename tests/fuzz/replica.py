"""What members of a swarm ask and answer each other, as functions for ``targets``."""

from __future__ import annotations

from functools import cache

import msgspec

from onionpath.swarm.arcs import WHOLE_RING
from onionpath.swarm.operations import Message, Version
from onionpath.swarm.parts import Failed
from onionpath.swarm.reconciliation import BucketDigest, Key
from relay.store.replica.messages import (
    Answer,
    ArcForm,
    Bring,
    Brought,
    Change,
    Compare,
    Compared,
    DigestForm,
    Give,
    KeyForm,
    Listed,
    Listing,
    Made,
    NotMade,
    Outdone,
    Question,
    Refused,
    Replied,
    RowForm,
    Said,
    StandingForm,
    Took,
    decode_replied,
    decode_said,
    encode_replied,
    encode_said,
)
from relay.store.rows import live_row, tombstone
from tests.fuzz import storage
from tests.replica.scenes import Scene
from tests.swarm.accounts import DAY_MS, PERSON, T

KEY = Key(PERSON.account, storage.HASH)


@cache
def _scene() -> Scene:
    return Scene(members=3)


def question(data: bytes) -> None:
    """What a dishonest member could ask: whatever it is, an answer comes that has its form."""
    said = decode_said(data)
    if decode_said(encode_said(said)) != said:
        raise AssertionError("a question changes when it is written")
    scene = _scene()
    asked, asker, _ = scene.machines
    answers: list[bytes] = []
    # By any other clock it would be refused unread.
    asked.question(
        asker.name, encode_said(msgspec.structs.replace(said, clock_ms=scene.now_ms)), answers.append
    )
    scene.wait(0.1)
    decode_replied(answers[0])


def answer(data: bytes) -> None:
    """What a dishonest member could answer."""
    replied = decode_replied(data)
    if decode_replied(encode_replied(replied)) != replied:
        raise AssertionError("an answer changes when it is written")


def inputs() -> dict[str, dict[str, bytes]]:
    """The corpus of these targets."""
    return {"replica-question": _questions(), "replica-answer": _answers()}


def _rows() -> list[RowForm]:
    message = Message(PERSON.account, 0, KEY.name, T, T + DAY_MS, b"data")
    row = live_row(message, Version(T))
    grave = tombstone(KEY, Version(T), namespace=0, until_ms=T + DAY_MS)
    return [RowForm.of(row), RowForm.of(grave)]


def _questions() -> dict[str, bytes]:
    ring, key, rows = ArcForm.of(WHOLE_RING), KeyForm.of(KEY), _rows()
    change = storage.inputs()["storage-forwarded"]["good-store"]
    compare = _said(Compare(ring, bytes(32)))
    return {
        "good-change": _said(Change(bytes(8), change)),
        "good-change-of-nothing": _said(Change(bytes(8), b"")),
        "good-compare": compare,
        "good-list": _said(Listing(0, ring)),
        "good-list-after": _said(Listing(4_095, ring, key)),
        "good-empty-arc": _said(Listing(0, ArcForm(b"\xff" * 8, bytes(8)))),
        "good-bring": _said(Bring([key, key])),
        "good-give": _said(Give(rows)),
        "good-newer-document": encode_said(Said(2, T, Compare(ring, bytes(32)))),
        "bad-name": compare.replace(b"compare", b"compart"),
        "bad-cut": compare[:-1],
        "bad-further": compare + b"\0",
        "bad-nothing-to-bring": _said(Bring([])),
        "bad-bucket": _said(Listing(4_096, ring)),
        "bad-account": _said(Bring([KeyForm(bytes(32), KEY.name)])),
        "bad-kind": _said(Give([_row_of_kind(rows[0], 9)])),
        "bad-nested": b"\x91" * 5_000,
    }


def _answers() -> dict[str, bytes]:
    rows = _rows()
    key, standing = KeyForm.of(KEY), rows[0].standing
    part = storage.inputs()["storage-part"]["good-stored"]
    digest = DigestForm.of(BucketDigest(7, 1, bytes(32)))
    compared = _replied(Compared([digest], True, False, 3))
    return {
        "good-made": _replied(Made(part, [KEY.name])),
        "good-outdone": _replied(Outdone(T)),
        "good-not-made": _replied(NotMade(Failed.STORE)),
        "good-compared": compared,
        "good-equal": _replied(Compared(None, True, True, None)),
        "good-listed": _replied(Listed([standing, StandingForm.of(rows[1].standing.value())], True)),
        "good-brought": _replied(Brought(rows, [key])),
        "good-took": _replied(Took(1)),
        "good-refused": _replied(Refused("stale")),
        "bad-reason": _replied(NotMade(Failed.STORE)).replace(b"query_failure", b"query_success"),
        "bad-name": compared.replace(b"compared", b"compares"),
        "bad-cut": compared[:-1],
        "bad-question": _said(Bring([key])),
        "bad-version": _replied(Outdone(-1)),
        "bad-nested": b"\x91" * 5_000,
    }


def _row_of_kind(row: RowForm, kind: int) -> RowForm:
    return msgspec.structs.replace(row, standing=msgspec.structs.replace(row.standing, kind=kind))


def _said(question: Question) -> bytes:
    return encode_said(Said(1, T, question))  # type: ignore[arg-type]


def _replied(answer: Answer) -> bytes:
    return encode_replied(Replied(1, T, answer))
