"""Connections to first hops and authorities: one each, made when first needed, shared by everything."""

from __future__ import annotations

import ssl
from collections.abc import Mapping

import anyio
from anyio.abc import TaskGroup

from onionpath.client.connection import Connection, connect
from onionpath.client.dial import Dial, dial_directly
from onionpath.errors import FIRST_EDGE, UnreachableError
from onionpath.link.neighbour import Neighbour
from onionpath.onion.geometry import Geometry

# A client has two or three first hops; more connections than this mean that many have failed.
MAX_CONNECTIONS = 16


def surplus(in_flight: Mapping[Neighbour, int], newest: Neighbour) -> list[Neighbour]:
    """Whom to leave, so that no more than ``MAX_CONNECTIONS`` stay open: the oldest over which nothing is under way.

    Args:
        in_flight: exchanges that wait, for each open connection, the oldest first.
    """
    idle = [neighbour for neighbour, waiting in in_flight.items() if neighbour != newest and not waiting]
    return idle[: max(0, len(in_flight) - MAX_CONNECTIONS)]


class Connections:
    """Gives the open connection to a neighbour, or makes it.

    Args:
        geometry: of the network, for the sizes of frames.
        tasks: where each connection's reader runs.
        dial: how connections are made.
    """

    def __init__(
        self, geometry: Geometry, context: ssl.SSLContext, tasks: TaskGroup, *, dial: Dial = dial_directly
    ) -> None:
        self._geometry = geometry
        self._context = context
        self._tasks = tasks
        self._dial = dial
        self._open: dict[Neighbour, Connection] = {}
        self._making: dict[Neighbour, anyio.Lock] = {}
        self._closed = False

    @property
    def in_flight(self) -> int:
        """Exchanges that wait for their answer, over all connections."""
        return sum(connection.in_flight for connection in self._open.values())

    async def to(self, neighbour: Neighbour) -> Connection:
        """An open connection; the caller sets the deadline.

        Raises:
            UnreachableError: nobody answers there. WrongPeerError: somebody else does.
        """
        async with self._making.setdefault(neighbour, anyio.Lock()):
            connection = self._open.get(neighbour)
            if connection is None or not connection.is_usable:
                connection = await connect(neighbour, self._geometry, self._context, self._dial)
                if self._closed:
                    # Nobody is left who would read from it, or close it.
                    with anyio.CancelScope(shield=True):
                        await connection.aclose()
                    raise UnreachableError("the client was closed", edge=FIRST_EDGE, sent=False)
                self._open[neighbour] = connection
                self._tasks.start_soon(connection.run)
                await self._close_surplus(neighbour)
            return connection

    async def _close_surplus(self, newest: Neighbour) -> None:
        in_flight = {neighbour: connection.in_flight for neighbour, connection in self._open.items()}
        for neighbour in surplus(in_flight, newest):
            self._making.pop(neighbour, None)
            await self._open.pop(neighbour).aclose()

    async def aclose(self) -> None:
        """Close all of them; what is under way fails."""
        self._closed = True
        connections = list(self._open.values())
        self._open.clear()
        for connection in connections:
            await connection.aclose()
