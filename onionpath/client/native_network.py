"""A network with a signed directory, for a client: its directory, links, calls and streams."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import anyio
from anyio.abc import TaskGroup

from onionpath.client.asking import Asking
from onionpath.client.attempts import DEFAULT_DEADLINE_S, Attempts
from onionpath.client.connections import Connections
from onionpath.client.directory_keeper import DirectoryKeeper
from onionpath.client.directory_schedule import ISOLATIONS
from onionpath.client.isolation import isolation_key
from onionpath.client.native_format import NativeFormat
from onionpath.client.network import Means
from onionpath.client.onion_exchange import onion_call
from onionpath.client.open_streams import OpenStreams
from onionpath.client.pace import LoopPace
from onionpath.client.paths import NativePaths, Paths
from onionpath.client.ready_path import Need
from onionpath.client.refusals import refusal
from onionpath.client.status import Status
from onionpath.client.stream import OnionStream
from onionpath.crypto.identity import RelayId
from onionpath.directory.directory import Directory
from onionpath.directory.swarms import members, swarm_of
from onionpath.directory.trust import TrustRoot
from onionpath.errors import MalformedError, MissingDirectoryError, UsageError
from onionpath.link.tls import client_context
from onionpath.onion.packets import Answer
from onionpath.onion.replay import slot_at
from onionpath.onion.session_packets import ReplyForm, SessionReply
from onionpath.onion.session_replies import decode_reply
from onionpath.onion.statuses import ReplyStatus
from onionpath.service.call_keys import new_call_key
from onionpath.service.calls import ServiceId


@dataclass(frozen=True, slots=True)
class _Opened:
    """What there is once the client is entered."""

    tasks: TaskGroup
    connections: Connections
    paths: NativePaths


class NativeNetwork:
    """See ``Network``.

    Args:
        root: whom we believe.
        directory: start from this one instead of fetching one.
    """

    def __init__(self, root: TrustRoot, means: Means, *, directory: Directory | None) -> None:
        self.root = root
        self.network_id = root.network_id
        self.folder = None if means.state is None else means.state / root.network_id.hex()[:16]
        self._means = means
        file = None if self.folder is None else self.folder / "directory"
        self.keeper = DirectoryKeeper(root, file=file, clock=means.clock, choice=means.choice)
        if directory is not None:
            self.keeper.use(directory)
        self._geometry = root.parameters.geometry
        self.streams = OpenStreams(self._geometry, changed=means.changed)
        self._opened: _Opened | None = None

    # Life; see ``Network``.

    @property
    def relays(self) -> Directory:
        """The newest verified directory."""
        return self.keeper.directory

    def need(self, port: int | None) -> Need:
        """See ``Network``."""
        return Need(ServiceId.STREAM, port)

    def open(self, tasks: TaskGroup, pace: LoopPace) -> None:
        """See ``Network``."""
        means = self._means
        connections = Connections(self._geometry, client_context(), tasks, dial=means.dial)
        over_links = NativeFormat(
            self.root,
            directory=lambda: self.relays,
            connect=connections.to,
            clock=means.clock,
            entropy=means.entropy,
        )
        paths = Paths(
            means.pool,
            over_links,
            relays=lambda: self.relays,
            clock=means.clock,
            pace=pace,
            report=means.report,
        )
        self._opened = _Opened(tasks, connections, paths)

    @property
    def connections(self) -> Connections:
        """To first hops and authorities, once the client is entered."""
        return self._there().connections

    async def start(self) -> None:
        """See ``Network``."""
        await self.keeper.load()
        await self.keeper.fetch(self.connections)

    async def keep(self) -> None:
        """See ``Network``."""
        asks = [partial(self._ask_for_directory, isolation) for isolation in ISOLATIONS]
        await self.keeper.refresh_forever(self.connections, asks)

    def describe(self, status: Status) -> Status:
        """See ``Network``."""
        directory = self.relays
        return replace(
            status,
            document=directory.document.number,
            relays=len(directory.relays),
            streams=len(self.streams),
        )

    async def end_streams(self) -> None:
        """See ``Network``."""
        await self.streams.aclose()

    async def aclose(self) -> None:
        """See ``Network``."""
        await self.connections.aclose()

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
        """See ``Client.call``."""
        slot = slot_at(self._means.clock(), self.root.parameters.slot_s)
        call = onion_call(
            self._geometry,
            service,
            body,
            idempotency_key=new_call_key(slot, self._means.entropy),
            large_reply=large_reply,
        )
        deadline_at = anyio.current_time() + deadline_s
        rule = Attempts.of(service, deadline_at=deadline_at, hedges=self._means.hedges)
        key = isolation_key(isolation, f"service {service}")
        answer = await Asking(self._there().paths, rule, Need(service, exit=to), key, call).ask()
        if answer.head.status is not ReplyStatus.ANSWERED:
            raise refusal(answer)
        return answer

    @property
    def document_number(self) -> int:
        """See ``Client.document_number``."""
        return self.relays.document.number

    def swarm_of(self, account: bytes) -> tuple[RelayId, ...]:
        """See ``Client.swarm_of``."""
        swarms = members(self.relays.document)
        if not swarms:
            raise MissingDirectoryError("no relay of this network stores for accounts")
        return swarms[swarm_of(account[1:], list(swarms))]

    async def ask_storage(
        self, member: RelayId, request: bytes, *, deadline_s: float, isolation: str, large_reply: bool
    ) -> SessionReply:
        """See ``Client.ask_storage``."""
        answer = await self.call(
            ServiceId.STORAGE,
            request,
            to=member,
            deadline_s=deadline_s,
            isolation=isolation,
            large_reply=large_reply,
        )
        reply = decode_reply(answer.body, ReplyForm.JSON)
        if not isinstance(reply, SessionReply):
            raise MalformedError("a relay answered as a server does")
        return reply

    async def open_stream(
        self, host: str, port: int, *, isolation: str | None, deadline_s: float
    ) -> OnionStream:
        """See ``Client.open_stream``."""
        opened = self._there()
        host = _ascii_host(host)
        key = isolation_key(isolation, f"origin {host}:{port}")
        return await self.streams.open(
            host, port, isolation=key, deadline_s=deadline_s, paths=opened.paths, tasks=opened.tasks
        )

    async def _ask_for_directory(self, isolation: str, body: bytes) -> bytes:
        answer = await self.call(ServiceId.DIRECTORY, body, isolation=isolation, large_reply=True)
        return answer.body

    def _there(self) -> _Opened:
        if self._opened is None:
            raise UsageError("use the client inside of 'async with client:'")
        return self._opened


def _ascii_host(host: str) -> str:
    try:
        ascii_host = host.encode("idna").decode() if not host.isascii() else host
    except UnicodeError as error:
        raise UsageError(f"{host!r} is no host name") from error
    return ascii_host.rstrip(".").lower().strip("[]")
