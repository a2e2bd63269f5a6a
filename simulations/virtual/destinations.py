"""Small servers beyond an exit, by what they do with a connection.

A server is a factory of visits, one for each connection. A visit is asked what it sends whenever the connection has
room for more, and after each event; it knows no clock but the time that it is told.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

BLOCK = bytes(range(256)) * 16


class Visit(Protocol):
    """One connection, as its server sees it. Times are seconds since the connection was made."""

    def received(self, data: bytes, *, at_s: float) -> None:
        """Bytes of the client arrive."""

    def ended(self) -> None:
        """The client's side has ended."""

    def send(self, at_most: int, *, at_s: float) -> bytes:
        """The next bytes for the client, as many as there are now."""

    @property
    def next_at_s(self) -> float | None:
        """When there will be more although nothing happens."""

    @property
    def is_over(self) -> bool:
        """Whether the server has ended its side."""


Server = Callable[[], Visit]


class Silence:
    """Takes everything and never says a word; the others differ from it."""

    next_at_s: float | None = None

    def __init__(self) -> None:
        self.taken = 0
        self.is_over = False
        self.has_heard_the_end = False

    def received(self, data: bytes, *, at_s: float) -> None:
        self.taken += len(data)

    def ended(self) -> None:
        self.has_heard_the_end = True

    def send(self, at_most: int, *, at_s: float) -> bytes:
        return b""


class Echo(Silence):
    """Sends back what it got, and ends when its client has."""

    def __init__(self) -> None:
        super().__init__()
        self._held = bytearray()

    def received(self, data: bytes, *, at_s: float) -> None:
        self._held += data

    def ended(self) -> None:
        self.has_heard_the_end = True
        self.is_over = not self._held

    def send(self, at_most: int, *, at_s: float) -> bytes:
        data = bytes(self._held[:at_most])
        del self._held[:at_most]
        self.is_over = self.has_heard_the_end and not self._held
        return data


class Website(Silence):
    """Sends a page of so many bytes once it has been asked anything, and ends."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self._size = size
        self._sent = 0

    def send(self, at_most: int, *, at_s: float) -> bytes:
        if not self.taken:
            return b""
        data = page(self._sent, min(self._sent + at_most, self._size))
        self._sent += len(data)
        self.is_over = self._sent == self._size
        return data


class Drip(Silence):
    """Sends one byte each second, so many in all, and ends."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self._size = size
        self._sent = 0
        self.next_at_s = 1.0

    def send(self, at_most: int, *, at_s: float) -> bytes:
        due = min(int(at_s + 1e-6), self._size)
        data = page(self._sent, min(due, self._sent + at_most))
        self._sent += len(data)
        self.is_over = self._sent == self._size
        self.next_at_s = None if self.is_over else self._sent + 1.0
        return data


def page(start: int, stop: int) -> bytes:
    """These bytes of every website's page."""
    first = start // len(BLOCK)
    blocks = BLOCK * (stop // len(BLOCK) - first + 1)
    return blocks[start - first * len(BLOCK) : stop - first * len(BLOCK)]


def echo() -> Visit:
    """A server that echoes."""
    return Echo()


def silence() -> Visit:
    """A server that never answers."""
    return Silence()


def website(size: int) -> Server:
    """A server of pages of so many bytes."""
    return lambda: Website(size)


def drip(size: int) -> Server:
    """A server of so many bytes, one each second."""
    return lambda: Drip(size)
