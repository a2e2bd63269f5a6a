"""An authority's connection to the first relay of a path: packets leave over it together, and their frames come back.

The caller sets every deadline. Spec: docs/specs/measuring.md §3.
"""

from __future__ import annotations

from collections.abc import Callable

import trio

from onionpath.errors import PeerError
from onionpath.link.frames import FrameReader, Kind, encode_frame
from onionpath.onion.geometry import Geometry, SizeClass
from onionpath.onion.native import NativeOnion
from relay.authority.echoes import Echo
from relay.authority.findings import Broken
from relay.wire import Wire

READ_SIZE = 64 * 1024
# A late frame or a ping may come; a relay that goes on with what we did not ask for only wants to keep us busy.
MOST_STRAY_FRAMES = 16


class Tally:
    """What came back so far; it stands when the deadline ends the waiting."""

    def __init__(self) -> None:
        self.echoes = 0
        self.broken: Broken | None = None

    def add(self, broken: Broken | None) -> None:
        """One more frame: an echo, or where it broke."""
        if broken is None:
            self.echoes += 1
        else:
            self.broken = broken


class FirstHop:
    """Packets over one connection, and the frames that belong to them."""

    def __init__(self, wire: Wire, onion: NativeOnion) -> None:
        self._wire = wire
        self._onion = onion
        self._reader = FrameReader(onion.geometry)
        self._waiting: dict[int, Echo] = {}
        self._sent = 0
        self._stray = 0
        self._received = memoryview(bytearray(READ_SIZE))
        self._plaintext = memoryview(bytearray(READ_SIZE))

    async def run(
        self, seal: Callable[[SizeClass], Echo], size_class: SizeClass, count: int, tally: Tally
    ) -> None:
        """Send so many packets, and wait until each has its frame; the caller sets the deadline.

        Raises:
            OnionPathError, OSError, EOFError: in a group; the connection broke, or carried what no relay sends.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._send, seal, size_class, count)
            for _ in range(count):
                tally.add(await self._next())

    async def _send(self, seal: Callable[[SizeClass], Echo], size_class: SizeClass, count: int) -> None:
        for _ in range(count):
            echo = seal(size_class)
            self._sent += 1
            self._waiting[self._sent] = echo
            self._wire.put(_frame(self._onion.geometry, echo, self._sent))
            await self._wire.flush()
            # A packet takes a millisecond to seal; others have their turn before the next.
            await trio.lowlevel.checkpoint()

    async def _next(self) -> Broken | None:
        while self._stray < MOST_STRAY_FRAMES:
            frame = self._reader.next_frame()
            if frame is None:
                await self._read()
            elif frame.kind in (Kind.REPLY, Kind.REJECT) and frame.exchange_id in self._waiting:
                return self._waiting.pop(frame.exchange_id).broken(self._onion, frame)
            else:
                self._stray += 1
        raise PeerError("the first relay goes on sending what nobody asked for")

    async def _read(self) -> None:
        while not (filled := self._wire.tls.read_into(self._plaintext)):
            # Whoever always has more to send, with or without a frame in it, would otherwise keep the thread.
            await trio.lowlevel.checkpoint()
            count = await self._wire.receive(self._received)
            self._wire.tls.feed(self._received[:count])
        self._reader.feed(bytes(self._plaintext[:filled]))


def _frame(geometry: Geometry, echo: Echo, exchange_id: int) -> bytes:
    packet = echo.wrapped.packet
    return encode_frame(
        geometry,
        Kind.REQUEST,
        packet.layer,
        size_class=packet.size_class,
        generation=packet.generation,
        slot=packet.slot,
        exchange_id=exchange_id,
    )
