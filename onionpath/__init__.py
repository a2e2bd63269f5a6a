"""Send requests so that nobody learns both who asks and what is asked.

Enter through ``Client``, or ``OnionTransport`` for programs that speak HTTP through httpx. Names are loaded when they
are first used, so that importing the package costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from onionpath.client.client import Client
    from onionpath.client.httpx_transport import OnionTransport
    from onionpath.client.status import Status
    from onionpath.client.stream import OnionStream
    from onionpath.directory.trust import TrustRoot
    from onionpath.service.calls import ServiceId

__all__ = ["Client", "OnionStream", "OnionTransport", "ServiceId", "Status", "TrustRoot"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'onionpath' has no attribute {name!r}")
    if name == "OnionTransport":
        from onionpath.client.httpx_transport import OnionTransport

        return OnionTransport
    if name in ("ServiceId", "TrustRoot"):
        from onionpath.directory.trust import TrustRoot
        from onionpath.service.calls import ServiceId

        return ServiceId if name == "ServiceId" else TrustRoot
    from onionpath.client import client

    return getattr(client, name)
