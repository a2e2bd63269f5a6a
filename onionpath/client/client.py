"""``Client``: calls and byte streams through the onion, on asyncio and on trio.

States: new, entered, closed; only an entered client is used. It owns its background tasks: one per connection, one
per stream, one that keeps the directory fresh.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

import anyio
from anyio.abc import TaskGroup

from onionpath.client.attempts import DEFAULT_DEADLINE_S
from onionpath.client.dial import ProxyDial, dial_directly
from onionpath.client.memory_keeper import MemoryKeeper
from onionpath.client.native_network import NativeNetwork
from onionpath.client.network import Means
from onionpath.client.open_streams import GOODBYE_S
from onionpath.client.pace import LoopPace
from onionpath.client.path_pool import PathPool
from onionpath.client.path_report import PathReport
from onionpath.client.ready_path import Need
from onionpath.client.status import State, Status, StatusBoard
from onionpath.client.stream import OnionStream
from onionpath.crypto.identity import RelayId
from onionpath.directory.directory import Directory
from onionpath.directory.trust import TrustRoot
from onionpath.disk.trust_file import read_trust_root
from onionpath.errors import OnionPathError, UsageError
from onionpath.injected import SteadyClock
from onionpath.onion.packets import Answer
from onionpath.path.constraints import Constraints
from onionpath.path.roles import NO_CONSTRAINTS
from onionpath.service.calls import ServiceId


@dataclass(frozen=True, slots=True)
class _Running:
    """What an entered client has."""

    tasks: TaskGroup
    pace: LoopPace
    background: anyio.CancelScope


class Client:
    """A way into one network.

    Args:
        network: the trust root's file, or a trust root.
        state: folder for what outlives the process: the directory, and the guards, which several programs may share.
            None keeps them in memory only. Then each run of the program draws new guards, and whoever owns a part f of
            the network has been one of them after n runs with probability 1 - (1 - f)^n: with a tenth, after 20 runs,
            88 %. A program that runs more than once should therefore have a folder.
        format: the packet format; this version speaks "native".
        directory: start from this verified directory instead of fetching one.
        constraints: which relays, networks and countries may stand on paths, and where.
        hedge: ask a second time over another path when an answer takes longer than 95 of 100 do, for calls that may
            be repeated; it costs a packet in twenty.
        proxy: ``socks5://user:password@host:port`` or ``http://…``, through which all connections to relays and
            authorities are made, with TLS inside; without it, nothing is.

    Raises:
        UsageError: no such file, format or proxy, or one that isn't a trust root.
    """

    def __init__(
        self,
        network: str | os.PathLike[str] | TrustRoot,
        *,
        state: Path | None = None,
        format: str = "native",
        directory: Directory | None = None,
        constraints: Constraints = NO_CONSTRAINTS,
        hedge: bool = False,
        proxy: str | None = None,
    ) -> None:
        if format != "native":
            raise UsageError(f"there is no packet format {format!r}; this version speaks 'native'")
        root = network if isinstance(network, TrustRoot) else read_trust_root(Path(network))
        folder = None if state is None else state / root.network_id.hex()[:16]
        # The system's randomness: whoever can guess the choice of relays can wait at the right ones.
        choice = random.SystemRandom()
        self._clock = SteadyClock(time.time, time.monotonic).now
        self._pool = PathPool(choice, constraints=constraints)
        self._board = StatusBoard(self._clock)
        means = Means(
            pool=self._pool,
            dial=dial_directly if proxy is None else ProxyDial(proxy),
            hedges=hedge,
            clock=self._clock,
            report=self._note,
            changed=lambda: self._show(self._board.status),
            choice=choice,
        )
        self._network = NativeNetwork(root, means, folder=folder, directory=directory)
        guards = None if folder is None else folder / "guards"
        self._memory = MemoryKeeper(guards, root.network_id, self._pool)
        self._running: _Running | None = None  # a client may be made outside of a loop
        self._is_closing = False

    # Life.

    async def __aenter__(self) -> Self:
        if self._running is not None or self._is_closing:
            raise UsageError("a client is entered once")
        tasks = anyio.create_task_group()
        await tasks.__aenter__()
        pace = LoopPace(tasks)
        self._running = _Running(tasks, pace, anyio.CancelScope())
        self._network.open(tasks, pace)
        try:
            await self._memory.load()
            await self._network.start()
            # Before the first path, so that a program that is killed soon doesn't draw others at its next start.
            self._pool.use(self._network.relays, now=self._clock())
            await self._memory.save()
            tasks.start_soon(self._keep, self._running)
        except BaseException:
            self._is_closing = True
            await self._end(tasks)
            raise
        self._show(Status(State.WAITING))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._running is None:
            return
        try:
            # Bounded, and not to be interrupted: whoever cancels the program still wants its connections closed.
            with anyio.CancelScope(shield=True):
                await self.aclose()
        finally:
            await self._end(self._running.tasks)

    async def _end(self, tasks: TaskGroup) -> None:
        # The group is told of no error, so that the program's own is raised as it is and not in a group.
        tasks.cancel_scope.cancel()
        await tasks.__aexit__(None, None, None)

    async def aclose(self) -> None:
        """Close streams and connections; legal from any task, and more than once. Takes a second at most."""
        if self._is_closing:
            return
        self._is_closing = True
        running = self._running
        if running is not None:
            running.background.cancel()
            await self._network.end_streams()
            running.pace.close()
            with anyio.CancelScope(shield=True):
                await self._network.aclose()
                with anyio.move_on_after(GOODBYE_S):
                    await self._memory.try_to_save()
        self._board.show(Status(State.CLOSED))

    async def _keep(self, running: _Running) -> None:
        with running.background:
            async with anyio.create_task_group() as keeping:
                keeping.start_soon(self._memory.save_forever)
                await self._network.keep()

    # What it is for.

    async def call(
        self,
        service: int,
        body: bytes,
        *,
        to: RelayId | None = None,
        deadline_s: float = DEFAULT_DEADLINE_S,
        isolation: str | None = None,
        large_reply: bool = False,
    ) -> Answer:
        """Ask a service of the last hop, over up to three paths, and give its answer.

        Args:
            service: a ``ServiceId``.
            to: the relay that must answer; None for any that offers the service.
            deadline_s: for everything together.
            isolation: calls with different keys never share a path.
            large_reply: make room for 127 KiB instead of 8 KiB in the reply; it costs 16 times the bytes.

        Raises:
            DeadlineError: no answer in time. UnreachableError: three paths failed.
            RefusedError: the service, or a relay, understood and refused.
            OutcomeUnknownError: a call that must not be made twice was sent and lost.
            NoPathError, DirectoryError, UsageError: nothing was sent.
        """
        self._check_entered()
        return await self._network.call(
            service, body, to=to, deadline_s=deadline_s, isolation=isolation, large_reply=large_reply
        )

    async def open_stream(
        self,
        host: str,
        port: int,
        *,
        isolation: str | None = None,
        deadline_s: float = DEFAULT_DEADLINE_S,
    ) -> OnionStream:
        """A TCP connection from an exit to ``host``, which is resolved there.

        Args:
            isolation: streams with different keys never share a path; None isolates each host and port.

        Raises:
            as ``call``; ``RefusedError.reason`` tells a closed port from a forbidden address.
        """
        self._check_entered()
        return await self._network.open_stream(host, port, isolation=isolation, deadline_s=deadline_s)

    # What it says of itself.

    @property
    def trust_root(self) -> TrustRoot:
        """The network that this client is for."""
        return self._network.root

    @property
    def directory(self) -> Directory:
        """The verified directory in use.

        Raises:
            MissingDirectoryError: there is none yet.
        """
        return self._network.relays

    def status(self) -> Status:
        """The state now; *ready* means that the last call went through, end to end, within the last minute."""
        return self._board.status

    def path_report(self, *, port: int | None = None) -> PathReport:
        """Guards, middles, and a path to this port as it would be drawn now, with the reasons; nothing uses the path.

        Raises:
            MissingDirectoryError: the directory has expired, or too little of it can be used.
        """
        self._check_entered()
        need = Need(ServiceId.STREAM, port)
        return self._pool.report(self._network.relays, need, now=self._clock())

    def statuses(self) -> AsyncIterator[Status]:
        """The state now and its changes, until the client is closed."""
        return self._board.follow()

    # Small common ends.

    def _check_entered(self) -> None:
        if self._running is None or self._is_closing:
            raise UsageError("use the client inside of 'async with client:'")

    def _note(self, error: OnionPathError | None) -> None:
        status = self._board.status
        if error is None:
            self._show(replace(status, state=State.READY, last_success_at=self._clock()))
        else:
            self._show(replace(status, state=State.FAILING, last_failure=str(error)))

    def _show(self, status: Status) -> None:
        """Show this status with the counts of now, unless the client is being closed."""
        if self._is_closing:
            return
        counted = replace(status, paths=len(self._pool), state_problem=self._memory.problem)
        self._board.show(self._network.describe(counted))
