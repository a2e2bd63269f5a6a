"""Session nodes in the loop of the test: real TLS and HTTP to each, real layers, and memory between them.

Each node does what the format asks of it, until a test gives it another ``answer``.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from random import Random

import anyio
import h11
from anyio.abc import AnyByteStream, SocketAttribute
from anyio.streams.tls import TLSListener

from onionpath.crypto.certificates import LinkCertificate, make_link_certificate
from onionpath.crypto.identity import RelayId
from onionpath.crypto.session_channels import SessionPrivateKey
from onionpath.onion.session import SessionOnion
from onionpath.onion.session_packets import (
    ForwardToRelay,
    ForwardToServer,
    SessionHopKey,
    SessionPeeled,
    SessionReply,
    SessionServe,
)
from onionpath.onion.session_refusals import Refuse, decide_post
from onionpath.onion.session_server import open_posted
from onionpath.onion.session_v4 import V4Request, V4Response, decode_v4_request
from onionpath.swarm.nodes import SessionNode
from relay.session.door import door_context
from tests.directory.networks import identity

Reply = tuple[int, bytes]
Answer = Callable[["Door", bytes], Awaitable[Reply]]
"""What a node does with the body of a client's request; it may also break the connection."""

SERVER_KEY = SessionPrivateKey(b"\x07" * 32)


def seeded(seed: int) -> Callable[[int], bytes]:
    return Random(seed).randbytes


@lru_cache(maxsize=16)
def certificate(number: int) -> LinkCertificate:
    return make_link_certificate()


@dataclass
class Node:
    """One node and what happened to it."""

    node: SessionNode
    key: SessionHopKey
    answer: Answer
    posted: list[bytes] = field(default_factory=list)
    served: list[bytes] = field(default_factory=list)
    connections: set[AnyByteStream] = field(default_factory=set)
    accepted: int = 0
    heads: list[h11.Request] = field(default_factory=list)
    refuses_unread: bytes | None = None

    @property
    def relay_id(self) -> RelayId:
        return self.node.relay_id


@dataclass
class Door:
    """One client's connection to a node."""

    world: World
    node: Node
    stream: AnyByteStream


