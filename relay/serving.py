"""A node that serves: accepts until a signal comes, finishes what is under way, and leaves.

On SIGTERM or Ctrl-C it takes nothing new and drains for at most ten seconds; a second signal ends it at once.
SIGUSR1 logs the statistics.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

import structlog
import trio

from onionpath.crypto.identity import RelayId
from onionpath.injected import UnixTime
from onionpath.service.registry import Registry
from relay.links import Links
from relay.listener import Gate, accept_forever
from relay.session.door import HttpsDoor
from relay.session.urls import SessionUrls
from relay.settings import Endpoint
from relay.store.running import RunningMember
from relay.switch import Switch

log = structlog.get_logger(__name__)

DRAIN_S = 10.0
# What neighbours sent before they heard that we leave is on its way for so long; it must be refused, not lost.
HEARD_S = 0.25
LOOK_EVERY_S = 0.05


@dataclass(frozen=True, slots=True)
class Ready:
    """What is told once the program serves.

    Args:
        session: the URL at which Session's clients come in, if they do.
        seed_url: the URL of the list of nodes, if this is a seed.
    """

    identity: str
    addresses: tuple[str, ...]
    pid: int
    session: str | None = None
    seed_url: str | None = None


Announce = Callable[[Ready], None]


@dataclass(frozen=True, slots=True)
class Node:
    """The parts of a node that serves.

    Args:
        relay_id: its name.
        listeners: sockets that listen already.
        clock: Unix time that never goes back.
        door: where Session's clients come in, if they do.
        session_urls: what they are told of it.
        storage: its part in a swarm, if it stores.
    """

    relay_id: RelayId
    listeners: Sequence[socket.socket]
    gate: Gate
    links: Links
    switch: Switch
    registry: Registry
    clock: Callable[[], UnixTime]
    door: HttpsDoor | None = None
    session_urls: SessionUrls | None = None
    storage: RunningMember | None = None

    @property
    def is_idle(self) -> bool:
        """Whether nobody waits for anything of it."""
        return self.switch.is_idle and (self.door is None or self.door.is_idle)


def bound(listeners: Sequence[socket.socket]) -> list[Endpoint]:
    """Where sockets listen, with the ports that the system chose."""
    return [Endpoint(*sock.getsockname()[:2]) for sock in listeners]


async def serve(node: Node, nursery: trio.Nursery, *, ready: Announce) -> None:
    """Accept until a signal comes, then drain; cancels the nursery at the end.

    Raises:
        KeyboardInterrupt: the signal was SIGINT.
    """
    accepting = trio.CancelScope()
    nursery.start_soon(node.links.run)

    async def accept(sock: socket.socket) -> None:
        with accepting:
            await accept_forever(sock, node.gate, node.links.accepted, nursery, clock=node.clock)

    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGUSR1) as signals:
        for sock in node.listeners:
            nursery.start_soon(accept, sock)
        if node.door is not None:
            nursery.start_soon(node.door.run)
        addresses = tuple(str(endpoint) for endpoint in bound(node.listeners))
        log.info("ready", addresses=addresses)
        ready(_ready(node, addresses))
        ended_by = await _ending_signal(signals, node)
        accepting.cancel()
        await _drain(node, signals)
        _log_statistics(node)
        nursery.cancel_scope.cancel()
    if ended_by == signal.SIGINT:
        raise KeyboardInterrupt


def _ready(node: Node, addresses: tuple[str, ...]) -> Ready:
    urls = node.session_urls
    session, seed_url = (urls.door, urls.seed_url) if urls is not None else (None, None)
    return Ready(node.relay_id.hex(), addresses, os.getpid(), session, seed_url)


async def _ending_signal(signals: AsyncIterator[int], node: Node) -> int:
    while True:
        number = await anext(signals)
        if number != signal.SIGUSR1:
            return number
        _log_statistics(node)


async def _drain(node: Node, signals: AsyncIterator[int]) -> None:
    log.info("draining", seconds=DRAIN_S)
    async with trio.open_nursery() as impatience:
        impatience.start_soon(_cancel_at_signal, signals, impatience.cancel_scope)
        node.links.drain()
        if node.door is not None:
            node.door.drain()
        with trio.move_on_after(DRAIN_S):
            await trio.sleep(HEARD_S)
            # They have nothing to wait on, and this looks at most two hundred times.
            while not node.is_idle:  # noqa: ASYNC110
                await trio.sleep(LOOK_EVERY_S)
        impatience.cancel_scope.cancel()


async def _cancel_at_signal(signals: AsyncIterator[int], scope: trio.CancelScope) -> None:
    async for number in signals:
        if number != signal.SIGUSR1:
            scope.cancel()


def _log_statistics(node: Node) -> None:
    figures = node.switch.statistics()
    services = node.registry.statistics()
    log.info(
        "statistics",
        counts=dict(figures.counts),
        links=figures.links,
        waiting=figures.waiting,
        calls=figures.calls,
        queued_bytes=figures.queued_bytes,
        services_refused={reason.name.lower(): count for reason, count in services.refused.items()},
        services_failed=dict(services.failed),
        connections_refused=node.gate.counts() | node.links.counts(),
        session=node.door.counts() if node.door is not None else {},
        storage=node.storage.counts() if node.storage is not None else {},
    )
