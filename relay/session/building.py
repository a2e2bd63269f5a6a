"""A relay's part for Session's clients, built from its settings and offered by a node that stands already."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

import trio

from onionpath.directory.session_door import SessionDoor
from onionpath.onion.session_packets import SessionHopKey
from onionpath.service.calls import ServiceId
from onionpath.swarm.nodes import Roster
from relay.exit.dial import Dialer
from relay.foundation import Base
from relay.listener import Gate, listening
from relay.open_files import Shares
from relay.peers import AsksPeers, PeerCalls
from relay.serving import Node
from relay.session.budget import Budget
from relay.session.destination import Destination
from relay.session.door import HttpsDoor, door_context
from relay.session.hop_messages import HopMessages
from relay.session.keys import SessionKeys, ensure_session_keys
from relay.session.layer_memory import LayerMemory
from relay.session.limits import client_budget, gate_limits, relay_budget
from relay.session.memory_files import layer_memory, open_memory_files
from relay.session.onions import Onions
from relay.session.places import PlaceLimits, Places
from relay.session.requests import Requests
from relay.session.server_exit import ServerExit
from relay.session.urls import SessionUrls
from relay.settings import RelaySettings
from relay.settings_sections import SessionSection
from relay.state_folder import SESSION_CERTIFICATE_NAME, SESSION_TLS_KEY_NAME


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What else this relay is and has.

    Args:
        dialer: None for a relay that is no exit.
        roster: the newest list of nodes; None while there is no directory that is valid.
    """

    base: Base
    shares: Shares
    peers: AsksPeers
    dialer: Dialer | None
    destination: Destination
    roster: Callable[[], Roster | None]


@dataclass(frozen=True, slots=True)
class OpenedSession:
    """Its keys, files and sockets."""

    keys: SessionKeys
    memory: LayerMemory
    listeners: Sequence[socket.socket]

    def door(self, settings: SessionSection) -> SessionDoor:
        """What the descriptor says of it."""
        return self.keys.door(self.port(settings))

    def port(self, settings: SessionSection) -> int:
        """The one that is published."""
        port: int = settings.advertise_port or self.listeners[0].getsockname()[1]
        return port


def open_session(settings: RelaySettings, base: Base, stack: ExitStack) -> OpenedSession:
    """Open them all, and have ``stack`` close them.

    Raises:
        SettingsError, KeyFileError: they cannot be used.
    """
    # The memory comes first: whether it may be empty depends on whether there was a key to open layers with.
    files = open_memory_files(base)
    stack.callback(files.close)
    keys = ensure_session_keys(base.state, os.urandom)
    listeners = stack.enter_context(listening(settings.session_listen, "session.listen"))
    return OpenedSession(keys, layer_memory(base, files), listeners)


def offer_session(
    settings: RelaySettings, opened: OpenedSession, around: Surroundings, node: Node, nursery: trio.Nursery
) -> Node:
    """The node with a door for clients, and with a service for relays: both share keys, memory and destination."""
    clock = around.base.clock
    onions = _onions(opened, around)
    budget = Budget(relay_budget(settings.session.openings_per_second), now=clock())
    messages = HopMessages(onions, budget, clock=clock)
    node.registry.offer(ServiceId.SESSION, PeerCalls(messages, nursery))
    door = _door(settings.session, opened, around, onions)
    urls = SessionUrls.of(settings, opened.port(settings.session))
    return replace(node, door=door, session_urls=urls)


def _onions(opened: OpenedSession, around: Surroundings) -> Onions:
    return Onions(
        SessionHopKey(around.base.keys.identity.relay_id, opened.keys.private),
        opened.memory,
        peers=around.peers,
        destination=around.destination,
        exit_=_server_exit(around),
        entropy=os.urandom,
        clock=around.base.clock,
    )


def _door(settings: SessionSection, opened: OpenedSession, around: Surroundings, onions: Onions) -> HttpsDoor:
    base = around.base
    requests = Requests(
        onions,
        Budget(client_budget(settings.openings_per_second), now=base.clock()),
        relay_id=base.keys.identity.relay_id,
        roster=around.roster,
        clock=base.clock,
    )
    return HttpsDoor(
        opened.listeners,
        door_context(base.state / SESSION_CERTIFICATE_NAME, base.state / SESSION_TLS_KEY_NAME),
        requests,
        gate=Gate(gate_limits(around.shares.session)),
        places=Places(PlaceLimits()),
        is_seed=settings.seed,
        clock=base.clock,
    )


def _server_exit(around: Surroundings) -> ServerExit | None:
    if around.dialer is None:
        return None
    return ServerExit(around.dialer, ssl.create_default_context(), at_once=around.shares.session)
