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
from onionpath.errors import FIRST_EDGE, OnionPathError
from onionpath.injected import Entropy, UnixTime
from onionpath.link.neighbour import Neighbour
from onionpath.onion.geometry import SizeClass
from onionpath.onion.native import NativeOnion
from onionpath.onion.packets import Hop
from relay.authority.echoes import Echo, hops_of, seal_echo
from relay.authority.findings import Broken, Echoed, Outcome
from relay.authority.first_hop import FirstHop, Tally
from relay.authority.measuring import Measuring
from relay.authority.probe_paths import Probe
from relay.caller import wired
from relay.limits import SwitchLimits

log = structlog.get_logger(__name__)

# Turns come due one by one, at times drawn with far more than this between them.
LOOK_EVERY_S = 1.0
# The first relay waits longest, and says then where it broke; whoever says nothing until here is blamed himself.
MARGIN_S = 4.0
# Ten times what a train was sized for: below a tenth of its last rate a relay's rate is what came until then.
TRAIN_TIMEOUT_S = 20.0


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
            log.error("echo_failed", kind=type(error).__name__)
            return None

    async def _carry_out(self, probe: Probe, hops: tuple[Hop, ...]) -> Outcome:
        onion = NativeOnion(self.parameters.geometry, self.network_id)
        neighbour = Neighbour.of_relay(probe.path[0].descriptor)
        echoed: Outcome = Broken(FIRST_EDGE)
        with trio.move_on_after(_patience_s(len(hops))) as waiting:
            try:
                async with wired(neighbour, self.context) as wire:
                    first_hop = FirstHop(wire, onion)
                    seal = partial(self._seal, onion, hops)
                    echoed = await _one_small(first_hop, seal)
                    if isinstance(echoed, Echoed) and probe.train:
                        waiting.deadline = math.inf  # the train has a deadline of its own
                        echoed = await self._train(first_hop, seal, probe.train)
            except* (OnionPathError, OSError, EOFError):
                # What was found out before the connection broke stands; at first that is: nothing came back.
                pass
        return echoed

    async def _train(self, first_hop: FirstHop, seal: Callable[[SizeClass], Echo], train: int) -> Echoed:
        started_at = trio.current_time()
        tally = Tally()
        try:
            with trio.move_on_after(TRAIN_TIMEOUT_S):
                await first_hop.run(seal, SizeClass.LARGE, train, tally)
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


async def _one_small(first_hop: FirstHop, seal: Callable[[SizeClass], Echo]) -> Outcome:
    tally = Tally()
    await first_hop.run(seal, SizeClass.SMALL, 1, tally)
    return tally.broken or Echoed()


def _patience_s(hops: int) -> float:
    return SwitchLimits().patience_s(hops - 1) + MARGIN_S
