"""``Client``: calls and byte streams through the onion, on asyncio and on trio.

States: new, entered, closed; only an entered client is used. It owns its background tasks: one per connection, one
per stream, one that keeps the directory fresh.
"""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self, overload

import anyio
from anyio.abc import TaskGroup

from onionpath.client.attempts import DEFAULT_DEADLINE_S
from onionpath.client.dial import ProxyDial, dial_directly
from onionpath.client.memory_keeper import MemoryKeeper
from onionpath.client.native_network import NativeNetwork
from onionpath.client.network import Means
from onionpath.client.networks import Named, network_of
from onionpath.client.open_streams import GOODBYE_S
from onionpath.client.pace import LoopPace
from onionpath.client.path_pool import PathPool
from onionpath.client.path_report import PathReport
from onionpath.client.session_network import SessionNetwork
from onionpath.client.status import State, Status, StatusBoard
from onionpath.client.stream import OnionStream
from onionpath.crypto.identity import RelayId
from onionpath.crypto.session_channels import SessionPublicKey
from onionpath.directory.directory import Directory
from onionpath.directory.trust import TrustRoot
from onionpath.errors import OnionPathError, UsageError
from onionpath.injected import SteadyClock
from onionpath.onion.packets import Answer
from onionpath.onion.session_lsrpc import LsrpcServer
from onionpath.onion.session_packets import SessionReply
from onionpath.onion.session_v4 import V4Request, V4Response
from onionpath.path.constraints import Constraints
from onionpath.path.roles import NO_CONSTRAINTS
from onionpath.swarm.nodes import SessionNode
from onionpath.swarm.operations import ACCOUNT_SIZE


@dataclass(frozen=True, slots=True)
class _Running:
    """What an entered client has."""

    tasks: TaskGroup
    pace: LoopPace
    background: anyio.CancelScope


