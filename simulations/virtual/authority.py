"""The authority's machine in virtual time: it collects descriptors, dials their relays, agrees with itself as
several would, and serves documents.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from onionpath.crypto.identity import IdentityKey
from onionpath.crypto.tags import TagKey
from onionpath.directory.address import Address
from onionpath.directory.directory import Directory, assemble
from onionpath.directory.document import Document
from onionpath.directory.trust import TrustRoot
from onionpath.errors import OnionPathError
from onionpath.injected import UnixTime
from onionpath.onion.replay import MemoryTables, ReplayMemory
from onionpath.service.calls import Service, ServiceId
from onionpath.service.directory import Collector, DirectoryService
from onionpath.service.echo import EchoService
from onionpath.service.registry import Registry
from relay.authority.actions import Actions
from relay.authority.agreement import Agreement
from relay.authority.calendar import LEAST_BETWEEN_TICKS_S
from relay.authority.enrolment import Enrolment
from relay.authority.office import Office
from relay.authority.publishing import Publishing
from relay.switch import Switch
from simulations.virtual.chance import bytes_of
from simulations.virtual.clocks import MachineClock
from simulations.virtual.driver import SwitchDriver, deadlines
from simulations.virtual.heap import Task
from simulations.virtual.prober import Prober
from simulations.virtual.record import watch
from simulations.virtual.relays import World
from simulations.virtual.wires import Holder

# The real one looks at the clock every second or more often. Between two rounds there is nothing to see, so this one
# sleeps until the next begins; a clock that is set is noticed after this time.
LOOK_EVERY_S = 5.0
NAME = "authority"


@dataclass(frozen=True, slots=True)
class AuthorityKeys:
    """What the trust root says of it, and its secret."""

    identity: IdentityKey
    address: Address
    link_key_hash: bytes


class VirtualAuthority:
    """A machine with the network's one authority on it; made stopped. Its disk holds keys, diary and directory."""

    name = NAME

    def __init__(self, world: World, keys: AuthorityKeys, *, first_document_relays: int) -> None:
        self._world = world
        self._heap = world.heap
        self._keys = keys
        self._first_document_relays = first_document_relays
        self._entropy = bytes_of(world.seed, NAME)
        self.link_key_hash = keys.link_key_hash
        self.clock = MachineClock(world.heap)
        self.steady = self.clock.steady()
        self.state: bytes | None = None
        self.directory: Directory | None = None
        self.driver: SwitchDriver | None = None
        self.signed: list[int] = []
        self.refused: dict[str, int] = {}
        self._tasks: list[Task] = []
        self._prober: Prober | None = None
        world.fabric.host(str(keys.address), self)

    @property
    def listener(self) -> Holder | None:
        """Whoever takes a connection now."""
        return self.driver

    @property
    def is_running(self) -> bool:
        """Whether its process lives."""
        return self.driver is not None

    @property
    def switch(self) -> Switch:
        """Of this life."""
        assert self.driver is not None
        return self.driver.switch

    def now(self) -> UnixTime:
        """What it takes for the time."""
        return self.steady.now()

    def make(self) -> Office:
        """The authority as a start makes it, from what the disk holds."""
        root: TrustRoot = self._world.root
        agreement = Agreement(
            identity=self._keys.identity, root=root, state=self.state, entropy=self._entropy
        )
        enrolment = Enrolment(root)
        if self.directory is not None:
            enrolment.vouch(self.directory.envelopes.values())
        return Office(agreement, enrolment, first_document_relays=self._first_document_relays)

    def start(self) -> None:
        """Start the process from what the disk holds."""
        assert self.driver is None
        self.steady = self.clock.steady()
        office = self.make()
        geometry = self._world.root.parameters.geometry
        prober = Prober(NAME, office.enrolment, self._world.fabric, geometry, clock=self.now)
        directory = DirectoryService(collector=self._collector(office, prober))
        services: dict[int, Service] = {
            int(ServiceId.ECHO): EchoService(),
            int(ServiceId.DIRECTORY): directory,
        }
        world = self._world
        switch = Switch(
            world.onion,
            self._keys.identity,
            network_id=world.root.network_id,
            link_key_hash=self.link_key_hash,
            replay=ReplayMemory(MemoryTables(capacity=8), TagKey(self._entropy(32))),
            limits=world.limits,
            entropy=self._entropy,
            watch=watch(world.fabric.record, NAME, world.heap, world.name_of),
        )
        registry = Registry(services, deadlines(self._heap))
        self.driver = SwitchDriver(NAME, world.fabric, switch, registry, clock=self.now)
        self._note("started")
        self._prober = prober
        self._tasks = [
            self._heap.spawn(prober.run()),
            self._heap.spawn(self._agree_forever(office, directory)),
        ]

    def _collector(self, office: Office, prober: Prober) -> Collector:
        def collect(envelope: bytes, caller: int) -> None:
            try:
                office.enrolment.collect(envelope, now=self.now(), link=caller)
            except OnionPathError as error:
                reason = str(getattr(error, "reason", type(error).__name__))
                self.refused[reason] = self.refused.get(reason, 0) + 1
                raise
            prober.soon()

        return collect

    async def _agree_forever(self, office: Office, service: DirectoryService) -> None:
        publishing = Publishing()
        if self.directory is not None:
            publishing.announce(self.directory.document, self.directory.envelopes.values())
        while True:
            document = carry_out(office, office.tick(self.now()), self.now(), store=self._keep)
            if document is not None:
                self.store(join(office, document, self.directory))
            if self.directory is not None:
                publishing.announce(self.directory.document, self.directory.envelopes.values())
            if publishing.due(self.now()) and publishing.publication:
                service.replace(publishing.publication)
            await self._heap.sleep(self._pause_s(office, publishing))

    def _keep(self, state: bytes) -> None:
        self.state = state

    def store(self, directory: Directory) -> None:
        """Keep a new document with its descriptors on disk."""
        self.directory = directory
        document = directory.document
        self.signed.append(document.number)
        self._note("signed", outcome=f"{document.number} {len(document.relays)}")

    def warm_up(self, office: Office) -> Directory:
        """The first document, without waiting for its rounds."""
        document = agree_at_once(office, self._heap.now, store=self._keep)
        assert document is not None, "enough relays were collected"
        self.store(join(office, document, None))
        assert self.directory is not None
        return self.directory

    def _pause_s(self, office: Office, publishing: Publishing) -> float:
        now = self.now()
        waits_for = [now + LOOK_EVERY_S, office.agreement.calendar.next_round_at(now)]
        newest = publishing.newest
        if newest is not None and newest.document.valid_from > now:
            waits_for.append(newest.document.valid_from)
        return max(LEAST_BETWEEN_TICKS_S, min(waits_for) - now)

    def kill(self) -> None:
        """SIGKILL; keys and state stay on disk."""
        assert self.driver is not None
        assert self._prober is not None
        self._note("killed")
        for task in self._tasks:
            task.cancel()
        self._prober.end()
        self.driver.end()
        self.driver = self._prober = None

    def _note(self, kind: str, *, outcome: str = "") -> None:
        self._world.fabric.record.note(self._heap.now, NAME, kind, outcome=outcome)


