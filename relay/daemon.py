"""The two programs: builds every part by calling its constructor and ties them together; ``serving`` runs them.

Life of a relay: keys, replay memory, switch, listeners, ready, and the end that ``serving`` describes.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import random
import socket
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import structlog
import trio

from onionpath.crypto.identity import RelayId
from onionpath.crypto.tags import TagKey
from onionpath.directory.address import Address
from onionpath.directory.descriptor import Descriptor
from onionpath.directory.trust import TrustRoot
from onionpath.disk.trust_file import read_trust_root
from onionpath.errors import SettingsError
from onionpath.injected import SteadyClock, UnixTime
from onionpath.link.tls import client_context, server_context
from onionpath.onion.native import NativeOnion
from onionpath.onion.replay import MemoryTables, ReplayMemory
from onionpath.service.call_memory import CallMemory
from onionpath.service.calls import Limits, Reply, Service, ServiceId
from onionpath.service.directory import DirectoryService
from onionpath.service.echo import EchoService
from onionpath.service.exit_policy import ExitPolicy, IPAddress
from onionpath.service.registry import Registry
from onionpath.version import VERSION
from relay.authority.making import make_authority
from relay.exit.dial import Dialer, connect
from relay.exit.interfaces import OwnAddresses
from relay.exit.resolver import SystemResolver
from relay.exit.streams import DEFAULT_LIMITS, StreamService
from relay.folder_lock import FolderLock
from relay.key_keeper import KeyKeeper
from relay.keys import (
    KeySchedule,
    NodeKeys,
    PacketKeyFiles,
    erase_packet_keys,
    has_packet_keys,
    load_relay_keys,
)
from relay.limits import OPENINGS_PART, SwitchLimits
from relay.lineage_files import read_roots
from relay.links import Links, Timeouts
from relay.listener import Gate, GateLimits, bind
from relay.network_keeper import NetworkKeeper
from relay.open_files import Shares, file_limit, share
from relay.opening_speed import openings_per_second
from relay.recorder import FrameRecorder
from relay.replay_files import ReplayFiles, read_boot_id
from relay.serving import Announce, Node, bound, serve
from relay.settings import AuthoritySettings, Endpoint, LimitsSection, RelaySettings
from relay.state_folder import CERTIFICATE_NAME, DIRECTORY_NAME, LINK_KEY_NAME, REPLAY_NAME
from relay.switch import Switch

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Base:
    """What a relay and an authority are both made of before anything runs."""

    state: Path
    limits: LimitsSection
    root: TrustRoot
    keys: NodeKeys
    clock: Callable[[], UnixTime]

    @classmethod
    def load(cls, settings: RelaySettings | AuthoritySettings) -> _Base:
        root = read_trust_root(settings.trust_root)
        keys = load_relay_keys(settings.state)
        clock = SteadyClock(time.time, time.monotonic).now
        return cls(settings.state, settings.limits, root, keys, clock)


async def run_relay(settings: RelaySettings, *, ready: Announce) -> None:
    """Run a relay until a signal ends it.

    Raises:
        SettingsError, KeyFileError: it cannot start; nothing was changed but what a start always writes.
    """
    base = _Base.load(settings)
    shares = share(file_limit(), is_exit=settings.exit.enabled)
    with ExitStack() as stack:
        stack.enter_context(FolderLock(base.state))
        replay_files = _open_replay(base)
        stack.callback(replay_files.close)
        packet_keys = _packet_keys(base)
        replay = ReplayMemory(replay_files, replay_files.tag_key, slot_s=base.root.parameters.slot_s)
        replay.advance(base.clock())
        recorder = _recorder(settings, base)
        if recorder is not None:
            stack.callback(recorder.close)
        listeners = stack.enter_context(_listening(settings.listen, "relay.listen"))
        async with trio.open_nursery() as nursery:
            services, directory = _services(settings, nursery, streams=shares.streams, listeners=listeners)
            switch_limits = base.limits.switch_limits(openings_per_second=_openings_per_second(base.root))
            node = _node(
                base, replay, services, listeners, nursery,
                shares=shares, switch_limits=switch_limits, recorder=recorder,
            )  # fmt: skip
            description = _Description(settings, base, packet_keys, listeners, services)
            keeper = NetworkKeeper(
                base.root,
                base.keys.identity,
                describe=description.now,
                file=base.state / DIRECTORY_NAME,
                links=node.links,
                service=directory,
                client_tls=client_context(),
                clock=base.clock,
                choice=random.SystemRandom(),
            )
            keeper.load()
            key_keeper = KeyKeeper(
                node.switch,
                packet_keys,
                replay,
                relay_id=node.relay_id,
                changed=keeper.publish_soon,
                clock=base.clock,
            )
            nursery.start_soon(keeper.run)
            nursery.start_soon(key_keeper.run)
            await serve(node, nursery, ready=ready)


async def run_authority(settings: AuthoritySettings, *, ready: Announce) -> None:
    """Run an authority until a signal ends it.

    Raises:
        SettingsError, KeyFileError: it cannot start.
    """
    base = _Base.load(settings)
    shares = share(file_limit(), is_exit=False)
    with ExitStack() as stack:
        stack.enter_context(FolderLock(base.state))
        roots = read_roots(settings.trust_root)
        listeners = stack.enter_context(_listening(settings.listen, "authority.listen"))
        made = make_authority(
            settings,
            base.keys.identity,
            roots,
            limits=_any_depth(base.limits),
            context=client_context(),
            clock=base.clock,
        )
        # An authority opens no packets, so it has nothing to remember of them.
        replay = ReplayMemory(MemoryTables(), TagKey(os.urandom(32)))
        async with trio.open_nursery() as nursery:
            switch_limits = base.limits.switch_limits()
            node = _node(
                base, replay, made.services, listeners, nursery, shares=shares, switch_limits=switch_limits
            )
            nursery.start_soon(made.run)
            await serve(node, nursery, ready=ready)


# Building.


def _open_replay(base: _Base) -> ReplayFiles:
    files = _replay_files(base)
    if files.is_far_ahead(base.clock()):
        # The clock was once far ahead. The old keys go first: then nothing recorded can come again under new tags.
        log.error("clock_was_ahead", packets_refused_until=files.refused_until, remedy="new packet keys")
        files.close()
        erase_packet_keys(base.state)
        files = _replay_files(base)
    if files.loss is not None:
        log.warning("replay_memory_lost", loss=files.loss.value, packets_refused_until=files.refused_until)
    return files


def _replay_files(base: _Base) -> ReplayFiles:
    return ReplayFiles(
        base.state / REPLAY_NAME,
        now=base.clock(),
        slot_s=base.root.parameters.slot_s,
        keys_existed=has_packet_keys(base.state),
        entropy=os.urandom,
        boot_id=read_boot_id(os.urandom),
        capacity=base.limits.replay_entries,
    )


def _packet_keys(base: _Base) -> PacketKeyFiles:
    parameters = base.root.parameters
    schedule = KeySchedule(parameters.epoch_s, parameters.slot_s)
    packet_keys = PacketKeyFiles(base.state, schedule, entropy=os.urandom)
    packet_keys.rotate(base.clock())
    return packet_keys


def _recorder(settings: RelaySettings, base: _Base) -> FrameRecorder | None:
    file = settings.simulation.record_frames
    return None if file is None else FrameRecorder(Path(file), base.clock)


def _openings_per_second(root: TrustRoot) -> float:
    return openings_per_second(root.parameters.geometry) * OPENINGS_PART


def _node(
    base: _Base,
    replay: ReplayMemory,
    services: Mapping[int, Service],
    listeners: Sequence[socket.socket],
    nursery: trio.Nursery,
    *,
    shares: Shares,
    switch_limits: SwitchLimits,
    recorder: FrameRecorder | None = None,
) -> Node:
    limits = base.limits
    memory = CallMemory(base.clock, slot_s=base.root.parameters.slot_s)
    registry = Registry(services, _with_deadline, memory=memory)
    switch = Switch(
        NativeOnion(base.root.parameters.geometry, base.root.network_id),
        base.keys.identity,
        network_id=base.root.network_id,
        link_key_hash=base.keys.link.key_hash,
        replay=replay,
        limits=switch_limits,
        entropy=os.urandom,
        watch=recorder,
    )
    links = Links(
        switch,
        registry,
        nursery,
        server_tls=server_context(base.state / CERTIFICATE_NAME, base.state / LINK_KEY_NAME),
        client_tls=client_context(),
        clock=base.clock,
        timeouts=Timeouts(limits.connect_s, limits.handshake_s),
        most_dialled=shares.dialled,
        recorder=recorder,
    )
    gate = Gate(GateLimits(connections=shares.accepted))
    return Node(base.keys.identity.relay_id, listeners, gate, links, switch, registry, base.clock)


def _services(
    settings: RelaySettings, nursery: trio.Nursery, *, streams: int, listeners: Sequence[socket.socket]
) -> tuple[dict[int, Service], DirectoryService]:
    limits = _any_depth(settings.limits)
    directory = DirectoryService(limits=limits)
    services: dict[int, Service] = {ServiceId.ECHO: EchoService(limits), ServiceId.DIRECTORY: directory}
    if settings.exit.enabled:
        dialer = Dialer(
            ExitPolicy.parse(settings.exit.policy),
            own=OwnAddresses(
                trio.current_time, advertised=[ipaddress.ip_address(each.host) for each in settings.published]
            ),
            listeners=[_endpoint(each) for each in listeners],
            reachable_private=tuple(ipaddress.ip_network(text) for text in settings.exit.reach_private),
            resolver=SystemResolver(),
            connect=connect,
            destinations=settings.exit.destination_limits(),
        )
        limits = replace(DEFAULT_LIMITS, timeout_s=settings.limits.service_s)
        stream_limits = settings.exit.stream_limits(files=streams)
        services[ServiceId.STREAM] = StreamService(
            dialer, nursery, limits=limits, stream_limits=stream_limits
        )
        if settings.exit.reach_private:
            log.warning("exit_reaches_private_networks", networks=settings.exit.reach_private)
    return services, directory


def _endpoint(listener: socket.socket) -> tuple[IPAddress, int]:
    host, port = listener.getsockname()[:2]
    return ipaddress.ip_address(host), port


def _any_depth(limits: LimitsSection) -> Limits:
    # Echoes, documents and votes may be asked for twice; calls of neighbours have no key to tell a repetition by.
    return Limits(timeout_s=limits.service_s, any_depth=True, has_effects=False)


async def _with_deadline(answer: Callable[[], Awaitable[Reply]], timeout_s: float) -> Reply | None:
    with trio.move_on_after(timeout_s):
        return await answer()
    return None


@contextmanager
def _listening(endpoints: Sequence[Endpoint], key: str) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        listeners = []
        for endpoint in endpoints:
            try:
                listeners.append(stack.enter_context(bind(endpoint.host, endpoint.port)))
            except OSError as error:
                hint = "; is it running already?" if error.errno == errno.EADDRINUSE else ""
                message = f"cannot listen on {endpoint}: {error.strerror}{hint}"
                raise SettingsError(message, key=key) from error
        yield listeners


@dataclass(frozen=True, slots=True)
class _Description:
    """What a relay says of itself."""

    settings: RelaySettings
    base: _Base
    packet_keys: PacketKeyFiles
    listeners: Sequence[socket.socket]
    services: Mapping[int, Service]

    def now(self) -> Descriptor:
        """The relay as it is at this moment: its keys, addresses and services."""
        settings, keys, now = self.settings, self.base.keys, self.base.clock()
        published = settings.published if settings.relay.advertise else bound(self.listeners)
        return Descriptor(
            relay_id=keys.identity.relay_id,
            addresses=tuple(Address(endpoint.host, endpoint.port) for endpoint in published),
            link_key_hash=keys.link.key_hash,
            packet_keys=self.packet_keys.keys.published(now),
            family=tuple(sorted(RelayId(bytes.fromhex(member)) for member in settings.relay.family)),
            services=tuple(sorted(self.services)),
            exit_policy=ExitPolicy.parse(settings.exit.policy).rules if settings.exit.enabled else (),
            version=f"onionpath {VERSION}",
            published_at=UnixTime(int(now)),
            network_id=self.base.root.network_id,
        )
