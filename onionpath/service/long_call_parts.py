"""The wire form of long calls' parts: what stands inside of a CALL between relays, and inside of its ANSWER.

Spec: docs/specs/link.md §9.1 to §9.3.
"""

from __future__ import annotations

from enum import IntEnum
from struct import Struct
from typing import NamedTuple

from onionpath.errors import MalformedError

MOST_BYTES = 11 * 1024 * 1024  # of a request, and of a reply
TRANSFER_ID_SIZE = 16
# Shorter ones could make as many entries as there are bytes.
SHORTEST_PART = 4_096
_ASKED_HEAD = Struct(">B3xII16s")  # verb, total length, offset, transfer id
_TOLD_HEAD = Struct(">B3xII")  # state, total length, offset
ASKED_HEAD_SIZE = _ASKED_HEAD.size
TOLD_HEAD_SIZE = _TOLD_HEAD.size
_ZEROS = bytes(3)


class Verb(IntEnum):
    """What the asker wants."""

    PUT = 1  # here are bytes of the request
    GET = 2  # give bytes of the reply
    END = 3  # forget it


class State(IntEnum):
    """How far the answerer is."""

    TAKEN = 1  # noted; the request isn't complete
    WORKING = 2  # ask again
    REPLY = 3  # here are bytes of the reply


class Asked(NamedTuple):
    """One CALL's content; ``total`` and ``body`` are of a PUT only, all numbers are bytes."""

    verb: Verb
    transfer_id: bytes
    total: int = 0
    offset: int = 0
    body: bytes = b""

    def __repr__(self) -> str:
        return f"<Asked {self.verb.name}>"


class Told(NamedTuple):
    """One ANSWER's content; all but the state are of a REPLY only."""

    state: State
    total: int = 0
    offset: int = 0
    body: bytes = b""

    def __repr__(self) -> str:
        return f"<Told {self.state.name}>"


_VERBS = {int(verb): verb for verb in Verb}
_STATES = {int(state): state for state in State}


def encode_asked(asked: Asked) -> bytes:
    """The body of a CALL."""
    return _ASKED_HEAD.pack(asked.verb, asked.total, asked.offset, asked.transfer_id) + asked.body


def parse_asked(data: bytes) -> Asked:
    """Read a CALL's body.

    Raises:
        MalformedError: it has not the specified form.
    """
    if len(data) < ASKED_HEAD_SIZE:
        raise MalformedError("a part of a call is too short")
    code, total, offset, transfer_id = _ASKED_HEAD.unpack_from(data)
    verb = _VERBS.get(code)
    if verb is None or data[1:4] != _ZEROS:
        raise MalformedError("a part of a call has no known verb")
    asked = Asked(verb, transfer_id, total, offset, data[ASKED_HEAD_SIZE:])
    if not (_is_part(asked) if verb is Verb.PUT else not (total or asked.body)):
        raise MalformedError("a part of a call contradicts itself")
    if verb is Verb.END and offset:
        raise MalformedError("the end of a call has an offset")
    return asked


def _is_part(put: Asked) -> bool:
    end = put.offset + len(put.body)
    if put.total > MOST_BYTES or end > put.total:
        return False
    if end == put.total:
        return bool(put.body) or not put.total
    return len(put.body) >= SHORTEST_PART


def encode_told(told: Told) -> bytes:
    """The body of an ANSWER."""
    return _TOLD_HEAD.pack(told.state, told.total, told.offset) + told.body


def parse_told(data: bytes) -> Told:
    """Read an ANSWER's body.

    Raises:
        MalformedError: it has not the specified form.
    """
    if len(data) < TOLD_HEAD_SIZE:
        raise MalformedError("an answer to a part of a call is too short")
    code, total, offset = _TOLD_HEAD.unpack_from(data)
    state = _STATES.get(code)
    if state is None or data[1:4] != _ZEROS:
        raise MalformedError("an answer to a part of a call has no known state")
    told = Told(state, total, offset, data[TOLD_HEAD_SIZE:])
    if state is not State.REPLY and (total or offset or told.body):
        raise MalformedError("an answer to a part of a call contradicts itself")
    if total > MOST_BYTES or offset + len(told.body) > total:
        raise MalformedError("an answer to a part of a call goes beyond its reply")
    return told
