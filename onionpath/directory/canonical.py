"""Reading and writing the one canonical JSON form of everything that is signed.

Whatever decodes must encode to the same bytes again; that one comparison refuses unknown, repeated and
misplaced keys, other spellings and trailing bytes together. Spec: docs/specs/directory.md §1.
"""

from __future__ import annotations

from typing import Annotated, TypeVar

import msgspec

from onionpath.errors import MalformedError


class Form(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How something looks as JSON; only the modules of this room see one."""


F = TypeVar("F", bound=Form)

# The last second of the year 9999, so that every time can be printed as a date.
Time = Annotated[int, msgspec.Meta(ge=0, le=253_402_300_799)]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


def encode_canonical(form: Form) -> bytes:
    """The one encoding of this form."""
    return msgspec.json.encode(form)


def decode_canonical(kind: type[F], data: bytes, *, what: str, max_size: int) -> F:
    """Read a form that was written canonically.

    Args:
        what: names it in errors, e.g. "the document".
        max_size: bytes; longer data is refused unread.

    Raises:
        MalformedError: too long, not this form, or not the canonical encoding of it.
    """
    if len(data) > max_size:
        raise MalformedError(f"{what} has {len(data)} bytes, more than the {max_size} allowed")
    try:
        form = msgspec.json.decode(data, type=kind)
        again = msgspec.json.encode(form)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise MalformedError(f"{what} cannot be read: {error}") from error
    if again != data:
        raise MalformedError(f"{what} is not canonical: a key is repeated or misplaced, or bytes trail")
    return form


def without_white_space(data: bytes, *, what: str, max_size: int) -> bytes:
    """JSON that a person may have laid out, brought to the layout that ``decode_canonical`` expects.

    Raises:
        MalformedError: too long, or not JSON.
    """
    if len(data) > max_size:
        raise MalformedError(f"{what} has {len(data)} bytes, more than the {max_size} allowed")
    try:
        return msgspec.json.format(data, indent=-1)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise MalformedError(f"{what} cannot be read: {error}") from error


def check_text(text: str, *, what: str, longest: int) -> None:
    """Allow 1 to ``longest`` printable ASCII characters, none of which JSON would escape.

    Raises:
        MalformedError: anything else.
    """
    plain = text.isascii() and text.isprintable() and '"' not in text and "\\" not in text
    if not plain or not 1 <= len(text) <= longest:
        raise MalformedError(
            f"{what} must be 1 to {longest} plain ASCII characters, no quotes or backslashes"
        )
