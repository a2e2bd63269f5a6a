"""Bodies of requests that are still arriving, which a gateway holds for people who may never finish them.

They are counted in bytes and not in requests: whoever only announces a body holds nothing, and keeps nobody out. When
all together have too much, the one that has most is given up.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import anyio

from onionpath.ohttp.asgi import BodyTooLongError, Receive, next_part


class CrowdedError(Exception):
    """Others need the room that this body took."""


@dataclass(eq=False)
class _Arriving:
    scope: anyio.CancelScope
    body: bytearray = field(default_factory=bytearray)
    is_given_up: bool = False


class Arrivals:
    """The bodies of one gateway.

    Args:
        most_bytes: of all together.
    """

    def __init__(self, *, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._arriving: set[_Arriving] = set()
        self._held_bytes = 0

    @property
    def held_bytes(self) -> int:
        """Of bodies that aren't complete."""
        return self._held_bytes

    async def read(self, receive: Receive, *, max_bytes: int, timeout_s: float) -> bytes:
        """The whole body of a request.

        Raises:
            BodyTooLongError: it has more than ``max_bytes``.
            CrowdedError: bodies that arrive together have too much, and this one most of it.
            DisconnectedError: it ended early.
            TimeoutError: it took longer.
        """
        with anyio.move_on_after(timeout_s) as scope:
            arriving = _Arriving(scope)
            self._arriving.add(arriving)
            try:
                return await self._read(arriving, receive, max_bytes)
            finally:
                self._arriving.discard(arriving)
                self._held_bytes -= len(arriving.body)
        if arriving.is_given_up:
            raise CrowdedError
        raise TimeoutError

    async def _read(self, arriving: _Arriving, receive: Receive, max_bytes: int) -> bytes:
        more = True
        while more:
            part, more = await next_part(receive)
            self._add(arriving, part)
            if len(arriving.body) > max_bytes:
                raise BodyTooLongError
            if arriving.is_given_up:
                raise CrowdedError
        return bytes(arriving.body)

    def _add(self, arriving: _Arriving, part: bytes) -> None:
        arriving.body += part
        self._held_bytes += len(part)
        while self._held_bytes - self._given_up_bytes() > self._most_bytes:
            largest = max((each for each in self._arriving if not each.is_given_up), key=_size)
            largest.is_given_up = True
            largest.scope.cancel()

    def _given_up_bytes(self) -> int:
        """Of those that are about to let go."""
        return sum(_size(each) for each in self._arriving if each.is_given_up)


def _size(arriving: _Arriving) -> int:
    return len(arriving.body)
