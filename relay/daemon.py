"""The two programs: builds every part by calling its constructor and ties them together; ``serving`` runs them.

Life of a relay: keys, replay memory, switch, listeners, ready, and the end that ``serving`` describes.
"""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import trio

from onionpath.crypto.tags import TagKey
from onionpath.directory.trust import TrustRoot
from onionpath.link.tls import client_context, server_context
from onionpath.onion.native import NativeOnion
from onionpath.onion.replay import MemoryTables, ReplayMemory
from onionpath.service.call_memory import CallMemory
from onionpath.service.calls import Service
from onionpath.service.directory import DirectoryService
from onionpath.service.registry import Registry
from relay.authority.making import make_authority
from relay.description import Description
from relay.folder_lock import FolderLock
from relay.foundation import Base, open_packet_keys, open_replay
from relay.key_keeper import KeyKeeper
from relay.keys import PacketKeyFiles
from relay.limits import OPENINGS_PART, SwitchLimits
from relay.lineage_files import read_roots
from relay.links import Links, Timeouts
from relay.listener import Gate, GateLimits, listening
from relay.network_keeper import NetworkKeeper
from relay.open_files import Shares, file_limit, share
from relay.opening_speed import openings_per_second
from relay.peers import Peers
from relay.recorder import FrameRecorder
from relay.services import any_depth, build_dialer, build_services, with_deadline
from relay.serving import Announce, Node, serve
from relay.session.building import OpenedSession, Surroundings, offer_session, open_session
from relay.session.destination import Destination
from relay.session.network_destination import NetworkDestination
from relay.session.newest_roster import NewestRoster
from relay.settings import AuthoritySettings, RelaySettings
from relay.state_folder import CERTIFICATE_NAME, DIRECTORY_NAME, LINK_KEY_NAME
from relay.store.building import offer_storage, open_storage
from relay.store.disk import DiskStore
from relay.switch import Switch


async def run_relay(settings: RelaySettings, *, ready: Announce) -> None:
    """Run a relay until a signal ends it.

    Raises:
        SettingsError, KeyFileError: it cannot start; nothing was changed but what a start always writes.
    """
    base = Base.load(settings)
    shares = share(file_limit(), is_exit=settings.exit.enabled, serves_session=settings.session.enabled)
    with ExitStack() as stack:
        stack.enter_context(FolderLock(base.state))
        opened = _open(settings, base, stack)
        async with open_storage(settings, base) as store, trio.open_nursery() as nursery:
            node = _start_parts(settings, base, shares, opened, store, nursery)
            await serve(node, nursery, ready=ready)


