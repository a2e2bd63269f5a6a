"""``virtual_network``: relays, an authority and clients in one event heap, and the verbs of experiments.

Nodes are meant by name ("relay-3", "authority", "client-0"), by a relay's number or id, or by themselves.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from onionpath.crypto.identity import IdentityKey, RelayId
from onionpath.directory.address import Address
from onionpath.directory.descriptor import sign_descriptor
from onionpath.directory.directory import Directory
from onionpath.directory.parameters import Parameters
from onionpath.directory.trust import Authority as TrustedAuthority
from onionpath.directory.trust import TrustRoot
from onionpath.injected import UnixTime
from onionpath.onion.native import NativeOnion
from onionpath.path.constraints import Constraints
from onionpath.path.path_memory import PathMemory
from onionpath.path.roles import NO_CONSTRAINTS
from relay.authority.reachability import Contact
from relay.limits import SwitchLimits
from simulations.virtual.authority import AuthorityKeys, VirtualAuthority
from simulations.virtual.chance import bytes_of
from simulations.virtual.clients import VirtualClient
from simulations.virtual.exit import Destinations
from simulations.virtual.heap import EventHeap
from simulations.virtual.record import Record
from simulations.virtual.relays import MakeService, VirtualRelay, World
from simulations.virtual.shared import SharedDirectories
from simulations.virtual.wires import Fabric, WireModel

# A whole number of periods, epochs and slots after 1970, so that scenarios begin at a boundary of each.
START = UnixTime(1_800_014_400.0)
# Above it, parsing everybody's descriptors at everybody is nearly all that a simulation does.
SPARE_DESCRIPTORS_FROM = 100

Node = VirtualRelay | VirtualAuthority | VirtualClient
Meant = Node | RelayId | str | int


@dataclass(frozen=True, slots=True)
class Plan:
    """What kind of network; the defaults are those of the programs.

    Args:
        relays: at the start.
        seed: of all chance.
        parameters: the network's.
        period_s: between documents; they are valid for three periods.
        wires: latency, jitter and bandwidth.
        limits: of every switch.
        replay_entries: for each slot of each relay; a scenario with more packets than that sheds.
        services: more than echo and directory, by number.
        destinations: servers by host and port; with any, every relay is an exit to them.
        warm: start as if relays had been up for long, everybody with the first document; otherwise they
            publish, and the authority signs, over wires.
        record: keep what observers could see; it grows with every frame.
    """

    relays: int = 9
    seed: int = 7
    parameters: Parameters = field(default_factory=Parameters)
    period_s: int = 3_600
    wires: WireModel = field(default_factory=WireModel)
    limits: SwitchLimits = field(default_factory=SwitchLimits)
    replay_entries: int = 4_096
    services: Mapping[int, MakeService] = field(default_factory=dict)
    destinations: Destinations = field(default_factory=dict)
    warm: bool = True
    record: bool = True


class VirtualNetwork:
    """Made by ``virtual_network``; time passes in ``advance`` and while a request is awaited."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.heap = EventHeap(START)
        self.record = Record(keep=plan.record)
        self.fabric = Fabric(self.heap, plan.wires, self.record, seed=plan.seed)
        entropy = bytes_of(plan.seed, "network")
        keys = AuthorityKeys(IdentityKey(entropy(32)), Address("59.0.0.1", 443), entropy(32))
        trusted = TrustedAuthority(keys.identity.public, keys.address, keys.link_key_hash)
        parameters = replace(plan.parameters, period_s=plan.period_s)
        root = TrustRoot(entropy(32), "virtual", (trusted,), 1, parameters)
        self._names: dict[RelayId, str] = {}
        self.world = World(
            seed=plan.seed,
            root=root,
            onion=NativeOnion(plan.parameters.geometry, root.network_id),
            heap=self.heap,
            fabric=self.fabric,
            shared=SharedDirectories(spare_descriptors=plan.relays > SPARE_DESCRIPTORS_FROM),
            limits=plan.limits,
            replay_entries=plan.replay_entries,
            services=plan.services,
            destinations=plan.destinations,
            name_of=lambda relay_id: self._names.get(relay_id, relay_id.hex()[:8]),
        )
        self.authority = VirtualAuthority(self.world, keys, first_document_relays=plan.relays)
        self.relays: list[VirtualRelay] = []
        self.clients: list[VirtualClient] = []
        self._first: Directory | None = None
        for _ in range(plan.relays):
            self._make_relay()
        if plan.warm:
            self._warm_up()
        self.authority.start()
        for relay in self.relays:
            relay.start(published=plan.warm)

    def _make_relay(self) -> VirtualRelay:
        number = len(self.relays)
        # Each in a /16 of its own, because paths ask for it.
        relay = VirtualRelay(
            self.world, f"relay-{number}", Address(f"{60 + number // 256}.{number % 256}.0.1", 443)
        )
        self._names[relay.relay_id] = relay.name
        self.relays.append(relay)
        return relay

    def _warm_up(self) -> None:
        """The first document, agreed on by the production authority from descriptors that nobody had to carry."""
        office = self.authority.make()
        for relay in self.relays:
            relay.make_keys()
            descriptor = relay.describe()
            office.enrolment.collect(sign_descriptor(descriptor, relay.disk.identity), now=self.heap.now)
            office.enrolment.probed(Contact.of(descriptor), reached=True, now=self.heap.now)
        self._first = self.world.shared.intern(self.authority.warm_up(office))
        for relay in self.relays:
            relay.disk.directory = self._first

    # Who takes part.

    def client(
        self,
        *,
        cold: bool = False,
        refreshes: bool = True,
        memory: PathMemory | None = None,
        constraints: Constraints = NO_CONSTRAINTS,
        hedges: bool = False,
    ) -> VirtualClient:
        """A new client, with the newest directory that a running relay has unless it is cold.

        Args:
            refreshes: whether it keeps its directory fresh.
            memory: what an earlier client kept of guards and middles.
            constraints, hedges: as of ``onionpath.Client``.
        """
        client = VirtualClient(
            self.world,
            f"client-{len(self.clients)}",
            directory=None if cold else self.newest_directory(),
            run_until=self._run_until,
            refreshes=refreshes,
            memory=memory,
            constraints=constraints,
            hedges=hedges,
        )
        self.clients.append(client)
        return client

    def newest_directory(self) -> Directory | None:
        """The newest that a running relay has."""
        keepers = [relay.keeper for relay in self.relays if relay.keeper is not None]
        known = [keeper.directory for keeper in keepers if keeper.directory is not None]
        return max(known, key=lambda directory: directory.document.number, default=self._first)

    def add_relay(self) -> VirtualRelay:
        """A relay that nobody knows yet starts, and publishes itself."""
        relay = self._make_relay()
        relay.start()
        return relay

    def relay(self, meant: Meant) -> VirtualRelay:
        """The relay that is meant."""
        node = self.node(meant)
        assert isinstance(node, VirtualRelay), f"{node.name} is no relay"
        return node

    def node(self, meant: Meant) -> Node:
        """The node that is meant.

        Raises:
            KeyError: there is none.
        """
        if isinstance(meant, int):
            return self.relays[meant]
        if isinstance(meant, bytes):
            meant = self._names[RelayId(meant)]
        if isinstance(meant, str):
            everybody: list[Node] = [self.authority, *self.relays, *self.clients]
            for node in everybody:
                if node.name == meant:
                    return node
            raise KeyError(meant)
        return meant

    # Time.

    @property
    def now(self) -> UnixTime:
        """The true time."""
        return self.heap.now

    def advance(self, seconds: float = 0.0, *, minutes: float = 0.0, hours: float = 0.0) -> None:
        """Let time pass."""
        self.heap.run_until(self.heap.now + seconds + 60.0 * minutes + 3_600.0 * hours)

    def _run_until(self, holds: Callable[[], bool]) -> None:
        # Every request has a deadline, so this ends; a day is beyond all of them.
        self.heap.run_until(self.heap.now + 86_400.0, unless=holds)

    # What may happen to nodes.

    def kill(self, meant: Meant) -> None:
        """SIGKILL: memory is gone, the disk stays."""
        node = self.node(meant)
        assert not isinstance(node, VirtualClient), "clients are not killed"
        node.kill()

    def pause(self, meant: Meant) -> None:
        """SIGSTOP: a relay's process stops where it is, and its machine goes on."""
        self.relay(meant).pause()

    def resume(self, meant: Meant) -> None:
        """SIGCONT: a paused relay goes on."""
        self.relay(meant).resume()

    def restart(self, meant: Meant) -> None:
        """Start a stopped node from its disk."""
        node = self.node(meant)
        assert not isinstance(node, VirtualClient), "clients are not killed"
        node.start()

    def drain(self, meant: Meant) -> None:
        """A relay begins to stop cleanly; time must pass until it is down."""
        self.relay(meant).drain()

    def lose_power(self, meant: Meant) -> None:
        """A relay's machine stops and loses what was not flushed; ``restart`` boots it again."""
        self.relay(meant).lose_power()

    def skew(self, meant: Meant, seconds: float) -> None:
        """Set a node's wall clock to the truth plus so much: forwards or back, as an operator or NTP would."""
        self.node(meant).clock.skew_s = seconds

    def drift(self, meant: Meant, rate: float) -> None:
        """Let a node's clocks gain ``rate`` seconds per second."""
        self.node(meant).clock.set_drift(rate)

    # What may happen to wires.

    def cut(self, one: Meant, other: Meant) -> int:
        """Break every connection between two; gives how many there were."""
        return self.fabric.cut(self.node(one).name, self.node(other).name)

    def part(self, one: Meant, other: Meant) -> None:
        """Break them, and let no new one be made until ``heal``."""
        self.fabric.part(self.node(one).name, self.node(other).name)

    def heal(self, one: Meant, other: Meant) -> None:
        """Undo ``part`` and ``stall``."""
        self.fabric.heal(self.node(one).name, self.node(other).name)

    def stall(self, one: Meant, other: Meant, *, seconds: float | None = None) -> None:
        """Deliver nothing between two, for so long or until ``heal``."""
        names = self.node(one).name, self.node(other).name
        self.fabric.stall(*names)
        if seconds is not None:
            self.heap.after(seconds, self.fabric.resume, *names)

    # What can be seen of it.

    def counts(self) -> Counter[str]:
        """Named counts of all running relays together, of their present lives."""
        total: Counter[str] = Counter()
        for relay in self.relays:
            if relay.is_running:
                total.update(relay.counts)
        return total

    def is_balanced(self) -> bool:
        """Whether no running relay holds anything: no exchange, no call, no byte, and no service a call."""
        for relay in self.relays:
            if relay.driver is not None:
                figures = relay.driver.switch.statistics()
                running = relay.driver.registry.statistics().running.values()
                held = figures.in_flight, figures.waiting, figures.calls, figures.queued_bytes
                if any((*held, *running)):
                    return False
        return True


def virtual_network(relays: int = 9, seed: int = 7, **plan: object) -> VirtualNetwork:
    """A running network; see ``Plan`` for more arguments."""
    return VirtualNetwork(Plan(relays=relays, seed=seed, **plan))  # type: ignore[arg-type]
