"""The transports under the names that programs on httpx use."""

from __future__ import annotations

import httpx

from onionpath.transports.sync_transport import SyncTransport
from onionpath.transports.transport import AsyncTransport


class OnionTransport(AsyncTransport, httpx.AsyncBaseTransport):
    __doc__ = f"``httpx.AsyncClient(transport=OnionTransport(client))``.\n\n    {AsyncTransport.__doc__}"


class SyncOnionTransport(SyncTransport, httpx.BaseTransport):
    __doc__ = f"``httpx.Client(transport=SyncOnionTransport(client))``.\n\n    {SyncTransport.__doc__}"
