"""A real network on loopback inside of one trio loop: real TLS, real switches, one authority. No signals, no disk
but for the certificates that TLS wants as files.
"""

from __future__ import annotations

import os
import random
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from onionpath.crypto.certificates import make_link_certificate
from onionpath.crypto.hybrid import HybridPrivateKey
from onionpath.crypto.identity import IdentityKey, RelayId
from onionpath.crypto.tags import TagKey
from onionpath.directory.address import Address
from onionpath.directory.descriptor import Descriptor, PacketKey
from onionpath.directory.directory import Directory
from onionpath.directory.parameters import Parameters
from onionpath.directory.trust import Authority as Signer
from onionpath.directory.trust import TrustRoot
from onionpath.injected import Entropy, UnixTime
from onionpath.link.neighbour import Neighbour
from onionpath.link.tls import client_context, server_context
from onionpath.onion.native import NativeOnion
from onionpath.onion.packets import HopKey
from onionpath.onion.replay import MemoryTables, ReplayMemory
from onionpath.service.calls import Reply, Service, ServiceId
from onionpath.service.directory import DirectoryService, Publication
from onionpath.service.echo import EchoService
from onionpath.service.registry import Registry
from relay.authority.agreement import Agreement
from relay.authority.enrolment import Enrolment
from relay.authority.office import Office
from relay.exit.streams import StreamService
from relay.limits import SwitchLimits
from relay.links import Links, Timeouts
from relay.listener import Gate, GateLimits, accept_forever, bind
from relay.network_keeper import NetworkKeeper
from relay.switch import Switch
from simulations.virtual.authority import agree_at_once, join
from tests.exit.servers import local_dialer

PARAMETERS = Parameters(distinct_subnets=False)
PERIOD_S = PARAMETERS.period_s
NETWORK_ID = bytes(range(32))


def clock() -> UnixTime:
    """The time now."""
    return UnixTime(time.time())


async def with_deadline(answer: Callable[[], Awaitable[Reply]], timeout_s: float) -> Reply | None:
    """For registries: as the daemon has it."""
    with trio.move_on_after(timeout_s):
        return await answer()
    return None


