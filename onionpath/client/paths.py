"""Ready paths, and one packet over one of them: what calls and streams have in common.

No second attempt is made here, and no deadline is set but the caller's; whoever tries again knows whether he may.
The same object works over sockets and in virtual time: how to connect and how to wait are arguments.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol, TypeVar

from onionpath.client.onion_exchange import FIRST_HOP, OnionExchange
from onionpath.client.path_pool import Need, PathPool, ReadyPath, has_current_keys
from onionpath.directory.directory import Directory
from onionpath.directory.trust import TrustRoot
from onionpath.errors import DeadlineError, Edge, OnionPathError, PeerError, UnreachableError
from onionpath.injected import Entropy, UnixTime
from onionpath.link.frames import Frame
from onionpath.link.neighbour import Neighbour
from onionpath.onion.native import NativeOnion
from onionpath.onion.packets import Answer, OnionCall, Packet
from onionpath.onion.replay import slot_at
from onionpath.service.calls import ServiceId

T = TypeVar("T")


class FirstHop(Protocol):
    """An open connection to a first hop."""

    async def exchange(self, packet: Packet) -> Frame: ...


class Within(Protocol):
    """Lets something wait for at most so many seconds; raises ``TimeoutError`` after them."""

    async def __call__(self, seconds: float, waiting: Coroutine[Any, Any, T], /) -> T: ...


class Paths:
    """The paths of one client.

    Args:
        directory: the newest verified one; raises ``MissingDirectoryError`` if there is none.
        connect: an open connection to whoever listens there.
        within: how this program waits; over sockets and in virtual time it is not the same.
        report: is told how each exchange ended: None, or what went wrong.
    """

    def __init__(
        self,
        root: TrustRoot,
        pool: PathPool,
        *,
        directory: Callable[[], Directory],
        connect: Callable[[Neighbour], Awaitable[FirstHop]],
        clock: Callable[[], UnixTime],
        entropy: Entropy,
        within: Within,
        report: Callable[[OnionPathError | None], None],
    ) -> None:
        self._onion = NativeOnion(root.parameters.geometry, root.network_id)
        self._slot_s = root.parameters.slot_s
        self._pool = pool
        self._directory, self._connect = directory, connect
        self._clock, self._entropy, self._within = clock, entropy, within
        self._report = report

    def ready(self, need: Need, isolation: str) -> ReadyPath:
        """The path that the next exchange of this need and key takes.

        Raises:
            NoPathError, DirectoryError: there is none.
        """
        return self._pool.ready(self._directory(), need, isolation, now=self._clock())

    def retire(self, ready: ReadyPath, edge: Edge | None) -> None:
        """Never use this path again; ``edge`` is where it broke, if that is known."""
        self._pool.retire(ready, edge, now=self._clock())

    def is_current(self, ready: ReadyPath) -> bool:
        """Whether each relay of the path still publishes the key that packets would be sealed to."""
        return has_current_keys(self._directory(), ready, now=self._clock())

    async def exchange(self, ready: ReadyPath, call: OnionCall, *, timeout_s: float) -> Answer:
        """One packet over one path and its answer.

        Raises:
            DeadlineError, UnreachableError: with ``.edge`` where the answer, or its absence, accuses one.
        """
        try:
            answer = await self._within(max(0.0, timeout_s), self._exchange(ready, call))
        except TimeoutError as error:
            failure = DeadlineError(f"no answer over this path in {timeout_s:.1f} s")
            self._report(failure)
            raise failure from error
        except OnionPathError as error:
            self._report(error)
            raise
        self._report(None)
        self._pool.answered(ready, answer, now=self._clock())
        return answer

    async def _exchange(self, ready: ReadyPath, call: OnionCall) -> Answer:
        first = ready.path.relays[0].descriptor
        try:
            connection = await self._connect(Neighbour.of_relay(first))
        except PeerError as error:
            message = f"hop 1 could not be reached: {error}"
            raise UnreachableError(message, edge=FIRST_HOP, sent=False) from error
        slot = slot_at(self._clock(), self._slot_s)
        exchange = OnionExchange.begin(self._onion, ready.hops, call, slot=slot, entropy=self._entropy)
        return exchange.judge(await connection.exchange(exchange.packet))


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