def carry_out(
    office: Office, actions: Actions, now: UnixTime, *, store: Callable[[bytes], None]
) -> Document | None:
    """Store what is to be stored, at once, and go on until there is nothing left; a new document, if there is one."""
    document = actions.document
    while actions.state is not None:
        store(actions.state)
        actions = office.agreement.stored(now)
        document = actions.document or document
    return document


def agree_at_once(
    office: Office, now: UnixTime, *, store: Callable[[bytes], None] = lambda state: None
) -> Document | None:
    """What a network's only authority agrees on in the opening for this period, without waiting for its rounds."""
    agreement = office.agreement
    period_s = agreement.calendar.rounds.period_s
    is_due = agreement.calendar.opening(now).recovery_at
    opening = agreement.calendar.opening(now if is_due else UnixTime((now // period_s - 0.5) * period_s))
    begins_at, round_s = (
        agreement.calendar.rounds.begins_at(opening),
        agreement.calendar.rounds.round_s(opening),
    )
    document = None
    votes_at = max(0.0, min(0.4, (now - begins_at) / round_s))
    for rounds in (votes_at, 1.9, 2.1):
        at = UnixTime(begins_at + rounds * round_s)
        document = carry_out(office, office.tick(at), at, store=store) or document
    return document


def join(office: Office, document: Document, before: Directory | None) -> Directory:
    """A document with its descriptors, all of which its only authority knows."""
    return assemble(document, office.enrolment.envelopes(), known=before)
