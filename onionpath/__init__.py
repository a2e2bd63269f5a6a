"""Send requests so that nobody learns both who asks and what is asked.

Enter through ``Client``, and for programs that speak HTTP through httpx add an ``OnionTransport``, or without an event
loop a ``SyncOnionTransport``; ``onionpath.httpx2`` has their twins. Names are loaded when they are first used, so that
importing the package costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from onionpath.client.client import Client
    from onionpath.client.status import State, Status
    from onionpath.client.stream import OnionStream
    from onionpath.client.swarm_client import SwarmClient
    from onionpath.directory.trust import TrustRoot
    from onionpath.service.calls import ServiceId
    from onionpath.transports.for_httpx import OnionTransport, SyncOnionTransport

__all__ = [
    "Client",
    "OnionStream",
    "OnionTransport",
    "ServiceId",
    "State",
    "Status",
    "SwarmClient",
    "SyncOnionTransport",
    "TrustRoot",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'onionpath' has no attribute {name!r}")
    if name in ("OnionTransport", "SyncOnionTransport"):
        from onionpath.transports import for_httpx

        return getattr(for_httpx, name)
    if name in ("ServiceId", "TrustRoot"):
        from onionpath.directory.trust import TrustRoot
        from onionpath.service.calls import ServiceId

        return ServiceId if name == "ServiceId" else TrustRoot
    if name == "SwarmClient":
        from onionpath.client.swarm_client import SwarmClient

        return SwarmClient
    from onionpath.client import client

    return getattr(client, name)
