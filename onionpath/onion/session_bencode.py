"""Reads and writes the two shapes of bencode that Session's onions use: a flat list of byte strings, a flat dict.

Nothing nests, so there is no recursion to bound; every value has one encoding, and everything else is refused:
leading zeros, keys that repeat or don't ascend, bytes that trail. The library bencode2 is as strict about these, but
it reads integers of any length and nests to a depth that nobody can set, more than two flat shapes need.
Spec: docs/specs/session-onion.md §8.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise

from onionpath.errors import MalformedError

# Nine digits are more than any message has bytes.
_LENGTH = re.compile(rb"(0|[1-9][0-9]{0,8}):")
_INTEGER = re.compile(rb"i(0|-?[1-9][0-9]{0,17})e")

Scalar = bytes | int


def encode_list(items: Sequence[bytes]) -> bytes:
    """``l``, the strings in order, ``e``."""
    return b"".join((b"l", *map(_encode, items), b"e"))


def encode_dict(items: Mapping[bytes, Scalar]) -> bytes:
    """``d``, the pairs in ascending order of their keys, ``e``."""
    pairs = (_encode(each) for key in sorted(items) for each in (key, items[key]))
    return b"".join((b"d", *pairs, b"e"))


def decode_list(data: bytes, *, at_most: int) -> list[bytes]:
    """Read a list of up to ``at_most`` byte strings that fills ``data``.

    Raises:
        MalformedError: it isn't one.
    """
    items = []
    for each in _decode_all(data, opening=b"l", at_most=at_most):
        if not isinstance(each, bytes):
            raise MalformedError("a bencoded list holds something else than byte strings")
        items.append(each)
    return items


def decode_dict(data: bytes, *, at_most: int) -> dict[bytes, Scalar]:
    """Read a dict of up to ``at_most`` pairs that fills ``data``; each key a byte string, each value one or an integer.

    Raises:
        MalformedError: it isn't one, or a key repeats or doesn't ascend.
    """
    flat = _decode_all(data, opening=b"d", at_most=2 * at_most)
    keys = [key for key in flat[::2] if isinstance(key, bytes)]
    if len(keys) != len(flat) // 2 or any(low >= high for low, high in pairwise(keys)):
        raise MalformedError(
            "a bencoded dict has a key without a value, or keys that are not strings or don't ascend"
        )
    return dict(zip(keys, flat[1::2], strict=True))


def _encode(value: Scalar) -> bytes:
    return b"i%de" % value if isinstance(value, int) else b"%d:%b" % (len(value), value)


def _decode_all(data: bytes, *, opening: bytes, at_most: int) -> list[Scalar]:
    if not (data.startswith(opening) and data.endswith(b"e")):
        raise MalformedError("these bytes are not the bencoded list or dict that belongs here")
    values: list[Scalar] = []
    at, end = 1, len(data) - 1
    while at < end:
        if len(values) == at_most:
            raise MalformedError(f"a bencoded list or dict has more than {at_most} values")
        value, at = _decode_one(data, at)
        values.append(value)
    if at != end:
        raise MalformedError("a bencoded value runs over its end")
    return values


def _decode_one(data: bytes, at: int) -> tuple[Scalar, int]:
    if number := _INTEGER.match(data, at):
        return int(number[1]), number.end()
    length = _LENGTH.match(data, at)
    if length is None:
        raise MalformedError("a bencoded value is no byte string and no integer")
    end = length.end() + int(length[1])
    return data[length.end() : end], end
