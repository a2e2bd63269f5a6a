"""Requests that a gateway is answering: each has a place, of which there are so many."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial


class InFlight:
    """The places of one gateway.

    Args:
        most: requests at once.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken: set[object] = set()

    @property
    def is_full(self) -> bool:
        """Whether there is no place for another one."""
        return len(self._taken) >= self._most

    @contextmanager
    def place(self) -> Iterator[Callable[[], None]]:
        """Take a place; what is given leaves it early, and may be called more than once."""
        place = object()
        self._taken.add(place)
        leave = partial(self._taken.discard, place)
        try:
            yield leave
        finally:
            leave()
