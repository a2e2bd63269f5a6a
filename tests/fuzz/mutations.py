"""Ways to damage an input: blind ones, and those that know where lengths and fields like to stand."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import NamedTuple

from hypothesis import strategies as st

# Lengths and counts that parsers get wrong: nothing, one, and the edges of every width.
NUMBERS = (0, 1, 2**7, 2**8 - 1, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1)


class Mutation(NamedTuple):
    """One damage: which, where (a part of 2**16 of the whole length), and with what number."""

    kind: str
    place: int
    number: int


def _flip(data: bytes, at: int, number: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1 << number % 8]) + data[at + 1 :] if data else data


def _put(data: bytes, at: int, value: bytes) -> bytes:
    return data[:at] + value + data[at + len(value) :]


def _field(data: bytes, at: int, number: int) -> bytes:
    width = (1, 2, 4, 8)[number % 4]
    return _put(data, at, (NUMBERS[number % len(NUMBERS)] % 2 ** (8 * width)).to_bytes(width, "big"))


def _move(data: bytes, at: int, number: int) -> bytes:
    size = number % 64 + 1
    rest = data[:at] + data[at + size :]
    to = number % (len(rest) + 1)
    return rest[:to] + data[at : at + size] + rest[to:]


_KINDS: dict[str, Callable[[bytes, int, int], bytes]] = {
    "flip": _flip,
    "field": _field,
    "cut": lambda data, at, _: data[:at],
    "drop": lambda data, at, number: data[:at] + data[at + number % 64 + 1 :],
    "insert": lambda data, at, number: data[:at] + bytes([number % 256]) * (number % 9 + 1) + data[at:],
    "append": lambda data, _, number: data + bytes([number % 2 * 255]) * (number % 40 + 1),
    "zeros": lambda data, at, number: _put(data, at, bytes(min(number % 64 + 1, len(data) - at))),
    "ones": lambda data, at, number: _put(data, at, b"\xff" * min(number % 64 + 1, len(data) - at)),
    "repeat": lambda data, at, number: data[: at + number % 64] + data[at:],
    "move": _move,
}


def apply(data: bytes, mutation: Mutation) -> bytes:
    """The damaged input; a splice with another input is the caller's."""
    at = min(mutation.place * (len(data) + 1) >> 16, max(len(data) - 1, 0))
    return _KINDS[mutation.kind](data, at, mutation.number)


def draw(random: Random) -> Mutation:
    """A mutation for a seeded run."""
    return Mutation(random.choice(tuple(_KINDS)), random.randrange(2**16), random.randrange(2**16))


mutations = st.lists(
    st.builds(Mutation, st.sampled_from(tuple(_KINDS)), st.integers(0, 2**16 - 1), st.integers(0, 2**16 - 1)),
    min_size=1,
    max_size=4,
)
