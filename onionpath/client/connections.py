"""Connections to first hops and authorities: one each, made when first needed, shared by everything."""

from __future__ import annotations

import ssl

import anyio
from anyio.abc import TaskGroup

from onionpath.client.connection import FIRST_HOP, Connection, Endpoint, connect
from onionpath.errors import UnreachableError
from onionpath.onion.geometry import Geometry

# A client has two or three first hops; more connections than this mean that many have failed.
MAX_CONNECTIONS = 16


class Connections:
    """Gives the open connection to an endpoint, or makes it.

    Args:
        geometry: of the network, for the sizes of frames.
        tasks: where each connection's reader runs.
    """

    def __init__(self, geometry: Geometry, context: ssl.SSLContext, tasks: TaskGroup) -> None:
        self._geometry = geometry
        self._context = context
        self._tasks = tasks
        self._open: dict[Endpoint, Connection] = {}
        self._making: dict[Endpoint, anyio.Lock] = {}
        self._closed = False

    @property
    def in_flight(self) -> int:
        """Exchanges that wait for their answer, over all connections."""
        return sum(connection.in_flight for connection in self._open.values())

    async def to(self, endpoint: Endpoint) -> Connection:
        """An open connection; the caller sets the deadline.

        Raises:
            UnreachableError: nobody answers there. WrongPeerError: somebody else does.
        """
        async with self._making.setdefault(endpoint, anyio.Lock()):
            connection = self._open.get(endpoint)
            if connection is None or not connection.is_usable:
                connection = await connect(endpoint, self._geometry, self._context)
                if self._closed:
                    # Nobody is left who would read from it, or close it.
                    with anyio.CancelScope(shield=True):
                        await connection.aclose()
                    raise UnreachableError("the client was closed", edge=FIRST_HOP, sent=False)
                self._open[endpoint] = connection
                self._tasks.start_soon(connection.run)
                await self._close_surplus(endpoint)
            return connection

    async def _close_surplus(self, newest: Endpoint) -> None:
        idle = [key for key, value in self._open.items() if key != newest and not value.in_flight]
        for endpoint in idle[: max(0, len(self._open) - MAX_CONNECTIONS)]:
            self._making.pop(endpoint, None)
            await self._open.pop(endpoint).aclose()

    async def aclose(self) -> None:
        """Close all of them; what is under way fails."""
        self._closed = True
        connections = list(self._open.values())
        self._open.clear()
        for connection in connections:
            await connection.aclose()
