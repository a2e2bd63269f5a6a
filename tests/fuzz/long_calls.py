"""Fuzzed: parts of long calls, their answers, and what a peer that sends whatever parts it likes does to a relay."""

from __future__ import annotations

from struct import Struct

from onionpath.crypto.identity import RelayId
from onionpath.errors import MalformedError
from onionpath.service.long_call_parts import (
    Asked,
    State,
    Told,
    Verb,
    encode_asked,
    encode_told,
    parse_asked,
    parse_told,
)
from onionpath.service.transfers import Begin, Transfers, Wait

NAME = bytes(range(16))
_RECORD = Struct(">BBHHH")  # peer and verb, name, total, offset, length
PEERS = [RelayId(bytes([number]) * 32) for number in range(4)]


def asked(data: bytes) -> bytes:
    """A CALL's content."""
    return encode_asked(parse_asked(data))


def told(data: bytes) -> bytes:
    """An ANSWER's content."""
    return encode_told(parse_told(data))


def parts(data: bytes) -> None:
    """A row of parts, each told by eight bytes, to a relay that holds little and answers with what it was asked."""
    table = Transfers(most=8, most_bytes=200_000)
    if len(data) % _RECORD.size:
        raise MalformedError("a record is cut")
    for who, name, total, offset, length in _RECORD.iter_unpack(data):
        verb = Verb(who // 4 % 3 + 1)
        body = bytes(length) if verb is Verb.PUT else b""
        part = Asked(verb, bytes([name]) * 16, total if body else 0, offset, body)
        try:
            read = parse_asked(encode_asked(part))
        except MalformedError:
            continue
        step = table.take(PEERS[who % 4], read)
        if isinstance(step, Begin):
            assert step.transfer.total == len(step.request)
            table.finish(step.transfer, step.request)
        if isinstance(step, Begin | Wait):
            table.tell(step.transfer, 0 if verb is Verb.PUT else offset, 8_168)
    assert len(table) <= 8


def inputs() -> dict[str, dict[str, bytes]]:
    """Of each target some that are read and some that are not."""
    put = encode_asked(Asked(Verb.PUT, NAME, 5, 0, b"hello"))
    get = encode_asked(Asked(Verb.GET, NAME, 0, 8_156))
    reply = encode_told(Told(State.REPLY, 9_000, 8_156, bytes(100)))
    row = [(0, 1, 9_000, 0, 5_000), (0, 1, 9_000, 5_000, 4_000), (4, 1, 0, 8_156, 0), (8, 1, 0, 0, 0)]
    return {
        "long-call-part": {
            "good-put": put,
            "good-get": get,
            "good-end": encode_asked(Asked(Verb.END, NAME)),
            "bad-beyond-its-end": put + b"x",
            "bad-verb": b"\4" + put[1:],
            "bad-short": get[:-1],
        },
        "long-call-answer": {
            "good-reply": reply,
            "good-working": encode_told(Told(State.WORKING)),
            "bad-taken-with-bytes": b"\1" + reply[1:],
            "bad-zero": reply[:1] + b"\1" + reply[2:],
        },
        "long-call-parts": {"good": b"".join(_RECORD.pack(*each) for each in row), "bad-cut": bytes(7)},
    }
