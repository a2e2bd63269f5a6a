"""A network of Session nodes, for a client: a given list, HTTPS to first hops, and calls to nodes and servers.

A node that is asked for stands last on a path of its own, as the fourth relay; a server is reached from the third.
Nothing else is ever sent to anybody: a first hop is not tested, and sees nothing but sealed layers.
Spec: docs/specs/paths.md §6.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import anyio
from anyio.abc import TaskGroup

from onionpath.client.asking import Asking
from onionpath.client.attempts import Attempts
from onionpath.client.https_doors import HttpsDoors
from onionpath.client.isolation import isolation_key
from onionpath.client.network import Means
from onionpath.client.pace import LoopPace
from onionpath.client.paths import Paths
from onionpath.client.ready_path import Need
from onionpath.client.session_exchange import SessionAnswer
from onionpath.client.session_format import AnySessionCall, SessionFormat
from onionpath.client.session_list import HOPS_TO_NODE, SessionList
from onionpath.client.status import Status
from onionpath.crypto.identity import RelayId
from onionpath.crypto.session_channels import SessionPublicKey
from onionpath.crypto.tags import digest
from onionpath.directory.swarms import swarm_of
from onionpath.errors import MalformedError, MissingDirectoryError, UsageError
from onionpath.onion.session_lsrpc import LsrpcServer
from onionpath.onion.session_packets import ServerCall, SessionCall, SessionReply
from onionpath.onion.session_v4 import V4Request, V4Response
from onionpath.service.calls import ServiceId
from onionpath.swarm.node_list import NodeList
from onionpath.swarm.nodes import SessionNode

# Lists change, and say nothing of the network that they are of: its files stand in a folder that the program chooses.
NETWORK_ID = digest(b"session")

SessionPaths = Paths[AnySessionCall, SessionAnswer]


@dataclass(frozen=True, slots=True)
class _Opened:
    """What there is once the client is entered."""

    doors: HttpsDoors
    paths: SessionPaths


class SessionNetwork:
    """See ``Network``.

    Args:
        given: the list.

    Raises:
        UsageError: it is empty.
    """

    def __init__(self, given: NodeList, means: Means) -> None:
        if not given.nodes:
            raise UsageError("this list has no Session nodes that could be used")
        self.relays = SessionList.of(given.nodes)
        self.network_id = NETWORK_ID
        self.folder = None if means.state is None else means.state / "session"
        self._dropped = given.dropped
        self._means = means
        self._opened: _Opened | None = None

    # Life; see ``Network``.

    def need(self, port: int | None) -> Need:
        """See ``Network``; nodes don't say to which ports they connect."""
        return Need(None)

    def open(self, tasks: TaskGroup, pace: LoopPace) -> None:
        """See ``Network``."""
        means = self._means
        doors = HttpsDoors(tasks, dial=means.dial)
        paths: SessionPaths = Paths(
            means.pool,
            SessionFormat(self.relays, door=doors.to, entropy=means.entropy),
            relays=lambda: self.relays,
            clock=means.clock,
            pace=pace,
            report=means.report,
        )
        self._opened = _Opened(doors, paths)

    @property
    def doors(self) -> HttpsDoors:
        """To first hops, once the client is entered."""
        return self._there().doors

    async def start(self) -> None:
        """See ``Network``; the list is there."""

    async def keep(self) -> None:
        """See ``Network``; whoever has a newer list makes a new client."""
        await anyio.sleep_forever()

    def describe(self, status: Status) -> Status:
        """See ``Network``."""
        nodes = self.relays.nodes
        unknown = sum(node.certificate_hash is None for node in nodes)
        warning = "Session's format: weaker than native"
        if unknown:
            warning += f"; certificates of {unknown} of {len(nodes)} nodes are not known and not checked"
        if self._dropped:
            warning += f"; {self._dropped} nodes of the list were of no use"
        return replace(status, relays=len(nodes), warning=warning)

    async def end_streams(self) -> None:
        """See ``Network``; the format has none."""

    async def aclose(self) -> None:
        """See ``Network``."""
        await self.doors.aclose()

    # What it is for.

    async def call(
        self, service: int, body: bytes, *, to: SessionNode, deadline_s: float, isolation: str | None
    ) -> SessionReply:
        """See ``Client.call``."""
        if service != ServiceId.STORAGE:
            raise UsageError("a Session node is asked for its storage only: ServiceId.STORAGE")
        if to.relay_id not in self.relays.relays:
            raise UsageError("this Session node is not in the client's list")
        need = Need(None, exit=to.relay_id, hops=HOPS_TO_NODE)
        # Storage tells messages apart by their content, so that asking twice changes nothing.
        rule = self._rule(is_repeatable=True, deadline_s=deadline_s)
        asking = Asking(
            self._there().paths, rule, need, isolation_key(isolation, "storage"), SessionCall(body)
        )
        reply = (await asking.ask()).reply
        if not isinstance(reply, SessionReply):
            raise MalformedError("a node answered as a server does")
        return reply

    @property
    def document_number(self) -> None:
        """See ``Client.document_number``; lists have none."""
        return None

    def swarm_of(self, account: bytes) -> tuple[RelayId, ...]:
        """See ``Client.swarm_of``."""
        swarms = sorted({node.swarm for node in self.relays.nodes if node.swarm is not None})
        if not swarms:
            raise MissingDirectoryError("no node of this list says in which swarm it stores")
        swarm = swarm_of(account[1:], swarms)
        return tuple(node.relay_id for node in self.relays.nodes if node.swarm == swarm)

    async def ask_storage(
        self, member: RelayId, request: bytes, *, deadline_s: float, isolation: str, large_reply: bool
    ) -> SessionReply:
        """See ``Client.ask_storage``; this format has replies of any size."""
        listed = self.relays.relays.get(member)
        if listed is None:
            raise UsageError("this Session node is not in the client's list")
        return await self.call(
            ServiceId.STORAGE, request, to=listed.node, deadline_s=deadline_s, isolation=isolation
        )

    async def request_server(
        self,
        server: LsrpcServer,
        key: SessionPublicKey,
        request: V4Request,
        *,
        deadline_s: float,
        isolation: str | None,
    ) -> V4Response:
        """See ``Client.request_server``."""
        rule = self._rule(is_repeatable=False, deadline_s=deadline_s)
        isolation = isolation_key(isolation, f"server {server.protocol} {server.host}:{server.port}")
        call = ServerCall(server, key, request)
        reply = (await Asking(self._there().paths, rule, Need(None), isolation, call).ask()).reply
        if not isinstance(reply, V4Response):
            raise MalformedError("a server answered as a node does")
        return reply

    def _rule(self, *, is_repeatable: bool, deadline_s: float) -> Attempts:
        deadline_at = anyio.current_time() + deadline_s
        return Attempts(is_repeatable, deadline_at, self._means.hedges, is_remembered=False)

    def _there(self) -> _Opened:
        if self._opened is None:
            raise UsageError("use the client inside of 'async with client:'")
        return self._opened
