"""An authority's probes in virtual time: the counterpart of ``relay.authority.probing`` with its numbers."""

from __future__ import annotations

from collections.abc import Callable

from onionpath.errors import OnionPathError
from onionpath.injected import UnixTime
from onionpath.link.neighbour import Neighbour
from onionpath.onion.geometry import Geometry
from relay.authority.enrolment import Enrolment
from relay.authority.probe_turns import LOOK_EVERY_S, ProbeTurns
from relay.authority.probing import PROBE_TIMEOUT_S
from relay.authority.reachability import Contact
from simulations.virtual.connections import connect
from simulations.virtual.heap import Promise, Task
from simulations.virtual.wires import Fabric


class Prober:
    """Dials those whose turn it is, for one life of an authority."""

    def __init__(
        self,
        name: str,
        enrolment: Enrolment,
        fabric: Fabric,
        geometry: Geometry,
        *,
        clock: Callable[[], UnixTime],
    ) -> None:
        self._name, self._enrolment, self._fabric = name, enrolment, fabric
        self._geometry, self._clock = geometry, clock
        self._heap = fabric.heap
        self._turns = ProbeTurns(enrolment)
        self._under_way: dict[Contact, Task] = {}
        self._wanted: Promise[None] = Promise(self._heap)

    def soon(self) -> None:
        """Somebody has published, or a probe has ended."""
        self._wanted.keep(None)

    async def run(self) -> None:
        """Probe until cancelled."""
        while True:
            self._wanted = Promise(self._heap)
            for contact in self._turns.take(self._clock()):
                task = self._under_way[contact] = Task(self._probe(contact))
                task.step()
            timer = self._heap.after(LOOK_EVERY_S, self._wanted.keep, None)
            try:
                await self._wanted
            finally:
                timer.cancel()

    def end(self) -> None:
        """The process is gone."""
        for task in self._under_way.values():
            task.cancel()

    async def _probe(self, contact: Contact) -> None:
        try:
            reached = await self._heap.within(PROBE_TIMEOUT_S, self._reaches(contact))
        except TimeoutError:
            reached = False
        outcome = "reached" if reached else "not reached"
        self._fabric.record.note(
            self._heap.now, self._name, "probed", outcome=f"{contact.addresses[0]} {outcome}"
        )
        self._enrolment.probed(contact, reached=reached, now=self._clock())
        self._under_way.pop(contact, None)
        self._turns.ended(contact)
        self.soon()

    async def _reaches(self, contact: Contact) -> bool:
        try:
            for address in contact.addresses:
                neighbour = Neighbour.at(address, contact.link_key_hash)
                (await connect(self._name, self._fabric, neighbour, self._geometry)).close()
        except OnionPathError:
            return False
        return True
