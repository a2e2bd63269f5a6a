"""The two programs: builds every part by calling its constructor, ties them together, and ends them in order.

Life of a relay: keys, replay memory, switch, listeners, ready; on SIGTERM or Ctrl-C it takes nothing new, finishes
what is under way for at most ten seconds, and leaves. A second signal ends it at once.
"""

from __future__ import annotations

import ipaddress
import os
import random
import signal
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog
import trio

from onionpath.crypto.identity import RelayId
from onionpath.crypto.tags import TagKey
from onionpath.directory.address import Address
from onionpath.directory.descriptor import Descriptor
from onionpath.directory.trust import TrustRoot
from onionpath.errors import MalformedError, OnionPathError, SettingsError
from onionpath.injected import SteadyClock, UnixTime
from onionpath.link.tls import client_context, server_context
from onionpath.onion.native import NativeOnion
from onionpath.onion.replay import MemoryTables, ReplayMemory
from onionpath.service.calls import Reply, Service, ServiceId
from onionpath.service.directory import DirectoryService, Publication
from onionpath.service.echo import EchoService
from onionpath.service.exit_policy import ExitPolicy
from onionpath.service.registry import Registry
from onionpath.version import VERSION
from relay.authority.signing import Authority
from relay.checkup import REPLAY_NAME
from relay.exit.dial import Dialer, SystemResolver, connect
from relay.exit.interfaces import OwnAddresses
from relay.exit.streams import StreamService
from relay.files import FolderLock, read_secret, replace_secret
from relay.founding import read_trust_root
from relay.keys import (
    CERTIFICATE_NAME,
    LINK_KEY_NAME,
    KeySchedule,
    NodeKeys,
    PacketKeyFiles,
    has_packet_keys,
    load_relay_keys,
)
from relay.links import Links, Timeouts
from relay.listener import Gate, GateLimits, accept_forever, bind
from relay.network_keeper import MAX_SNAPSHOT_SIZE, NetworkKeeper
from relay.recorder import FrameRecorder
from relay.replay_files import ReplayFiles, read_boot_id
from relay.settings import AuthoritySettings, Endpoint, LimitsSection, RelaySettings
from relay.switch import Switch

log = structlog.get_logger(__name__)

DIRECTORY_NAME = "directory"
SIGNER_NAME = "signer"
DRAIN_S = 10.0
AUTHORITY_TICK_S = 0.1


@dataclass(frozen=True, slots=True)
class Ready:
    """What is told once the program serves."""

    identity: str
    addresses: tuple[str, ...]
    pid: int


Announce = Callable[[Ready], None]


async def run_relay(settings: RelaySettings, *, ready: Announce) -> None:
    """Run a relay until a signal ends it.

    Raises:
        SettingsError, KeyFileError: it cannot start; nothing was changed but what a start always writes.
    """
    root = read_trust_root(settings.trust_root)
    keys = load_relay_keys(settings.state)
    clock = SteadyClock(time.time, time.monotonic).now
    with ExitStack() as stack:
        stack.enter_context(FolderLock(settings.state))
        replay_files = _open_replay(settings, root, clock())
        stack.callback(replay_files.close)
        parameters = root.parameters
        schedule = KeySchedule(parameters.epoch_s, parameters.slot_s)
        packet_keys = PacketKeyFiles(settings.state, schedule, entropy=os.urandom)
        packet_keys.rotate(clock())
        replay = ReplayMemory(replay_files, replay_files.tag_key, slot_s=parameters.slot_s)
        replay.advance(clock())
        recorder = None
        if settings.simulation.record_frames is not None:
            recorder = FrameRecorder(settings.state.parent / settings.simulation.record_frames, clock)
            stack.callback(recorder.close)
        listeners = stack.enter_context(_listening(settings.listen, "relay.listen"))
        switch = _switch(root, keys, replay, settings.limits, recorder)
        async with trio.open_nursery() as nursery:
            services, directory = _services(settings, nursery)
            registry = Registry(services, _with_deadline)
            links = _links(settings.state, switch, registry, nursery, clock, settings.limits, recorder)
            keeper = NetworkKeeper(
                root,
                keys.identity,
                describe=lambda: _describe(settings, root, keys, packet_keys, listeners, services, clock()),
                file=settings.state / DIRECTORY_NAME,
                links=links,
                service=directory,
                client_tls=client_context(),
                clock=clock,
                choice=random.SystemRandom(),
            )
            keeper.load()
            nursery.start_soon(keeper.run)
            nursery.start_soon(_keep_keys, switch, packet_keys, replay, keys.identity.relay_id, keeper, clock)
            await _serve(listeners, links, switch, registry, nursery, clock, ready, keys)