async def run_authority(settings: AuthoritySettings, *, ready: Announce) -> None:
    """Run an authority until a signal ends it.

    Raises:
        SettingsError, KeyFileError: it cannot start.
    """
    base = Base.load(settings)
    shares = share(file_limit(), is_exit=False)
    with ExitStack() as stack:
        stack.enter_context(FolderLock(base.state))
        roots = read_roots(settings.trust_root)
        listeners = stack.enter_context(listening(settings.listen, "authority.listen"))
        made = make_authority(
            settings,
            base.keys.identity,
            roots,
            limits=any_depth(base.limits),
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


@dataclass(frozen=True, slots=True)
class _Opened:
    """A relay's files and sockets, before anything runs."""

    replay: ReplayMemory
    packet_keys: PacketKeyFiles
    recorder: FrameRecorder | None
    listeners: Sequence[socket.socket]
    session: OpenedSession | None

    @property
    def all_listeners(self) -> list[socket.socket]:
        """Wherever this relay listens."""
        return [*self.listeners, *(self.session.listeners if self.session else ())]


def _open(settings: RelaySettings, base: Base, stack: ExitStack) -> _Opened:
    """Open them all, and have ``stack`` close them."""
    replay_files = open_replay(base)
    stack.callback(replay_files.close)
    packet_keys = open_packet_keys(base)
    replay = ReplayMemory(replay_files, replay_files.tag_key, slot_s=base.root.parameters.slot_s)
    replay.advance(base.clock())
    recorder = _recorder(settings, base)
    if recorder is not None:
        stack.callback(recorder.close)
    listeners = stack.enter_context(listening(settings.listen, "relay.listen"))
    session = open_session(settings, base, stack) if settings.session.enabled else None
    return _Opened(replay, packet_keys, recorder, listeners, session)


def _start_parts(
    settings: RelaySettings,
    base: Base,
    shares: Shares,
    opened: _Opened,
    store: DiskStore | None,
    nursery: trio.Nursery,
) -> Node:
    """Build a relay's parts, and start in ``nursery`` those that work by themselves."""
    dialer = build_dialer(settings, listeners=opened.all_listeners)
    services, directory = build_services(settings, nursery, dialer, streams=shares.streams)
    switch_limits = base.limits.switch_limits(openings_per_second=_openings_per_second(base.root))
    node = _node(
        base, opened.replay, services, opened.listeners, nursery,
        shares=shares, switch_limits=switch_limits, recorder=opened.recorder,
    )  # fmt: skip
    keeper = _network_keeper(settings, base, opened, node, directory)
    keeper.load()
    peers = Peers(node.links, base.root.parameters.geometry, entropy=os.urandom)
    roster = NewestRoster(lambda: keeper.directory, clock=base.clock)
    destination: Destination = NetworkDestination(node.relay_id, roster, clock=base.clock)
    if store is not None:
        destination = member = offer_storage(store, base, node, keeper, peers, nursery)
        node = replace(node, storage=member)
    if opened.session is not None:
        around = Surroundings(base, shares, peers, dialer, destination, roster)
        node = offer_session(settings, opened.session, around, node, nursery)
    nursery.start_soon(keeper.run)
    nursery.start_soon(_key_keeper(base, opened, node, keeper).run)
    return node


def _key_keeper(base: Base, opened: _Opened, node: Node, keeper: NetworkKeeper) -> KeyKeeper:
    return KeyKeeper(
        node.switch,
        opened.packet_keys,
        opened.replay,
        relay_id=node.relay_id,
        changed=keeper.publish_soon,
        clock=base.clock,
    )


def _network_keeper(
    settings: RelaySettings,
    base: Base,
    opened: _Opened,
    node: Node,
    directory: DirectoryService,
) -> NetworkKeeper:
    door = None if opened.session is None else opened.session.door(settings.session)
    description = Description(settings, base, opened.packet_keys, opened.listeners, node.registry, door)
    return NetworkKeeper(
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


def _recorder(settings: RelaySettings, base: Base) -> FrameRecorder | None:
    file = settings.simulation.record_frames
    return None if file is None else FrameRecorder(Path(file), base.clock)


def _openings_per_second(root: TrustRoot) -> float:
    return openings_per_second(root.parameters.geometry) * OPENINGS_PART


def _node(
    base: Base,
    replay: ReplayMemory,
    services: Mapping[int, Service],
    listeners: Sequence[socket.socket],
    nursery: trio.Nursery,
    *,
    shares: Shares,
    switch_limits: SwitchLimits,
    recorder: FrameRecorder | None = None,
) -> Node:
    memory = CallMemory(base.clock, slot_s=base.root.parameters.slot_s)
    registry = Registry(services, with_deadline, memory=memory)
    switch = _switch(base, replay, switch_limits, recorder)
    links = Links(
        switch,
        registry,
        nursery,
        server_tls=server_context(base.state / CERTIFICATE_NAME, base.state / LINK_KEY_NAME),
        client_tls=client_context(),
        clock=base.clock,
        timeouts=Timeouts(base.limits.connect_s, base.limits.handshake_s),
        most_dialled=shares.dialled,
        recorder=recorder,
    )
    gate = Gate(GateLimits(connections=shares.accepted))
    return Node(base.keys.identity.relay_id, listeners, gate, links, switch, registry, base.clock)


def _switch(base: Base, replay: ReplayMemory, limits: SwitchLimits, recorder: FrameRecorder | None) -> Switch:
    return Switch(
        NativeOnion(base.root.parameters.geometry, base.root.network_id),
        base.keys.identity,
        network_id=base.root.network_id,
        link_key_hash=base.keys.link.key_hash,
        replay=replay,
        limits=limits,
        entropy=os.urandom,
        watch=recorder,
    )
