"""A client's stream in virtual time: the production end and path, and a program that takes what comes.

It is the counterpart of ``onionpath.client.stream``; its verbs let the network run, so that a test is a few lines.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from onionpath.client.attempts import MAX_ATTEMPTS
from onionpath.client.paths import ExitPaths, NativePaths
from onionpath.client.stream_path import StreamPath
from onionpath.crypto.identity import RelayId
from onionpath.errors import OnionPathError, UnreachableError
from onionpath.injected import Entropy
from onionpath.onion.geometry import Geometry
from onionpath.service.stream_client import ClientCall, StreamClient
from simulations.virtual.heap import EventHeap, Timer

RunUntil = Callable[[Callable[[], bool]], None]


@dataclass(frozen=True, slots=True)
class StreamOpener:
    """Opens streams for one client.

    Args:
        entropy: for tokens.
        run_until: lets the network run until something is so.
    """

    heap: EventHeap
    paths: NativePaths
    geometry: Geometry
    entropy: Entropy
    name_of: Callable[[RelayId], str]
    run_until: RunUntil

    def open(self, host: str, port: int, *, isolation: str | None = None) -> VirtualStream:
        """A TCP connection from an exit, once it stands.

        Raises:
            as ``Client.open_stream``.
        """
        opened: list[VirtualStream] = []
        failed: list[OnionPathError] = []

        async def attempt() -> None:
            try:
                opened.append(await self._open(host, port, isolation or f"origin {host}:{port}"))
            except OnionPathError as error:
                failed.append(error)

        self.heap.spawn(attempt())
        self.run_until(lambda: bool(opened or failed))
        if failed:
            raise failed[0]
        return opened[0]

    async def _open(self, host: str, port: int, isolation: str) -> VirtualStream:
        failure: UnreachableError | None = None
        for _ in range(MAX_ATTEMPTS):
            end = StreamClient(token=self.entropy(16), host=host, port=port, geometry=self.geometry)
            stream = VirtualStream(self, end, ExitPaths(self.paths, port, isolation))
            try:
                await stream.path.exchange(end.opening(now=self.heap.now))
            except UnreachableError as error:
                failure = error
            else:
                stream.step()
                return stream
        assert failure is not None
        raise failure


class VirtualStream:
    """Bytes to and from one host and port, with a program that takes each byte as it comes while ``is_reading``."""

    def __init__(self, opener: StreamOpener, end: StreamClient, carrier: ExitPaths) -> None:
        self.end = end
        self.is_reading = True
        self.received = bytearray()
        self.is_closed = False
        self.path = StreamPath(carrier, end, changed=self._step_soon)
        self._opener = opener
        self._heap = opener.heap
        self._unsent = bytearray()
        self._ends = False
        self._timer: Timer | None = None

    @property
    def hops(self) -> tuple[str, ...]:
        """Names of the relays that carry it now."""
        return tuple(self._opener.name_of(relay) for relay in self.path.relays)

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come."""
        return self.end.is_finished or self.end.failure is not None or self.is_closed

    def send(self, data: bytes, *, and_end: bool = False) -> None:
        """Hand bytes over; they leave as time passes."""
        self._unsent += data
        self._ends |= and_end
        self.step()

    def read(self, count: int) -> bytes:
        """So many bytes, or fewer at the end; the network runs until they are there.

        Raises:
            OnionPathError: the stream broke before.
        """
        self._opener.run_until(lambda: len(self.received) >= count or self.is_over)
        if len(self.received) < count and self.end.failure is not None:
            raise self.end.failure
        data = bytes(self.received[:count])
        del self.received[:count]
        return data

    def read_all(self) -> bytes:
        """Every byte up to the end; see ``read``."""
        self._opener.run_until(lambda: self.is_over)
        return self.read(max(1, len(self.received)))

    def close(self) -> None:
        """Forget the stream here, and soon at the exit."""
        if not self.is_closed:
            self.is_closed = True
            self._heap.spawn(self._make(self.end.goodbye(now=self._heap.now)))

    def step(self) -> None:
        """Something has happened: move bytes, and make the calls that are due."""
        if self._timer is not None:
            self._timer.cancel()
        if self.is_closed or self.end.failure is not None:
            return
        self._move()
        now = self._heap.now
        for call in self.end.due(now=now):
            self._heap.spawn(self._make(call))
        self._timer = self._heap.after(self.end.patience_s(now=now), self.step)

    def _move(self) -> None:
        while self.is_reading and (data := self.end.take(1 << 20)):
            self.received += data
        if self._unsent:
            with memoryview(self._unsent) as given:
                count = self.end.give(given)
            del self._unsent[:count]
        if self._ends and not self._unsent:
            self.end.end()

    async def _make(self, call: ClientCall) -> None:
        try:
            reply = await self.path.exchange(call)
        except OnionPathError as error:
            self.end.failed(call, error, now=self._heap.now)
        else:
            self.end.answered(call, reply, now=self._heap.now)
        self._step_soon()

    def _step_soon(self) -> None:
        # As an event: whoever reports is in the middle of something.
        self._heap.at(self._heap.now, self.step)