async def run_authority(settings: AuthoritySettings, *, ready: Announce) -> None:
    """Run the one authority of a small network until a signal ends it.

    Raises:
        SettingsError, KeyFileError: it cannot start.
    """
    root = read_trust_root(settings.trust_root)
    keys = load_relay_keys(settings.state)
    clock = SteadyClock(time.time, time.monotonic).now
    with ExitStack() as stack:
        stack.enter_context(FolderLock(settings.state))
        authority = _authority(settings, root, keys)
        listeners = stack.enter_context(_listening(settings.listen, "authority.listen"))

        def collect(envelope: bytes) -> None:
            try:
                authority.collect(envelope, now=clock())
            except OnionPathError as error:
                log.warning("descriptor_refused", reason=str(error))
                raise

        # An authority opens no packets, so it has nothing to remember of them.
        replay = ReplayMemory(MemoryTables(), TagKey(os.urandom(32)))
        switch = _switch(root, keys, replay, settings.limits, None)
        directory = DirectoryService(collector=collect)
        registry = Registry({ServiceId.ECHO: EchoService(), ServiceId.DIRECTORY: directory}, _with_deadline)
        async with trio.open_nursery() as nursery:
            links = _links(settings.state, switch, registry, nursery, clock, settings.limits, None)
            nursery.start_soon(_sign_forever, authority, directory, settings, clock)
            await _serve(listeners, links, switch, registry, nursery, clock, ready, keys)


# Building.


def _open_replay(settings: RelaySettings, root: TrustRoot, now: UnixTime) -> ReplayFiles:
    files = ReplayFiles(
        settings.state / REPLAY_NAME,
        now=now,
        slot_s=root.parameters.slot_s,
        keys_existed=has_packet_keys(settings.state),
        entropy=os.urandom,
        boot_id=read_boot_id(os.urandom),
        capacity=settings.limits.replay_entries,
    )
    if files.loss is not None:
        log.warning("replay_memory_lost", loss=files.loss.value, packets_refused_until=files.refused_until)
    return files


def _switch(
    root: TrustRoot,
    keys: NodeKeys,
    replay: ReplayMemory,
    limits: LimitsSection,
    recorder: FrameRecorder | None,
) -> Switch:
    return Switch(
        NativeOnion(root.parameters.geometry, root.network_id),
        keys.identity,
        network_id=root.network_id,
        link_key_hash=keys.link.key_hash,
        replay=replay,
        limits=limits.switch_limits(),
        entropy=os.urandom,
        watch=recorder,
    )


def _links(
    state: Path,
    switch: Switch,
    registry: Registry,
    nursery: trio.Nursery,
    clock: Callable[[], UnixTime],
    limits: LimitsSection,
    recorder: FrameRecorder | None,
) -> Links:
    return Links(
        switch,
        registry,
        nursery,
        server_tls=_server_tls(state),
        client_tls=client_context(),
        clock=clock,
        timeouts=Timeouts(limits.connect_s, limits.handshake_s),
        recorder=recorder,
    )


def _server_tls(state: Path) -> ssl.SSLContext:
    return server_context(state / CERTIFICATE_NAME, state / LINK_KEY_NAME)


def _services(settings: RelaySettings, nursery: trio.Nursery) -> tuple[dict[int, Service], DirectoryService]:
    directory = DirectoryService()
    services: dict[int, Service] = {ServiceId.ECHO: EchoService(), ServiceId.DIRECTORY: directory}
    if settings.exit.enabled:
        dialer = Dialer(
            ExitPolicy.parse(settings.exit.policy),
            own=OwnAddresses(trio.current_time),
            reachable_private=tuple(ipaddress.ip_network(text) for text in settings.exit.reach_private),
            resolver=SystemResolver(),
            connect=connect,
        )
        services[ServiceId.STREAM] = StreamService(dialer, nursery)
        if settings.exit.reach_private:
            log.warning("exit_reaches_private_networks", networks=settings.exit.reach_private)
    return services, directory


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
                raise SettingsError(
                    f"cannot listen on {endpoint}: {error.strerror}; is it running already?", key=key
                ) from error
        yield listeners


def _describe(
    settings: RelaySettings,
    root: TrustRoot,
    keys: NodeKeys,
    packet_keys: PacketKeyFiles,
    listeners: Sequence[socket.socket],
    services: dict[int, Service],
    now: UnixTime,
) -> Descriptor:
    published = settings.published if settings.relay.advertise else _bound(listeners)
    return Descriptor(
        relay_id=keys.identity.relay_id,
        addresses=tuple(Address(endpoint.host, endpoint.port) for endpoint in published),
        link_key_hash=keys.link.key_hash,
        packet_keys=packet_keys.keys.published(now),
        family=tuple(sorted(RelayId(bytes.fromhex(member)) for member in settings.relay.family)),
        services=tuple(sorted(services)),
        exit_policy=ExitPolicy.parse(settings.exit.policy).rules if settings.exit.enabled else (),
        version=f"onionpath {VERSION}",
        published_at=UnixTime(int(now)),
        network_id=root.network_id,
    )


