"""Reads a JSON object of a few fields, once and strictly; no module of Session's format reads JSON otherwise.

Another reader of the same bytes, such as the server that an exit passes them to, must not find another meaning in
them. Spec: docs/specs/session-onion.md §2.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NoReturn, TypeVar

import msgspec

from onionpath.errors import MalformedError

Fields = dict[str, object]

# Each element and each key has a comma before it, but for the first: seventy thousand hashes with an expiry each fill a
# request. Two million elements would, too, and keep a relay from everything else for 100 ms.
MAX_COMMAS = 150_000
# A member tells of up to 20,000 messages by name. A key that stands twice is looked for in Python, which takes longer.
MAX_COLONS = 50_000
# What Python needs to read an integer grows with the square of its digits: four megabytes of ones as long as it takes
# would keep a relay from everything else for 80 ms. Its own bound of 4,300 digits is the whole process's.
_LONG_NUMBER = b"0" * 400
_AS_ZEROS = bytes(ord("0") if byte in b"0123456789" else ord(" ") for byte in range(256))


class Form(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a set of fields looks as JSON; what leaves Session's modules holds none."""


F = TypeVar("F", bound=Form)


def encode_fields(fields: Mapping[str, object]) -> bytes:
    """The object with its keys in ascending order and without white space, as Session's own library writes it."""
    return msgspec.json.encode(fields, order="sorted")


def decode_fields(text: bytes, *, max_size: int, max_brackets: int, max_colons: int = MAX_COLONS) -> Fields:
    """Read one JSON object in UTF-8 with each key once, without fractions and without anything after it.

    Args:
        max_size: bytes; longer text is refused unread.
        max_brackets: opening brackets anywhere, which bounds the depth before a parser sees the text.
        max_colons: anywhere, which bounds the keys.

    Raises:
        MalformedError: it isn't one.
    """
    if len(text) > max_size or text.count(b"{") + text.count(b"[") > max_brackets:
        raise MalformedError("a set of fields is too long, or it nests")
    if text.count(b",") > MAX_COMMAS or text.count(b":") > max_colons:
        raise MalformedError("a set of fields has too many parts")
    try:
        # msgspec takes the last of two equal keys, and another reader may take the first: hence the hook.
        read = json.loads(
            text.decode("utf-8"),
            object_pairs_hook=_without_repetition,
            # Python would be called for each of many short ones, too.
            parse_int=_short_integer if _has_long_number(text) else None,
            parse_float=_refuse_number,
            parse_constant=_refuse_number,
        )
    except ValueError as error:
        raise MalformedError("a set of fields is not JSON") from error
    if not isinstance(read, dict):
        raise MalformedError("a set of fields is not an object")
    return read


def to_form(fields: Fields, kind: type[F]) -> F:
    """The fields as values of the expected types.

    Raises:
        MalformedError: one is missing, unknown, or of another type.
    """
    try:
        return msgspec.convert(fields, kind)
    except (msgspec.ValidationError, UnicodeEncodeError) as error:
        # Half a surrogate pair, which JSON can write, fits into no message of msgspec's.
        raise MalformedError("a set of fields is not what belongs here") from error


def _without_repetition(pairs: list[tuple[str, Any]]) -> Fields:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise MalformedError("a set of fields names one key twice")
    return fields


def _has_long_number(text: bytes) -> bool:
    return _LONG_NUMBER in text.translate(_AS_ZEROS)


def _short_integer(digits: str) -> int:
    if len(digits) >= len(_LONG_NUMBER):
        raise MalformedError("no field is a number of so many digits")
    return int(digits)


def _refuse_number(_: str) -> NoReturn:
    raise MalformedError("no field is a fraction")
