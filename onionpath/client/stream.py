"""A TCP connection from the exit, as a byte stream that survives the death of its path.

Every byte has an offset, so each call of the stream may be lost, repeated or reordered without losing or doubling
one. ``onionpath.service.stream_client`` decides which calls to make; this file makes them and waits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import anyio
import anyio.lowlevel
from anyio import TypedAttributeSet, typed_attribute
from anyio.abc import ByteStream

from onionpath.client.stream_path import Carrier, StreamPath
from onionpath.crypto.identity import RelayId
from onionpath.errors import OnionPathError
from onionpath.onion.geometry import Geometry
from onionpath.service.stream_client import ClientCall, StreamClient

# The exit gives the server as long to take what arrived before CLOSE (docs/specs/stream.md §4.5).
ARRIVAL_S = 10.0


class StreamAttribute(TypedAttributeSet):
    """What ``stream.extra(...)`` can be asked, also through TLS on top of it."""

    path: tuple[RelayId, ...] = typed_attribute()
    """The relays that carry the stream now, first hop first."""
    hold_ms: tuple[int, ...] = typed_attribute()
    """How long each hop of the path had the newest exchange, in milliseconds, first hop first."""
    attempts: int = typed_attribute()
    """How many attempts its opening took."""
    is_readable: bool = typed_attribute()
    """Whether ``receive`` of the stream would return or raise at once."""


class OnionStream(ByteStream):
    """Bytes to and from one host and port. Made by ``Client.open_stream``.

    ``receive`` raises ``anyio.EndOfStream`` at the end and ``anyio.BrokenResourceError`` with a ``StreamError`` as
    cause when the stream broke for good.
    """

    def __init__(
        self,
        carrier: Carrier,
        *,
        token: bytes,
        host: str,
        port: int,
        geometry: Geometry,
        attempt: int = 1,
    ) -> None:
        self._end = StreamClient(token=token, host=host, port=port, geometry=geometry)
        self._path = StreamPath(carrier, self._end, changed=self._notify)
        self._attempt = attempt
        self._closed = False
        self._changed = anyio.Event()
        self._scope = anyio.CancelScope()

    @property
    def path(self) -> tuple[RelayId, ...]:
        """The relays that carry the stream now, first hop first; none while it moves to others."""
        return self._path.relays

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        """For ``extra``; see ``StreamAttribute``."""
        return {
            StreamAttribute.path: lambda: self.path,
            StreamAttribute.hold_ms: lambda: self._path.hold_ms,
            StreamAttribute.attempts: lambda: self._attempt,
            StreamAttribute.is_readable: lambda: self._closed or self._end.is_readable,
        }

    @property
    def continuations(self) -> int:
        """How often the stream has moved to another path."""
        return self._end.continuations

    async def open(self) -> None:
        """Have the exit connect; the caller sets the deadline.

        Raises:
            RefusedError: the exit refused, or the destination did. UnreachableError: no path held.
        """
        await self._path.exchange(self._end.opening(now=anyio.current_time()))

    async def run(self) -> None:
        """Keep calls under way until the stream is closed or broken; the client runs this."""
        with self._scope:
            async with anyio.create_task_group() as group:
                while self._end.failure is None and not self._closed:
                    # Only a set one is replaced: whoever waits for the other would wait for ever.
                    if self._changed.is_set():
                        self._changed = anyio.Event()
                    now = anyio.current_time()
                    for call in self._end.due(now=now):
                        group.start_soon(self._make, call)
                    with anyio.move_on_after(self._end.patience_s(now=now)):
                        await self._changed.wait()

    def _notify(self) -> None:
        self._changed.set()

    # Calls.

    async def _make(self, call: ClientCall) -> None:
        try:
            reply = await self._path.exchange(call)
        except OnionPathError as error:
            self._end.failed(call, error, now=anyio.current_time())
        else:
            self._end.answered(call, reply, now=anyio.current_time())
        self._notify()

    # For the program.

    async def receive(self, max_bytes: int = 65_536) -> bytes:
        """The next bytes, at least one; see the class for how it ends."""
        while True:
            if self._closed:
                raise anyio.ClosedResourceError
            data = self._end.take(max_bytes)
            if data:
                self._notify()
                return data
            if self._end.is_finished:
                raise anyio.EndOfStream
            await self._wait_for_change()

    async def send(self, item: bytes) -> None:
        """Hand bytes over; returns when they are accepted for sending, which may be before they arrive.

        Cancelling it closes the stream: some of the bytes may have left, and nobody can say how many.
        """
        rest = memoryview(item)
        try:
            while rest:
                rest = await self._send_some(rest)
        except anyio.get_cancelled_exc_class():
            self.abandon()
            raise

    async def _send_some(self, rest: memoryview) -> memoryview:
        if self._closed or self._end.has_ended:
            raise anyio.ClosedResourceError
        if self._end.failure is not None:
            raise anyio.BrokenResourceError from self._end.failure
        count = self._end.give(rest)
        if count:
            self._notify()
            await anyio.lowlevel.checkpoint()
        else:
            await self._wait_for_change()
        return rest[count:]

    async def send_eof(self) -> None:
        """Nothing more will be sent; what was sent still arrives."""
        self._end.end()
        self._notify()
        await anyio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        """Forget the stream here and at the exit.

        After ``send_eof`` what was sent still arrives, for at most 10 s; otherwise bytes that weren't confirmed are
        given up.
        """
        try:
            if self._end.has_ended:
                with anyio.move_on_after(ARRIVAL_S):
                    await self._wait_for_arrival()
        finally:
            self.abandon()
        await anyio.lowlevel.checkpoint()

    async def _wait_for_arrival(self) -> None:
        while not (self._closed or self._end.failure or self._end.has_arrived):
            await self._changed.wait()

    def abandon(self) -> None:
        """``aclose`` for those who cannot wait; bytes that weren't confirmed are given up."""
        if not self._closed:
            self._closed = True
            self._notify()
            self._scope.cancel()

    async def say_goodbye(self) -> None:
        """Tell the exit to forget the stream; best effort, the client runs this after ``run``."""
        if not self._path.relays:
            return
        try:
            await self._path.exchange(self._end.goodbye(now=anyio.current_time()))
        except OnionPathError:
            return  # the exit forgets it by itself after a minute

    async def _wait_for_change(self) -> None:
        if self._end.failure is not None:
            raise anyio.BrokenResourceError from self._end.failure
        await self._changed.wait()
