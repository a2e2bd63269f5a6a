"""The authority's machine in virtual time: it collects descriptors, dials their relays,
signs once in a period, and serves documents.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from onionpath.crypto.identity import IdentityKey
from onionpath.crypto.tags import TagKey
from onionpath.directory.address import Address
from onionpath.directory.directory import Directory
from onionpath.directory.trust import TrustRoot
from onionpath.errors import OnionPathError
from onionpath.injected import UnixTime
from onionpath.onion.replay import MemoryTables, ReplayMemory
from onionpath.service.calls import Service, ServiceId
from onionpath.service.directory import DirectoryService, Publication
from onionpath.service.echo import EchoService
from onionpath.service.registry import Registry
from relay.authority.running import TICK_S
from relay.authority.signing import Authority, Signed
from relay.switch import Switch
from simulations.virtual.chance import bytes_of
from simulations.virtual.clocks import MachineClock
from simulations.virtual.driver import SwitchDriver, deadlines
from simulations.virtual.heap import Task
from simulations.virtual.prober import Prober
from simulations.virtual.record import watch
from simulations.virtual.relays import World
from simulations.virtual.wires import Holder

# The real one looks at the clock ten times in a second. Between two periods there is nothing to see, so this one
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
    """A machine with the network's one authority on it; made stopped. Its disk holds keys and the signer's state."""

    name = NAME

    def __init__(
        self, world: World, keys: AuthorityKeys, *, period_s: int, first_document_relays: int
    ) -> None:
        self._world = world
        self._heap = world.heap
        self._keys = keys
        self._period_s = period_s
        self._first_document_relays = first_document_relays
        self._entropy = bytes_of(world.seed, NAME)
        self.link_key_hash = keys.link_key_hash
        self.clock = MachineClock(world.heap)
        self.steady = self.clock.steady()
        self.state: bytes | None = None
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

    def make(self) -> Authority:
        """The signer as a start makes it, from what the disk holds."""
        root: TrustRoot = self._world.root
        return Authority(
            identity=self._keys.identity,
            root=root,
            parameters=root.parameters,
            period_s=self._period_s,
            first_document_relays=self._first_document_relays,
            probes=True,
            state=self.state,
        )

    def start(self) -> None:
        """Start the process from what the disk holds."""
        assert self.driver is None
        self.steady = self.clock.steady()
        authority = self.make()
        geometry = self._world.root.parameters.geometry
        prober = Prober(NAME, authority, self._world.fabric, geometry, clock=self.now)
        directory = DirectoryService(collector=self._collector(authority, prober))
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
            self._heap.spawn(self._sign_forever(authority, directory)),
        ]

    def _collector(self, authority: Authority, prober: Prober) -> Callable[[bytes], None]:
        def collect(envelope: bytes) -> None:
            try:
                authority.collect(envelope, now=self.now())
            except OnionPathError as error:
                reason = str(getattr(error, "reason", type(error).__name__))
                self.refused[reason] = self.refused.get(reason, 0) + 1
                raise
            prober.soon()

        return collect

    async def _sign_forever(self, authority: Authority, directory: DirectoryService) -> None:
        before = authority.directory
        if before is not None:
            directory.replace(Publication.of(before))
        while True:
            signed = authority.tick(self.now())
            if signed is not None:
                self.store(signed)
                directory.replace(Publication.of(signed.directory, before=before))
                before = signed.directory
            await self._heap.sleep(self._pause_s(before))

    def store(self, signed: Signed) -> None:
        """Keep the state of a new document on disk."""
        self.state = signed.state
        document = signed.directory.document
        self.signed.append(document.number)
        self._note("signed", outcome=f"{document.number} {len(document.relays)}")

    def _pause_s(self, before: Directory | None) -> float:
        now = self.now()
        if before is None or before.document.number < now // self._period_s:
            return TICK_S
        next_period_at = (now // self._period_s + 1) * self._period_s
        return min(LOOK_EVERY_S, next_period_at - now)

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
