"""Reading Binary HTTP from its start to its end: integers of variable length, and bytes of a stated length.

Source: RFC 9000 §16, RFC 9292 §3.
"""

from __future__ import annotations

from onionpath.errors import MalformedError

MAX_INTEGER = 2**62 - 1


class Cursor:
    """A place in a message; every read is checked against the message's end."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes | memoryview) -> None:
        self._data = memoryview(data)
        self._at = 0

    @property
    def at(self) -> int:
        """How many bytes were read."""
        return self._at

    @property
    def is_at_end(self) -> bool:
        """True if nothing is left."""
        return self._at == len(self._data)

    def take(self, size: int) -> memoryview:
        """The next ``size`` bytes.

        Raises:
            MalformedError: fewer are left.
        """
        if size > len(self._data) - self._at:
            raise MalformedError("a binary HTTP message ends in the middle of a part")
        self._at += size
        return self._data[self._at - size : self._at]

    def integer(self) -> int:
        """An integer below 2^62 in 1, 2, 4 or 8 bytes; longer forms of small numbers are allowed by RFC 9000."""
        first = self.take(1)[0]
        size = 1 << (first >> 6)
        return int.from_bytes(bytes([first & 0x3F]) + self.take(size - 1), "big")

    def integer_or_end(self) -> int:
        """The same, or 0 at the message's end, where trailing empty parts may be left out (RFC 9292 §3.8)."""
        return 0 if self.is_at_end else self.integer()

    def rest(self) -> memoryview:
        """Everything that is left."""
        return self.take(len(self._data) - self._at)


def encode_integer(number: int) -> bytes:
    """The shortest form of a number below 2^62."""
    for exponent, size in enumerate((1, 2, 4, 8)):
        if number < 1 << (8 * size - 2):
            return (number | exponent << (8 * size - 2)).to_bytes(size, "big")
    raise ValueError(f"{number} is above {MAX_INTEGER}")


def encode_prefixed(data: bytes) -> bytes:
    """Bytes after their length."""
    return encode_integer(len(data)) + data