class Node:
    """A relay's keys, listening socket and switch; ``serve`` runs it until cancelled."""

    def __init__(
        self,
        folder: Path,
        *,
        limits: SwitchLimits | None = None,
        timeouts: Timeouts | None = None,
        gate: GateLimits | None = None,
        entropy: Entropy = os.urandom,
    ) -> None:
        folder.mkdir()
        self.folder = folder
        self.identity = IdentityKey(os.urandom(32))
        self.relay_id = self.identity.relay_id
        certificate = make_link_certificate()
        (folder / "certificate.pem").write_bytes(certificate.certificate_pem)
        (folder / "key.pem").write_bytes(certificate.key_pem)
        self.key_hash = certificate.key_hash
        self.private = HybridPrivateKey(os.urandom(32))
        self.socket = bind("127.0.0.1", 0)
        self.port: int = self.socket.getsockname()[1]
        self.gate = Gate(gate or GateLimits())
        self.timeouts = timeouts or Timeouts()
        self.clock: Callable[[], UnixTime] = clock
        self.services: dict[int, Service] = {ServiceId.ECHO: EchoService()}
        self.replay = ReplayMemory(MemoryTables(), TagKey(os.urandom(32)))
        self.switch = Switch(
            NativeOnion(PARAMETERS.geometry, NETWORK_ID),
            self.identity,
            network_id=NETWORK_ID,
            link_key_hash=self.key_hash,
            replay=self.replay,
            limits=limits or SwitchLimits(),
            entropy=entropy,
        )
        self.epoch = int(clock() // PARAMETERS.epoch_s)
        self.switch.use_keys({self.epoch % 256: HopKey(self.relay_id, self.epoch % 256, self.private)})
        self.scope = trio.CancelScope()
        self.links: Links | None = None

    @property
    def neighbour(self) -> Neighbour:
        """Where to reach it."""
        return Neighbour("127.0.0.1", self.port, self.key_hash)

    @property
    def counts(self) -> dict[str, int]:
        """The switch's counts."""
        return dict(self.switch.statistics().counts)

    def describe(self) -> Descriptor:
        """The descriptor as it is now."""
        start = self.epoch * PARAMETERS.epoch_s
        # Two epochs, so that a test which runs over the end of one still finds a key.
        times = UnixTime(start), UnixTime(start + 2 * PARAMETERS.epoch_s)
        is_exit = ServiceId.STREAM in self.services
        return Descriptor(
            relay_id=self.relay_id,
            addresses=(Address("127.0.0.1", self.port),),
            link_key_hash=self.key_hash,
            packet_keys=(PacketKey(self.epoch, *times, self.private.public),),
            family=(),
            services=tuple(sorted(self.services)),
            exit_policy=("accept *:*",) if is_exit else (),
            version="test",
            published_at=UnixTime(int(clock())),
            network_id=NETWORK_ID,
        )

    async def serve(
        self,
        run: Callable[[trio.Nursery, Links], Awaitable[None]] | None = None,
        task_status: trio.TaskStatus[Links] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Accept and carry until cancelled."""
        with self.socket, self.scope:
            async with trio.open_nursery() as nursery:
                self.links = Links(
                    self.switch,
                    Registry(self.services, with_deadline),
                    nursery,
                    server_tls=self.server_tls(),
                    client_tls=client_context(),
                    clock=lambda: self.clock(),
                    timeouts=self.timeouts,
                )
                nursery.start_soon(self.links.run)

                async def accept() -> None:
                    assert self.links is not None
                    await accept_forever(self.socket, self.gate, self.links.accepted, nursery, clock=clock)

                nursery.start_soon(accept)
                if run is not None:
                    await run(nursery, self.links)
                task_status.started(self.links)

    def server_tls(self) -> ssl.SSLContext:
        """Its side of TLS."""
        return server_context(self.folder / "certificate.pem", self.folder / "key.pem")

    def close(self) -> None:
        """For nodes that were never served."""
        self.socket.close()


class AuthorityNode(Node):
    """A node that collects descriptors and signs documents."""

    def __init__(self, folder: Path, *, relays: int) -> None:
        super().__init__(folder)
        signer = Signer(self.identity.public, Address("127.0.0.1", self.port), self.key_hash)
        self.root = TrustRoot(NETWORK_ID, "test", (signer,), 1, PARAMETERS)
        self.office = self.make_office(relays=relays)
        self.published: Directory | None = None
        self.collected: list[bytes] = []
        self.directory = DirectoryService(collector=self.collect)
        self.services[ServiceId.DIRECTORY] = self.directory

    def make_office(self, *, relays: int) -> Office:
        """The authority as a start without any state makes it."""
        agreement = Agreement(identity=self.identity, root=self.root, entropy=os.urandom)
        enrolment = Enrolment(self.root, private_addresses=True, probes=False)
        return Office(agreement, enrolment, first_document_relays=relays)

    def collect(self, envelope: bytes, caller: int | None = None) -> None:
        """Take a descriptor, and sign as soon as there are enough; rounds pass in no time."""
        self.office.enrolment.collect(envelope, now=clock(), link=caller)
        self.collected.append(envelope)
        document = agree_at_once(self.office, clock())
        if document is not None:
            self.published = join(self.office, document, self.published)
            self.directory.replace(Publication.of(self.published))


class RelayNode(Node):
    """A node with a ``NetworkKeeper``: it publishes, fetches, and hands the directory on."""

    def __init__(self, folder: Path, root: TrustRoot, *, limits: SwitchLimits | None = None) -> None:
        super().__init__(folder, limits=limits)
        self.root = root
        self.directory = DirectoryService()
        self.services[ServiceId.DIRECTORY] = self.directory
        self.keeper: NetworkKeeper | None = None
        self.exit: StreamService | None = None

    async def start(self, nursery: trio.Nursery, links: Links) -> None:
        """For ``serve``: begin to publish and fetch."""
        self.keeper = self.make_keeper(links)
        self.keeper.load()
        nursery.start_soon(self.keeper.run)

    def make_keeper(self, links: Links) -> NetworkKeeper:
        """A keeper with its snapshot in the node's folder."""
        return NetworkKeeper(
            self.root,
            self.identity,
            describe=self.describe,
            file=self.folder / "directory",
            links=links,
            service=self.directory,
            client_tls=client_context(),
            clock=clock,
            choice=random.Random(1),
        )

    def become_exit(self, nursery: trio.Nursery) -> None:
        """Offer streams to loopback."""
        self.exit = self.services[ServiceId.STREAM] = StreamService(local_dialer(), nursery)  # type: ignore[assignment]


class LocalNetwork:
    """Made by ``local_network``."""

    def __init__(self, authority: AuthorityNode, relays: list[RelayNode]) -> None:
        self.authority = authority
        self.relays = relays
        self.root = authority.root

    def node(self, relay_id: RelayId) -> RelayNode:
        """The relay of this name."""
        return next(relay for relay in self.relays if relay.relay_id == relay_id)


async def until(condition: Callable[[], object]) -> None:
    """Wait, in real time, for what real sockets bring about."""
    with trio.fail_after(20):
        while not condition():  # noqa: ASYNC110  # there is nothing to wait on inside of code under test
            await trio.sleep(0.01)


@asynccontextmanager
async def local_network(folder: Path, *, relays: int = 3) -> AsyncIterator[LocalNetwork]:
    """An authority and relays that are all exits, ready to carry."""
    async with trio.open_nursery() as nursery:
        authority = AuthorityNode(folder / "authority", relays=relays)
        await nursery.start(authority.serve)
        nodes = [RelayNode(folder / f"relay-{number}", authority.root) for number in range(relays)]
        for node in nodes:
            node.become_exit(nursery)
            await nursery.start(node.serve, node.start)
        await until(lambda: all(node.directory.publication for node in nodes))
        yield LocalNetwork(authority, nodes)
        nursery.cancel_scope.cancel()
