"""Ready paths, and one packet over one of them: what calls and streams have in common.

No second attempt is made here, and no deadline is set but the caller's; whoever tries again knows whether he may.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import anyio

from onionpath.client.connection import Endpoint
from onionpath.client.connections import Connections
from onionpath.client.directory_keeper import DirectoryKeeper
from onionpath.client.path_pool import Need, PathPool, ReadyPath, has_current_keys
from onionpath.directory.trust import TrustRoot
from onionpath.errors import DeadlineError, Edge, OnionPathError, PeerError, UnreachableError
from onionpath.injected import UnixTime
from onionpath.link.frames import Kind
from onionpath.onion.native import NativeOnion
from onionpath.onion.packets import Answer, OnionCall
from onionpath.onion.replay import slot_at
from onionpath.onion.statuses import Reason
from onionpath.service.calls import ServiceId

CLIENT_TO_FIRST = Edge(-1, 0)


class Paths:
    """The paths of one client.

    Args:
        report: is told how each exchange ended: None, or what went wrong.
    """

    def __init__(
        self,
        root: TrustRoot,
        pool: PathPool,
        keeper: DirectoryKeeper,
        connections: Connections,
        *,
        clock: Callable[[], UnixTime],
        report: Callable[[OnionPathError | None], None],
    ) -> None:
        self._onion = NativeOnion(root.parameters.geometry, root.network_id)
        self._slot_s = root.parameters.slot_s
        self._pool = pool
        self._keeper = keeper
        self._connections = connections
        self._clock = clock
        self._report = report

    def ready(self, need: Need, isolation: str) -> ReadyPath:
        """The path that the next exchange of this need and key takes.

        Raises:
            NoPathError, DirectoryError: there is none.
        """
        return self._pool.ready(self._keeper.directory, need, isolation, now=self._clock())

    def retire(self, ready: ReadyPath, edge: Edge | None) -> None:
        """Never use this path again; ``edge`` is where it broke, if that is known."""
        self._pool.retire(ready, edge, now=self._clock())

    def is_current(self, ready: ReadyPath) -> bool:
        """Whether each relay of the path still publishes the key that packets would be sealed to."""
        return has_current_keys(self._keeper.directory, ready, now=self._clock())

    async def exchange(self, ready: ReadyPath, call: OnionCall, *, timeout_s: float) -> Answer:
        """One packet over one path and its answer.

        Raises:
            DeadlineError, UnreachableError: with ``.edge`` where the answer, or its absence, accuses one.
        """
        try:
            with anyio.fail_after(max(0.0, timeout_s)):
                answer = await self._exchange(ready, call)
        except TimeoutError as error:
            failure = DeadlineError(f"no answer over this path in {timeout_s:.1f} s")
            self._report(failure)
            raise failure from error
        except OnionPathError as error:
            self._report(error)
            raise
        self._report(None)
        if answer.lying_edge is not None:
            # The answer is genuine, and somebody between here and there is not.
            self.retire(ready, answer.lying_edge)
        return answer

    async def _exchange(self, ready: ReadyPath, call: OnionCall) -> Answer:
        first = ready.path.relays[0].descriptor
        endpoint = Endpoint(first.addresses[0].host, first.addresses[0].port, first.link_key_hash)
        try:
            connection = await self._connections.to(endpoint)
        except PeerError as error:
            message = f"hop 1 could not be reached: {error}"
            raise UnreachableError(message, edge=CLIENT_TO_FIRST, sent=False) from error
        slot = slot_at(self._clock(), self._slot_s)
        wrapped = self._onion.wrap(ready.hops, call, slot=slot, entropy=os.urandom)
        frame = await connection.exchange(wrapped.packet)
        if frame.kind is not Kind.REPLY or frame.size_class is not call.reply_class or frame.depth:
            message = "hop 1 rejected the packet: stale key, wrong clock, or overload"
            raise UnreachableError(message, edge=CLIENT_TO_FIRST)
        try:
            answer = self._onion.open_reply(wrapped.opener, frame.body)
        except PeerError as error:
            hop = error.hop or 0
            message = f"the reply of hop {hop + 1} was forged or damaged"
            raise UnreachableError(message, edge=Edge(hop - 1, hop)) from error
        if answer.hop < len(ready.hops) - 1:
            # Whatever a relay on the way says of itself, the call did not get through between it and the next.
            edge = Edge(answer.hop, answer.hop + 1)
            reason = answer.head.reason
            raise UnreachableError(f"{edge}: {_EDGE_WORDS.get(reason, reason.name.lower())}", edge=edge)
        return answer


class ExitPaths:
    """Paths for one stream: to any exit at first, to the same one ever after."""

    def __init__(self, paths: Paths, port: int, isolation: str) -> None:
        self._paths = paths
        self._need = Need(ServiceId.STREAM, port)
        self._isolation = isolation

    async def path_to_exit(self) -> ReadyPath:
        """A path for the stream's next calls."""
        ready = self._paths.ready(self._need, self._isolation)
        self._need = self._need._replace(exit=ready.exit)
        return ready

    def is_current(self, ready: ReadyPath) -> bool:
        """See ``Paths.is_current``."""
        return self._paths.is_current(ready)

    def retire(self, ready: ReadyPath, edge: Edge | None) -> None:
        """See ``Paths.retire``."""
        self._paths.retire(ready, edge)

    async def exchange(self, ready: ReadyPath, call: OnionCall, *, timeout_s: float) -> Answer:
        """See ``Paths.exchange``."""
        return await self._paths.exchange(ready, call, timeout_s=timeout_s)


_EDGE_WORDS = {
    Reason.NEXT_UNKNOWN: "the next relay is not in its directory",
    Reason.NEXT_UNREACHABLE: "no connection could be made",
    Reason.NEXT_REJECTED: "the packet was rejected (stale key, wrong clock, or overload)",
    Reason.NEXT_TIMED_OUT: "no answer in time",
    Reason.NEXT_CLOSED: "the connection broke",
    Reason.NEXT_MALFORMED: "the answer was malformed",
    Reason.NEXT_CONGESTED: "the queue is full",
}