class World:
    """All nodes; ``storage`` answers for each, ``server`` behind each."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.onion = SessionOnion()
        self.storage: Callable[[Node, bytes], SessionReply] = echo_storage
        self.server: Callable[[V4Request], V4Response] = echo_server
        self.problems: list[Exception] = []
        self._entropy = seeded(3)

    @property
    def list(self) -> tuple[SessionNode, ...]:
        return tuple(each.node for each in self.nodes)

    def node(self, relay_id: RelayId) -> Node:
        return next(each for each in self.nodes if each.relay_id == relay_id)

    @property
    def guards(self) -> list[Node]:
        """Those that a client has posted to, in the order of the list."""
        return [each for each in self.nodes if each.posted]

    @property
    def connections(self) -> int:
        return sum(len(each.connections) for each in self.nodes)

    def everybody(self, answer: Answer) -> None:
        for each in self.nodes:
            each.answer = answer

    def handle(self, node: Node, peeled: SessionPeeled | Refuse) -> Reply:
        """What the rest of a path answers, when this node has removed its layer."""
        match peeled:
            case Refuse(status, body):
                return status, body
            case ForwardToRelay(next_relay, packet):
                after = self.node(next_relay)
                return self.handle(after, self.onion.peel(packet, after.key))
            case ForwardToServer(_, posted):
                layer = open_posted(posted, SERVER_KEY)
                response = self.server(decode_v4_request(layer.plaintext))
                return 200, self.onion.seal_reply(layer.reply_key, response, entropy=self._entropy)
            case SessionServe(body, _, reply_key):
                node.served.append(body)
                reply = self.storage(node, body)
                return 200, self.onion.seal_reply(reply_key, reply, entropy=self._entropy)


def echo_storage(node: Node, body: bytes) -> SessionReply:
    return SessionReply(200, body)


def echo_server(request: V4Request) -> V4Response:
    return V4Response(201, {"x-endpoint": request.endpoint}, request.body or b"")


async def honest(door: Door, body: bytes) -> Reply:
    """What a node does by itself."""
    return door.world.handle(door.node, decide_post(door.world.onion, body, door.node.key))


async def silent(door: Door, body: bytes) -> Reply:
    """It says nothing until the client gives up."""
    await door.stream.receive()
    raise AssertionError


async def dying(door: Door, body: bytes) -> Reply:
    """It is killed while it has a request."""
    await door.stream.aclose()
    raise anyio.ClosedResourceError


def saying(status: int, body: bytes) -> Answer:
    async def answer(door: Door, posted: bytes) -> Reply:
        return status, body

    return answer


def changing(change: Callable[[bytes], bytes]) -> Answer:
    async def answer(door: Door, posted: bytes) -> Reply:
        status, reply = await honest(door, posted)
        return status, change(reply)

    return answer


@asynccontextmanager
async def session_world(folder: Path, count: int = 8, *, is_pinned: bool = True) -> AsyncIterator[World]:
    """Nodes on loopback, until the end."""
    world = World()
    async with AsyncExitStack() as stack:
        listeners: list[TLSListener] = []
        for number in range(count):
            listener = await anyio.create_tcp_listener(local_host=_host(number), local_port=0)
            port = listener.extra_attributes[SocketAttribute.local_port]()
            world.nodes.append(_node(number, port, is_pinned=is_pinned))
            tls = TLSListener(listener, _context(folder, number), standard_compatible=False)
            listeners.append(await stack.enter_async_context(tls))
        async with anyio.create_task_group() as tasks:
            for node, tls in zip(world.nodes, listeners, strict=True):
                tasks.start_soon(tls.serve, partial(_serve, world, node))
            yield world
            tasks.cancel_scope.cancel()
    assert [] == world.problems


def _host(number: int) -> str:
    """Each in a network of its own, as paths want them."""
    return f"127.{number + 1}.0.1"


def _node(number: int, port: int, *, is_pinned: bool) -> Node:
    key = SessionPrivateKey(bytes([number + 1]) * 32)
    relay_id = identity(f"node {number}").relay_id
    hash_ = certificate(number).key_hash if is_pinned else None
    return Node(
        SessionNode(relay_id, key.public, _host(number), port, hash_), SessionHopKey(relay_id, key), honest
    )


def _context(folder: Path, number: int) -> ssl.SSLContext:
    made, key = folder / f"{number}.pem", folder / f"{number}.key"
    made.write_bytes(certificate(number).certificate_pem)
    key.write_bytes(certificate(number).key_pem)
    return door_context(made, key)


async def _serve(world: World, node: Node, stream: AnyByteStream) -> None:
    door = Door(world, node, stream)
    door.node.connections.add(door.stream)
    door.node.accepted += 1
    try:
        async with door.stream:
            while True:
                await _serve_one(door)
    except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
        pass
    except Exception as error:  # it would cancel the test, and not be told
        world.problems.append(error)
    finally:
        door.node.connections.discard(door.stream)


async def _serve_one(door: Door) -> None:
    http = h11.Connection(h11.SERVER)
    body = b""
    while not isinstance(event := http.next_event(), h11.EndOfMessage):
        if event is h11.NEED_DATA:
            http.receive_data(await door.stream.receive())
        elif isinstance(event, h11.Request):
            door.node.heads.append(event)
            if door.node.refuses_unread is not None:
                await door.stream.send(door.node.refuses_unread)
                await anyio.sleep_forever()
        elif isinstance(event, h11.Data):
            body += event.data
    door.node.posted.append(body)
    status, reply = await door.node.answer(door, body)
    await door.stream.send(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%b" % (status, len(reply), reply))


def ids(nodes: Sequence[Node]) -> set[RelayId]:
    return {each.relay_id for each in nodes}
