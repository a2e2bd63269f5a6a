"""``OnionTransport`` and ``SyncOnionTransport`` for programs on httpx2, without an import of httpx.

Those of ``onionpath`` carry requests of both libraries as well; these have httpx2's types.
"""

from __future__ import annotations

import httpx2
from onionpath.transports.sync_transport import SyncTransport
from onionpath.transports.transport import AsyncTransport

__all__ = ["OnionTransport", "SyncOnionTransport"]


class OnionTransport(AsyncTransport, httpx2.AsyncBaseTransport):
    __doc__ = f"``httpx2.AsyncClient(transport=OnionTransport(client))``.\n\n    {AsyncTransport.__doc__}"


class SyncOnionTransport(SyncTransport, httpx2.BaseTransport):
    __doc__ = f"``httpx2.Client(transport=SyncOnionTransport(client))``.\n\n    {SyncTransport.__doc__}"
