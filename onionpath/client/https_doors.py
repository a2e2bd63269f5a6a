"""Connections to Session nodes: a few for each, made as they are needed, since one carries one request at a time."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import anyio
from anyio.abc import TaskGroup

from onionpath.client.dial import Dial
from onionpath.client.https_connection import HttpsConnection, connect_https, https_context
from onionpath.crypto.identity import RelayId
from onionpath.errors import FIRST_EDGE, UnreachableError, WrongPeerError
from onionpath.swarm.nodes import SessionNode

# A request holds one for a round trip over the whole path; who asks more at a time waits.
MAX_CONNECTIONS_OF_ONE = 8
# A client has two or three first hops; more doors than this mean that many have failed.
MAX_DOORS = 16


class NodeDoor:
    """The HTTPS of one node, as a first hop. Made by ``HttpsDoors``.

    Args:
        tasks: where each connection's reader runs.
    """

    def __init__(self, node: SessionNode, context: ssl.SSLContext, tasks: TaskGroup, *, dial: Dial) -> None:
        self._node, self._context, self._tasks, self._dial = node, context, tasks, dial
        self._places = anyio.Semaphore(MAX_CONNECTIONS_OF_ONE)
        self._open: set[HttpsConnection] = set()
        self._idle: list[HttpsConnection] = []
        self._is_retired = False
        self.heard = 0  # Reads, of whatever connection.

    @property
    def in_flight(self) -> int:
        """Connections over which something is under way."""
        return len(self._open) - len(self._idle)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[HttpsConnection]:
        """An idle connection, for one request; the caller sets the deadline.

        Raises:
            UnreachableError: none could be made. WrongPeerError: somebody else answers there.
        """
        async with self._places:
            connection = self._take_idle() or await self._connect()
            try:
                yield connection
            finally:
                self._give_back(connection)

    async def ping(self) -> None:
        """Make a connection, which the next request takes: HTTP has no question that its busy ones could answer.

        Raises:
            UnreachableError: none could be made; where that is the node's fault, what is under way fails.
        """
        try:
            self._idle.append(await self._connect())
        except WrongPeerError as error:
            await self.aclose()
            raise UnreachableError(str(error), edge=FIRST_EDGE) from error
        except UnreachableError as error:
            if error.edge is not None:
                await self.aclose()
            raise

    async def aclose(self) -> None:
        """Close all connections; what is under way fails, and the next request makes a new one."""
        self._idle.clear()
        for connection in list(self._open):
            await connection.aclose()

    async def retire(self) -> None:
        """Close all connections for good."""
        self._is_retired = True
        await self.aclose()

    def _take_idle(self) -> HttpsConnection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_idle:
                return connection
        return None

    def _give_back(self, connection: HttpsConnection) -> None:
        if connection.is_idle:
            self._idle.append(connection)

    async def _connect(self) -> HttpsConnection:
        connection = await connect_https(self._node, self._context, self._dial, heard=self._note)
        if self._is_retired:
            # Nobody is left who would read from it, or close it.
            await connection.aclose()
            raise UnreachableError("the client was closed", edge=FIRST_EDGE, sent=False)
        self._open.add(connection)
        self._tasks.start_soon(self._run, connection)
        return connection

    async def _run(self, connection: HttpsConnection) -> None:
        try:
            await connection.run()
        finally:
            self._open.discard(connection)
            if connection in self._idle:
                self._idle.remove(connection)

    def _note(self) -> None:
        self.heard += 1


class HttpsDoors:
    """Gives the door of a node.

    Args:
        tasks: see ``NodeDoor``.
        dial: how connections are made.
    """

    def __init__(self, tasks: TaskGroup, *, dial: Dial) -> None:
        self._tasks, self._dial = tasks, dial
        self._context = https_context()
        self._doors: dict[RelayId, NodeDoor] = {}
        self._is_closed = False

    @property
    def in_flight(self) -> int:
        """Requests that wait for their response, at all doors."""
        return sum(door.in_flight for door in self._doors.values())

    async def to(self, node: SessionNode) -> NodeDoor:
        """The door of a node of the list.

        Raises:
            UnreachableError: the client was closed.
        """
        if self._is_closed:
            raise UnreachableError("the client was closed", edge=FIRST_EDGE, sent=False)
        door = self._doors.pop(node.relay_id, None) or NodeDoor(
            node, self._context, self._tasks, dial=self._dial
        )
        self._doors[node.relay_id] = door
        for relay_id in surplus({each: door.in_flight for each, door in self._doors.items()}):
            await self._doors.pop(relay_id).retire()
        return door

    async def aclose(self) -> None:
        """Close all of them; what is under way fails."""
        self._is_closed = True
        for door in self._doors.values():
            await door.retire()


def surplus(in_flight: Mapping[RelayId, int]) -> list[RelayId]:
    """Whose door to close, so that no more than ``MAX_DOORS`` stay: the longest unused over which nothing is under way.

    Args:
        in_flight: requests that wait, for each door, the longest unused first.
    """
    *others, _ = in_flight
    idle = [relay_id for relay_id in others if not in_flight[relay_id]]
    return idle[: max(0, len(in_flight) - MAX_DOORS)]
