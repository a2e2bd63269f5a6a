"""Dials relays to see whether they are where they say: the door of ``reachability``.

A probe proves the link key and nothing else; it is over when TLS is.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable

import structlog
import trio

from onionpath.errors import OnionPathError
from onionpath.injected import UnixTime
from onionpath.link.neighbour import Neighbour
from onionpath.onion.geometry import Geometry
from relay.authority.enrolment import Enrolment
from relay.authority.probe_turns import LOOK_EVERY_S, ProbeTurns
from relay.authority.reachability import Contact
from relay.caller import calling

log = structlog.get_logger(__name__)

PROBE_TIMEOUT_S = 10.0


class Prober:
    """Dials those whose turn it is, 16 at once and ten seconds each.

    Args:
        context: of TLS as a client.
    """

    def __init__(
        self,
        enrolment: Enrolment,
        geometry: Geometry,
        *,
        context: ssl.SSLContext,
        clock: Callable[[], UnixTime],
    ) -> None:
        self._enrolment = enrolment
        self._geometry = geometry
        self._context = context
        self._clock = clock
        self._turns = ProbeTurns(enrolment)
        self._wanted = trio.Event()

    def soon(self) -> None:
        """Somebody has published, or a probe has ended."""
        self._wanted.set()

    async def run(self) -> None:
        """Probe until cancelled."""
        async with trio.open_nursery() as nursery:
            while True:
                self._wanted = trio.Event()
                for contact in self._turns.take(self._clock()):
                    nursery.start_soon(self._probe, contact)
                with trio.move_on_after(LOOK_EVERY_S):
                    await self._wanted.wait()

    async def _probe(self, contact: Contact) -> None:
        try:
            reached = await self._reaches(contact)
            if not reached:
                log.info("relay_not_reached", relay=contact.relay_id.hex())
            self._enrolment.probed(contact, reached=reached, now=self._clock())
        finally:
            self._turns.ended(contact)
            self.soon()

    async def _reaches(self, contact: Contact) -> bool:
        """Whether its key answers at each of its addresses: others are sent to any of them."""
        with trio.move_on_after(PROBE_TIMEOUT_S):
            try:
                for address in contact.addresses:
                    neighbour = Neighbour.at(address, contact.link_key_hash)
                    async with calling(neighbour, self._geometry, self._context):
                        pass
            except OnionPathError:
                return False
            except Exception as error:
                # A bug that one relay's bytes can reach must not end the probes of all others.
                log.error("probe_failed", kind=type(error).__name__)
                return False
            return True
        return False