def _bound(listeners: Sequence[socket.socket]) -> list[Endpoint]:
    return [Endpoint(*sock.getsockname()[:2]) for sock in listeners]


def _authority(settings: AuthoritySettings, root: TrustRoot, keys: NodeKeys) -> Authority:
    file = settings.state / SIGNER_NAME
    section = settings.authority
    try:
        return Authority(
            identity=keys.identity,
            root=root,
            parameters=root.parameters,
            period_s=section.period_s,
            first_document_relays=section.first_document_relays,
            private_addresses=section.private_addresses,
            state=read_secret(file, max_size=MAX_SNAPSHOT_SIZE) if file.exists() else None,
        )
    except MalformedError as error:
        raise SettingsError(
            f"{file}: {error}; without it two documents of one number could be signed", file=str(file)
        ) from error


# Running.


async def _serve(
    listeners: Sequence[socket.socket],
    links: Links,
    switch: Switch,
    registry: Registry,
    nursery: trio.Nursery,
    clock: Callable[[], UnixTime],
    ready: Announce,
    keys: NodeKeys,
) -> None:
    """Accept until a signal comes, then drain; cancels the nursery at the end."""
    gate = Gate(GateLimits())
    accepting = trio.CancelScope()
    nursery.start_soon(links.run)

    async def accept(sock: socket.socket) -> None:
        with accepting:
            await accept_forever(sock, gate, links.accepted, nursery, clock=clock)

    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGUSR1) as signals:
        for sock in listeners:
            nursery.start_soon(accept, sock)
        addresses = tuple(str(endpoint) for endpoint in _bound(listeners))
        log.info("ready", addresses=addresses)
        ready(Ready(keys.identity.public.hex(), addresses, os.getpid()))
        interrupted = False
        async for number in signals:
            if number == signal.SIGUSR1:
                _log_statistics(switch, registry, gate, links)
                continue
            interrupted = number == signal.SIGINT
            break
        accepting.cancel()
        log.info("draining", seconds=DRAIN_S)
        async with trio.open_nursery() as impatience:
            impatience.start_soon(_cancel_at_signal, signals, impatience.cancel_scope)
            await _drain(links, switch)
            impatience.cancel_scope.cancel()
        _log_statistics(switch, registry, gate, links)
        nursery.cancel_scope.cancel()
    if interrupted:
        raise KeyboardInterrupt


async def _cancel_at_signal(signals: AsyncIterator[int], scope: trio.CancelScope) -> None:
    async for number in signals:
        if number != signal.SIGUSR1:
            scope.cancel()


async def _drain(links: Links, switch: Switch) -> None:
    links.drain()
    with trio.move_on_after(DRAIN_S):
        # The switch has nothing to wait on, and this looks at most two hundred times.
        while not switch.is_idle:  # noqa: ASYNC110
            await trio.sleep(0.05)


async def _keep_keys(
    switch: Switch,
    packet_keys: PacketKeyFiles,
    replay: ReplayMemory,
    relay_id: RelayId,
    keeper: NetworkKeeper,
    clock: Callable[[], UnixTime],
) -> None:
    """Rotate packet keys, tell the switch and the network, and keep the replay window at the present."""
    while True:
        rotation = packet_keys.rotate(clock())
        switch.use_keys(packet_keys.keys.accepted(relay_id, clock()))
        if rotation.create:
            log.info("packet_keys_rotated", made=len(rotation.create), erased=len(rotation.erase))
            keeper.publish_soon()
        replay.advance(clock())
        change = packet_keys.keys.schedule.next_change(clock())
        # A slot's length at most: the window of the replay memory moves as well.
        await trio.sleep(min(max(0.01, change - clock()), packet_keys.keys.schedule.slot_s))


async def _sign_forever(
    authority: Authority,
    directory: DirectoryService,
    settings: AuthoritySettings,
    clock: Callable[[], UnixTime],
) -> None:
    before = authority.directory
    if before is not None:
        directory.replace(Publication.of(before))
    while True:
        signed = authority.tick(clock())
        if signed is not None:
            # Durable first: after a crash nobody signs this number a second time.
            replace_secret(settings.state / SIGNER_NAME, signed.state)
            directory.replace(Publication.of(signed.directory, before=before))
            before = signed.directory
            log.info("document_signed", number=before.document.number, relays=len(before.relays))
        await trio.sleep(AUTHORITY_TICK_S)


def _log_statistics(switch: Switch, registry: Registry, gate: Gate, links: Links) -> None:
    figures = switch.statistics()
    refused = {reason.name.lower(): count for reason, count in registry.statistics().refused.items()}
    log.info(
        "statistics",
        counts=dict(figures.counts),
        links=figures.links,
        waiting=figures.waiting,
        calls=figures.calls,
        queued_bytes=figures.queued_bytes,
        services_refused=refused,
        connections_refused=gate.counts() | links.counts(),
    )
