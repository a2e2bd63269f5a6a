"""The services of a relay, built from its settings."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import structlog
import trio

from onionpath.service.calls import Limits, Reply, Service, ServiceId
from onionpath.service.directory import DirectoryService
from onionpath.service.echo import EchoService
from onionpath.service.exit_policy import ExitPolicy, IPAddress
from relay.exit.dial import Dialer, connect
from relay.exit.interfaces import OwnAddresses
from relay.exit.resolver import SystemResolver
from relay.exit.streams import DEFAULT_LIMITS, StreamService
from relay.settings import RelaySettings
from relay.settings_sections import LimitsSection

log = structlog.get_logger(__name__)


def build_dialer(settings: RelaySettings, *, listeners: Sequence[socket.socket]) -> Dialer | None:
    """What connects to servers for others, if the operator wants that.

    Args:
        listeners: all of this relay, whatever they serve; no caller reaches them.
    """
    if not settings.exit.enabled:
        return None
    if settings.exit.reach_private:
        log.warning("exit_reaches_private_networks", networks=settings.exit.reach_private)
    return Dialer(
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


def build_services(
    settings: RelaySettings, nursery: trio.Nursery, dialer: Dialer | None, *, streams: int
) -> tuple[dict[int, Service], DirectoryService]:
    """Every service by its number, and the one that is given the network's documents.

    Args:
        streams: connections to servers for which the system has room.
    """
    limits = any_depth(settings.limits)
    directory = DirectoryService(limits=limits)
    services: dict[int, Service] = {ServiceId.ECHO: EchoService(limits), ServiceId.DIRECTORY: directory}
    if dialer is not None:
        services[ServiceId.STREAM] = StreamService(
            dialer,
            nursery,
            limits=replace(DEFAULT_LIMITS, timeout_s=settings.limits.service_s),
            stream_limits=settings.exit.stream_limits(files=streams),
        )
    return services, directory


def _endpoint(listener: socket.socket) -> tuple[IPAddress, int]:
    host, port = listener.getsockname()[:2]
    return ipaddress.ip_address(host), port


def any_depth(limits: LimitsSection) -> Limits:
    """What echoes, documents and votes may take: they have no effects, and neighbours may call them as well."""
    # A neighbour's call has no key by which a repetition could be told, so nothing with effects may be asked that way.
    return Limits(timeout_s=limits.service_s, any_depth=True, has_effects=False)


async def with_deadline(answer: Callable[[], Awaitable[Reply]], timeout_s: float) -> Reply | None:
    """The service's answer, or None if it takes longer."""
    with trio.move_on_after(timeout_s):
        return await answer()
    return None
