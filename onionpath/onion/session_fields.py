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


class Form(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a set of fields looks as JSON; what leaves Session's modules holds none."""


F = TypeVar("F", bound=Form)


def encode_fields(fields: Mapping[str, object]) -> bytes:
    """The object with its keys in ascending order and without white space, as Session's own library writes it."""
    return msgspec.json.encode(fields, order="sorted")


def decode_fields(text: bytes, *, max_size: int, max_brackets: int) -> Fields:
    """Read one JSON object in UTF-8 with each key once, without fractions and without anything after it.

    Args:
        max_size: bytes; longer text is refused unread.
        max_brackets: opening brackets anywhere, which bounds the depth before a parser sees the text.

    Raises:
        MalformedError: it isn't one.
    """
    if len(text) > max_size or text.count(b"{") + text.count(b"[") > max_brackets:
        raise MalformedError("a set of fields is too long, or it nests")
    try:
        # msgspec takes the last of two equal keys, and another reader may take the first: hence the hook.
        read = json.loads(
            text.decode("utf-8"),
            object_pairs_hook=_without_repetition,
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


def _refuse_number(_: str) -> NoReturn:
    raise MalformedError("no field is a fraction")
