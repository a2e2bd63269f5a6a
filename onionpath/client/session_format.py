"""Session's format over HTTPS: onions without sizes, one sealed reply, and nobody who names a failure under a seal."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from onionpath.client.https_doors import NodeDoor
from onionpath.client.path_format import FirstHop
from onionpath.client.ready_path import ReadyPath
from onionpath.client.session_exchange import SessionAnswer, SessionExchange
from onionpath.client.session_list import SessionList
from onionpath.errors import FIRST_EDGE, UnreachableError, WrongPeerError
from onionpath.injected import Entropy
from onionpath.onion.geometry import SizeClass
from onionpath.onion.session import SessionOnion
from onionpath.onion.session_packets import ServerCall, SessionCall, SessionHop
from onionpath.swarm.nodes import SessionNode

AnySessionCall = SessionCall | ServerCall


class SessionFormat:
    """See ``PathFormat``.

    Args:
        listed: all nodes that may stand on a path.
        door: of a node.
    """

    # Whoever is silent on a path, or speaks outside of the seal, could be any of its relays, or the one that is asked.
    names_edges = False

    def __init__(
        self, listed: SessionList, *, door: Callable[[SessionNode], Awaitable[NodeDoor]], entropy: Entropy
    ) -> None:
        self._onion = SessionOnion()
        self._listed, self._door, self._entropy = listed, door, entropy

    def reply_class(self, call: AnySessionCall) -> SizeClass:
        """See ``PathFormat``: servers give out files, storage gives out messages."""
        return SizeClass.LARGE if isinstance(call, ServerCall) else SizeClass.SMALL

    def repeated(self, call: AnySessionCall) -> AnySessionCall:
        """See ``PathFormat``; no exit remembers, so that nothing but what may be sent twice is."""
        return call

    async def carry(
        self, ready: ReadyPath, call: AnySessionCall, leaves: Callable[[FirstHop], None]
    ) -> SessionAnswer:
        """See ``PathFormat``."""
        nodes = [self._listed.relays[relay_id].node for relay_id in ready.relays]
        hops = [SessionHop(node.relay_id, node.session_key) for node in nodes]
        exchange = SessionExchange.begin(self._onion, hops, call, entropy=self._entropy)
        door = await self._door(nodes[0])
        try:
            async with door.connection() as connection:
                leaves(door)
                return exchange.judge(await connection.post(exchange.body))
        except WrongPeerError as error:
            message = f"hop 1 could not be reached: {error}"
            raise UnreachableError(message, edge=FIRST_EDGE, sent=False) from error