class Client:
    """A way into one network.

    Args:
        network: the trust root's file, or a trust root. For Session's format: the file of a list of nodes as a seed
            gives it, or the nodes.
        state: folder for what outlives the process: the directory, and the guards, which several programs may share.
            None keeps them in memory only. Then each run of the program draws new guards, and whoever owns a part f of
            the network has been one of them after n runs with probability 1 - (1 - f)^n: with a tenth, after 20 runs,
            88 %. A program that runs more than once should therefore have a folder.
        format: the packet format: "native", or "session" for access to Session's network, which is weaker: see
            docs/guides/session-client.md.
        directory: start from this verified directory instead of fetching one.
        constraints: which relays, networks and countries may stand on paths, and where.
        hedge: ask a second time over another path when an answer takes longer than 95 of 100 do, for calls that may
            be repeated; it costs a packet in twenty.
        proxy: ``socks5://user:password@host:port`` or ``http://…``, through which all connections to relays and
            authorities are made, with TLS inside; without it, nothing is.

    Raises:
        UsageError: no such file, format or proxy, or a network of the other format.
    """

    def __init__(
        self,
        network: Named,
        *,
        state: Path | None = None,
        format: str = "native",
        directory: Directory | None = None,
        constraints: Constraints = NO_CONSTRAINTS,
        hedge: bool = False,
        proxy: str | None = None,
    ) -> None:
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
            state=state,
            choice=choice,
        )
        self._network = network_of(network, format, means, directory=directory)
        guards = None if self._network.folder is None else self._network.folder / "guards"
        self._memory = MemoryKeeper(guards, self._network.network_id, self._pool)
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

    @overload
    async def call(
        self,
        service: int,
        body: bytes,
        *,
        to: RelayId | None = None,
        deadline_s: float = DEFAULT_DEADLINE_S,
        isolation: str | None = None,
        large_reply: bool = False,
    ) -> Answer: ...

    @overload
    async def call(
        self,
        service: int,
        body: bytes,
        *,
        to: SessionNode,
        deadline_s: float = DEFAULT_DEADLINE_S,
        isolation: str | None = None,
    ) -> SessionReply: ...

    async def call(
        self,
        service: int,
        body: bytes,
        *,
        to: RelayId | SessionNode | None = None,
        deadline_s: float = DEFAULT_DEADLINE_S,
        isolation: str | None = None,
        large_reply: bool = False,
    ) -> Answer | SessionReply:
        """Ask a service of the last hop, over up to three paths, and give its answer.

        Args:
            service: a ``ServiceId``; of a Session node, ``STORAGE``.
            to: the relay that must answer; None for any that offers the service. In Session's format a node of
                ``nodes``, which is then asked for its storage and never the guard.
            deadline_s: for everything together.
            isolation: calls with different keys never share a path.
            large_reply: make room for 127 KiB instead of 8 KiB in the reply; it costs 16 times the bytes.

        Returns: a Session node's reply with its status, whatever that says: for example 421 with the nodes of the
            right swarm, or 406 for a clock that is wrong.

        Raises:
            DeadlineError: no answer in time. UnreachableError: three paths failed.
            RefusedError: the service, or a relay, understood and refused.
            OutcomeUnknownError: a call that must not be made twice was sent and lost.
            NoPathError, DirectoryError, UsageError: nothing was sent.
        """
        self._check_entered()
        if isinstance(to, SessionNode):
            return await self._session().call(
                service, body, to=to, deadline_s=deadline_s, isolation=isolation
            )
        return await self._native().call(
            service, body, to=to, deadline_s=deadline_s, isolation=isolation, large_reply=large_reply
        )

    async def request_server(
        self,
        server: LsrpcServer,
        key: SessionPublicKey,
        request: V4Request,
        *,
        deadline_s: float = DEFAULT_DEADLINE_S,
        isolation: str | None = None,
    ) -> V4Response:
        """In Session's format: one HTTP request to a server with a key of its own, and its response.

        Args:
            server: where it takes requests.
            key: the request is sealed to it, so that no relay can read it.
            isolation: requests with different keys never share a path; None isolates each server.

        Raises:
            as ``call``; ``OutcomeUnknownError`` for whatever was lost, since it is sent no second time.
        """
        self._check_entered()
        return await self._session().request_server(
            server, key, request, deadline_s=deadline_s, isolation=isolation
        )

    @property
    def document_number(self) -> int | None:
        """Of the directory's document in use, by which ``swarm_of`` goes; None for a list of Session nodes."""
        return self._network.document_number

    def swarm_of(self, account: bytes) -> tuple[RelayId, ...]:
        """The relays that store for an account, in either format.

        Args:
            account: 33 bytes, Session's prefix and a key.

        Raises:
            DirectoryError: there is no directory, or nobody stores. UsageError: this is no account.
        """
        if len(account) != ACCOUNT_SIZE:
            raise UsageError(f"an account has {ACCOUNT_SIZE} bytes, not {len(account)}")
        return self._network.swarm_of(account)

    async def ask_storage(
        self,
        member: RelayId,
        request: bytes,
        *,
        deadline_s: float = DEFAULT_DEADLINE_S,
        isolation: str | None = None,
        large_reply: bool = True,
    ) -> SessionReply:
        """One relay's reply to a storage request, in either format; ``SwarmClient`` asks as many as are needed.

        Args:
            request: JSON of method and params, docs/specs/storage.md §2.
            large_reply: as for ``call``; a page of messages needs it.

        Raises:
            as ``call``; what the relay says of the request stands in the reply's status.
        """
        self._check_entered()
        key = isolation if isolation is not None else f"storage {member.hex()}"
        return await self._network.ask_storage(
            member, request, deadline_s=deadline_s, isolation=key, large_reply=large_reply
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
        return await self._native().open_stream(host, port, isolation=isolation, deadline_s=deadline_s)

    # What it says of itself.

    @property
    def trust_root(self) -> TrustRoot:
        """The network that this client is for."""
        return self._native().root

    @property
    def directory(self) -> Directory:
        """The verified directory in use.

        Raises:
            MissingDirectoryError: there is none yet.
        """
        return self._native().relays

    @property
    def nodes(self) -> tuple[SessionNode, ...]:
        """In Session's format: the nodes of the list that this client was given."""
        return self._session().relays.nodes

    def status(self) -> Status:
        """The state now; *ready* means that the last call went through, end to end, within the last minute."""
        return self._board.status

    def path_report(self, *, port: int | None = None) -> PathReport:
        """Guards, middles, and a path to this port as it would be drawn now, with the reasons; nothing uses the path.

        In Session's format, whose relays tell no ports, a path to some server.

        Raises:
            MissingDirectoryError: the directory has expired, or too little of it can be used.
        """
        self._check_entered()
        return self._pool.report(self._network.relays, self._network.need(port), now=self._clock())

    def statuses(self) -> AsyncIterator[Status]:
        """The state now and its changes, until the client is closed."""
        return self._board.follow()

    # Small common ends.

    def _check_entered(self) -> None:
        if self._running is None or self._is_closing:
            raise UsageError("use the client inside of 'async with client:'")

    def _native(self) -> NativeNetwork:
        if not isinstance(self._network, NativeNetwork):
            raise UsageError(
                "Session's format has no streams and no directory: it has nodes, which `to` names, and servers"
            )
        return self._network

    def _session(self) -> SessionNetwork:
        if not isinstance(self._network, SessionNetwork):
            raise UsageError("Session nodes and their servers are asked by a client with format='session'")
        return self._network

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
