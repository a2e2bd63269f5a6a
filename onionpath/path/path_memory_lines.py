"""A path memory as lines of text, each of which can be checked by itself.

A damaged line costs one guard and not all of them. A line's digest finds damage, not forgery: whoever can write into
the client's files needs none. Spec: docs/specs/guards.md §8.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import msgspec

from onionpath.crypto.identity import parse_relay_id
from onionpath.crypto.tags import digest
from onionpath.directory.canonical import Count, Time
from onionpath.errors import MalformedError
from onionpath.injected import UnixTime
from onionpath.path.bias import PathBias
from onionpath.path.guard_numbers import GUARD_NUMBERS, MIDDLE_NUMBERS
from onionpath.path.middles import Middle
from onionpath.path.path_memory import PathMemory
from onionpath.path.sample import Guard

VERSION = 1
MAX_SIZE = 64 * 1024  # bytes; sixty guards and four middles have under 24 KiB
MAX_LINES = 1 + GUARD_NUMBERS.max_sample + MIDDLE_NUMBERS.count
_MAGIC = "onionpath-guards"
_DIGEST_DIGITS = 32


@dataclass(frozen=True, slots=True)
class Whole:
    """Everything was read."""

    memory: PathMemory


@dataclass(frozen=True, slots=True)
class Damaged:
    """Some lines verify and some don't; ``lost`` of them are missing or damaged, the first line included."""

    memory: PathMemory
    lost: int


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Nothing verifies."""


@dataclass(frozen=True, slots=True)
class Newer:
    """A later onionpath wrote this; to read it as if we understood would lose what it added."""

    version: int


@dataclass(frozen=True, slots=True)
class OtherNetwork:
    """The guards of another network, named by its id in hexadecimal digits."""

    network_id: str


Read = Whole | Damaged | Unreadable | Newer | OtherNetwork


class _Head(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    guards: Annotated[int, msgspec.Meta(ge=0, le=GUARD_NUMBERS.max_sample)]
    middles: Annotated[int, msgspec.Meta(ge=0, le=MIDDLE_NUMBERS.count)]


class _GuardLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="guard"):
    relay_id: bytes
    added_at: Time
    confirmed_at: Time | None
    unlisted_since: Time | None
    is_disabled: bool
    bias: tuple[Count, Count, Count, Count]

    @classmethod
    def of(cls, guard: Guard) -> _GuardLine:
        bias = (guard.bias.attempts, guard.bias.carried, guard.bias.uses, guard.bias.completed)
        dates = (int(guard.added_at), _whole(guard.confirmed_at), _whole(guard.unlisted_since))
        return cls(guard.relay_id, *dates, guard.is_disabled, bias)

    def parse(self) -> Guard:
        """The guard; raises ``MalformedError`` if its relay id is none."""
        return Guard(
            relay_id=parse_relay_id(self.relay_id),
            added_at=UnixTime(float(self.added_at)),
            confirmed_at=_time(self.confirmed_at),
            unlisted_since=_time(self.unlisted_since),
            is_disabled=self.is_disabled,
            bias=PathBias(*self.bias),
        )


class _MiddleLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="middle"):
    relay_id: bytes
    until: Time

    @classmethod
    def of(cls, middle: Middle) -> _MiddleLine:
        return cls(middle.relay_id, int(middle.until))

    def parse(self) -> Middle:
        return Middle(parse_relay_id(self.relay_id), UnixTime(float(self.until)))


def encode_memory(memory: PathMemory, network_id: bytes) -> bytes:
    """The lines: one that names version, network and counts, then one for each guard and each middle, in order."""
    lines = [msgspec.json.encode(_Head(len(memory.guards), len(memory.middles)))]
    lines += [msgspec.json.encode(_GuardLine.of(guard)) for guard in memory.guards]
    lines += [msgspec.json.encode(_MiddleLine.of(middle)) for middle in memory.middles]
    start = f"{_MAGIC} {VERSION} {network_id.hex()} "
    return b"".join(
        _sealed((start if number == 0 else "").encode() + line, network_id)
        for number, line in enumerate(lines)
    )


def decode_memory(content: bytes, network_id: bytes) -> Read:
    """Read what ``encode_memory`` wrote for this network, as far as it verifies."""
    if len(content) > MAX_SIZE:
        return Unreadable()
    first, *rest = content.split(b"\n")[: MAX_LINES + 1]
    foreign = _foreign(first, network_id)
    if foreign is not None:
        return foreign
    head = _head(first, network_id)
    memory = _memory([_record(line, network_id) for line in rest])
    found = len(memory.guards) + len(memory.middles)
    if head is None:
        # Without the first line nobody knows how many are missing; it counts for one itself.
        return Damaged(memory, lost=1) if found else Unreadable()
    # Whatever we wouldn't write exactly so is damaged, even if it says as much as it promises.
    if encode_memory(memory, network_id) == content:
        return Whole(memory)
    return Damaged(memory, lost=max(1, head.guards + head.middles - found)) if found else Unreadable()


def _sealed(text: bytes, network_id: bytes) -> bytes:
    return _digits(text, network_id) + b" " + text + b"\n"


def _digits(text: bytes, network_id: bytes) -> bytes:
    # The network is part of it, so that a line is worth nothing in another network's file.
    return digest(network_id + text).hex()[:_DIGEST_DIGITS].encode()


def _opened(line: bytes, network_id: bytes) -> bytes | None:
    digits, _, text = line.partition(b" ")
    return text if digits == _digits(text, network_id) else None


def _foreign(first: bytes, network_id: bytes) -> Newer | OtherNetwork | None:
    """Whether somebody else wrote an intact first line; its form is the same in all versions."""
    try:
        _, magic, version, network, _ = first.decode("ascii").split(" ", 4)
        is_intact = magic == _MAGIC and _opened(first, bytes.fromhex(network)) is not None
        number = int(version) if is_intact and len(version) < 10 else 0
    except ValueError:
        return None
    if not is_intact:
        return None
    if network != network_id.hex():
        return OtherNetwork(network)
    return Newer(number) if number > VERSION else None


def _head(first: bytes, network_id: bytes) -> _Head | None:
    text = _opened(first, network_id)
    start = f"{_MAGIC} {VERSION} {network_id.hex()} ".encode()
    if text is None or not text.startswith(start):
        return None
    try:
        return msgspec.json.decode(text.removeprefix(start), type=_Head)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def _record(line: bytes, network_id: bytes) -> Guard | Middle | None:
    text = _opened(line, network_id)
    if text is None:
        return None
    try:
        return msgspec.json.decode(text, type=_GuardLine | _MiddleLine).parse()
    except (msgspec.MsgspecError, ValueError, RecursionError, MalformedError):
        return None


def _memory(records: Sequence[Guard | Middle | None]) -> PathMemory:
    """The guards and middles among these, each relay once."""
    guards = {record.relay_id: record for record in records if isinstance(record, Guard)}
    middles = {record.relay_id: record for record in records if isinstance(record, Middle)}
    return PathMemory(
        tuple(guards.values())[: GUARD_NUMBERS.max_sample],
        tuple(middles.values())[: MIDDLE_NUMBERS.count],
    )


def _whole(date: UnixTime | None) -> int | None:
    return None if date is None else int(date)


def _time(date: int | None) -> UnixTime | None:
    return None if date is None else UnixTime(float(date))
