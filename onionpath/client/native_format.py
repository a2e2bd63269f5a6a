"""The native format over links: frames of two sizes, sealed replies that name the edge at which a call got lost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Protocol

from onionpath.client.onion_exchange import OnionExchange
from onionpath.client.path_format import FirstHop
from onionpath.client.ready_path import ReadyPath
from onionpath.crypto.identity import RelayId
from onionpath.directory.descriptor import Descriptor
from onionpath.directory.directory import Directory
from onionpath.directory.trust import TrustRoot
from onionpath.errors import FIRST_EDGE, PeerError, UnreachableError
from onionpath.injected import Entropy, UnixTime
from onionpath.link.frames import Frame
from onionpath.link.neighbour import Neighbour
from onionpath.onion.geometry import SizeClass
from onionpath.onion.native import NativeOnion
from onionpath.onion.packets import Answer, Hop, OnionCall, Packet
from onionpath.onion.replay import slot_at
from onionpath.service.call_keys import repeated_call_key


class Link(FirstHop, Protocol):
    """An open link to a first hop."""

    async def exchange(self, packet: Packet) -> Frame:
        """Send a packet, and give the frame that ends its exchange.

        Raises:
            UnreachableError: the link broke before.
        """
        ...


class NativeFormat:
    """See ``PathFormat``.

    Args:
        root: the network's.
        directory: the newest verified one; raises ``MissingDirectoryError`` if there is none.
        connect: an open connection to whoever listens there.
    """

    # Each hop seals what it says of the next one.
    names_edges = True

    def __init__(
        self,
        root: TrustRoot,
        *,
        directory: Callable[[], Directory],
        connect: Callable[[Neighbour], Awaitable[Link]],
        clock: Callable[[], UnixTime],
        entropy: Entropy,
    ) -> None:
        self._onion = NativeOnion(root.parameters.geometry, root.network_id)
        self._slot_s = root.parameters.slot_s
        self._directory, self._connect = directory, connect
        self._clock, self._entropy = clock, entropy

    def reply_class(self, call: OnionCall) -> SizeClass:
        """See ``PathFormat``."""
        return call.reply_class

    def repeated(self, call: OnionCall) -> OnionCall:
        """See ``PathFormat``."""
        return replace(call, idempotency_key=repeated_call_key(call.idempotency_key))

    async def carry(self, ready: ReadyPath, call: OnionCall, leaves: Callable[[FirstHop], None]) -> Answer:
        """See ``PathFormat``."""
        neighbour = Neighbour.of_relay(self._descriptor(ready.guard))
        try:
            connection = await self._connect(neighbour)
        except PeerError as error:
            message = f"hop 1 could not be reached: {error}"
            raise UnreachableError(message, edge=FIRST_EDGE, sent=False) from error
        leaves(connection)
        now = self._clock()
        hops = [self._hop(relay_id, now) for relay_id in ready.relays]
        slot = slot_at(now, self._slot_s)
        onion = OnionExchange.begin(self._onion, hops, call, slot=slot, entropy=self._entropy)
        return onion.judge(await connection.exchange(onion.packet))

    def _hop(self, relay_id: RelayId, now: UnixTime) -> Hop:
        key = self._descriptor(relay_id).packet_key(now)
        if key is None:
            raise UnreachableError("a relay of the path has no packet key for the present", sent=False)
        return Hop(relay_id, key.public, key.generation)

    def _descriptor(self, relay_id: RelayId) -> Descriptor:
        relay = self._directory().relays.get(relay_id)
        if relay is None:
            raise UnreachableError("a relay of the path has left the directory", sent=False)
        return relay.descriptor
