"""Carries out an authority's probes over sockets, as any client would: the door of ``measuring``.

Each probe has a connection of its own to its path's first relay, whose link key is checked, and ends by itself:
a small echo within 33 s, then a train within 20 s.
"""

from __future__ import annotations

import math
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import structlog
import trio

from onionpath.directory.directory import Directory
from onionpath.directory.parameters import Parameters
from onionpath.errors import OnionPathError, PeerError
from onionpath.injected import Entropy, UnixTime
from onionpath.link.frames import FrameReader, Kind, encode_frame
from onionpath.link.neighbour import Neighbour
from onionpath.onion.geometry import Geometry, SizeClass
from onionpath.onion.native import NativeOnion
from onionpath.onion.packets import Hop
from relay.authority.echoes import US_TO_FIRST, Echo, hops_of, seal_echo
from relay.authority.measures import Broken, Echoed, Outcome
from relay.authority.measuring import Measuring
from relay.authority.probe_paths import Probe
from relay.caller import wired
from relay.limits import SwitchLimits
from relay.wire import Wire

log = structlog.get_logger(__name__)

# Turns come due one by one, at times drawn with far more than this between them.
LOOK_EVERY_S = 1.0
# The first relay waits longest, and says then where it broke; whoever says nothing until here is blamed himself.
MARGIN_S = 4.0
# Ten times what a train was sized for: below a tenth of its last rate a relay's rate is what came until then.
TRAIN_TIMEOUT_S = 20.0
READ_SIZE = 64 * 1024
# A late frame or a ping may come; a relay that goes on with what we did not ask for only wants to keep us busy.
MOST_STRAY_FRAMES = 16


@dataclass(frozen=True, slots=True)
class Echoer:
    """What all probes need.

    Args:
        parameters, network_id: of the network.
        context: of TLS as a client.
        clock: Unix time that never goes back.
        entropy: ``os.urandom``.
    """

    parameters: Parameters
    network_id: bytes
    context: ssl.SSLContext
    clock: Callable[[], UnixTime]
    entropy: Entropy

    async def carry_out(self, probe: Probe) -> Outcome | None:
        """What became of a probe; None if it could not be tried, or met a bug of ours."""
        hops = hops_of(probe, self.clock())
        if hops is None:
            return None
        try:
            return await self._carry_out(probe, hops)
        except Exception as error:
            # A bug that one relay's bytes can reach must not end the probes of all others.
            log.error("probe_failed", kind=type(error).__name__)
            return None

    async def _carry_out(self, probe: Probe, hops: tuple[Hop, ...]) -> Outcome:
        onion = NativeOnion(self.parameters.geometry, self.network_id)
        neighbour = Neighbour.of_relay(probe.path[0].descriptor)
        echoed: Outcome = Broken(US_TO_FIRST)
        with trio.move_on_after(_patience_s(len(hops))) as waiting:
            try:
                async with wired(neighbour, self.context) as wire:
                    exchanges = _Exchanges(wire, onion)
                    seal = partial(self._seal, onion, hops)
                    echoed = await _one_small(exchanges, seal)
                    if isinstance(echoed, Echoed) and probe.train:
                        waiting.deadline = math.inf  # the train has a deadline of its own
                        echoed = await self._train(exchanges, seal, probe.train)
            except* (OnionPathError, OSError, EOFError):
                # What was found out before the connection broke stands; at first that is: nothing came back.
                pass
        return echoed

    async def _train(self, exchanges: _Exchanges, seal: Callable[[SizeClass], Echo], train: int) -> Echoed:
        started_at = trio.current_time()
        tally = _Tally()
        try:
            with trio.move_on_after(TRAIN_TIMEOUT_S):
                await exchanges.run(seal, SizeClass.LARGE, train, tally)
        except* (OnionPathError, OSError, EOFError):
            pass
        kib = tally.echoes * self.parameters.geometry.frame_size(SizeClass.LARGE) / 1024
        return Echoed(train, tally.echoes, kib, trio.current_time() - started_at)

    def _seal(self, onion: NativeOnion, hops: tuple[Hop, ...], size_class: SizeClass) -> Echo:
        return seal_echo(
            onion,
            hops,
            size_class,
            slot_s=self.parameters.slot_s,
            now=self.clock(),
            entropy=self.entropy,
        )


async def measure_forever(
    measuring: Measuring, echoer: Echoer, document: Callable[[], Directory | None]
) -> None:
    """Probe until cancelled.

    Args:
        document: gives the newest; without a valid one nothing is measured, for relays would not know each other.
    """
    async with trio.open_nursery() as nursery:
        while True:
            ended = trio.Event()
            directory = document()
            while directory is not None and (probe := measuring.due(directory, echoer.clock())):
                nursery.start_soon(_probe, measuring, echoer, probe, ended)
                # Choosing among thousands of relays takes milliseconds.
                await trio.lowlevel.checkpoint()
            with trio.move_on_after(LOOK_EVERY_S):
                await ended.wait()


async def _probe(measuring: Measuring, echoer: Echoer, probe: Probe, ended: trio.Event) -> None:
    outcome = await echoer.carry_out(probe)
    measuring.ended(probe, outcome, echoer.clock())
    ended.set()


async def _one_small(exchanges: _Exchanges, seal: Callable[[SizeClass], Echo]) -> Outcome:
    tally = _Tally()
    await exchanges.run(seal, SizeClass.SMALL, 1, tally)
    return tally.broken or Echoed()


def _patience_s(hops: int) -> float:
    return SwitchLimits().patience_s(hops - 1) + MARGIN_S


class _Tally:
    """What came back so far; it stands when the deadline ends the waiting."""

    def __init__(self) -> None:
        self.echoes = 0
        self.broken: Broken | None = None

    def add(self, broken: Broken | None) -> None:
        if broken is None:
            self.echoes += 1
        else:
            self.broken = broken


class _Exchanges:
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
        self, seal: Callable[[SizeClass], Echo], size_class: SizeClass, count: int, tally: _Tally
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
        # Whoever always has more to say would otherwise keep the thread.
        await trio.lowlevel.checkpoint()
        while not (filled := self._wire.tls.read_into(self._plaintext)):
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
