"""Real servers on loopback, a real exit in front of them, and calls to it; nothing here pretends."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from ipaddress import ip_network

import trio

from onionpath.injected import UnixTime
from onionpath.onion.statuses import ReplyStatus
from onionpath.service.calls import Call, Reply, ServiceId
from onionpath.service.exit_policy import ExitPolicy, IPAddress
from onionpath.service.hosts import DnsName
from onionpath.service.stream import RequestFlags, StreamReply, StreamRequest
from relay.exit.dial import Connect, Dialer, connect
from relay.exit.limits import StreamLimits
from relay.exit.streams import StreamService

LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
LARGE = 130_912  # a large reply's body at three hops
TOKEN = bytes(range(16))
OPEN, END, CLOSE = RequestFlags.OPEN, RequestFlags.END, RequestFlags.CLOSE


async def no_names(name: DnsName, *, caller: int) -> Sequence[IPAddress]:
    """A resolver without any name."""
    return ()


def local_dialer(*, connect: Connect = connect) -> Dialer:
    """A dialer that reaches loopback and nothing else."""
    policy = ExitPolicy.parse(["accept *:*"])
    return Dialer(policy, own=tuple, reachable_private=LOOPBACK, resolver=no_names, connect=connect)


@asynccontextmanager
async def local_exit(
    *, connect: Connect = connect, stream_limits: StreamLimits | None = None
) -> AsyncIterator[StreamService]:
    """An exit that reaches loopback; closed at the end."""
    async with trio.open_nursery() as nursery:
        service = StreamService(local_dialer(connect=connect), nursery, stream_limits=stream_limits)
        yield service
        service.close()


@asynccontextmanager
async def server(handler: Callable[[trio.SocketStream], Awaitable[None]]) -> AsyncIterator[int]:
    """A TCP server on loopback that survives its clients; gives its port."""

    async def handle(stream: trio.SocketStream) -> None:
        with suppress(trio.BrokenResourceError):
            await handler(stream)

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, handle, 0, host="127.0.0.1"))
        yield listeners[0].socket.getsockname()[1]
        nursery.cancel_scope.cancel()


async def call(
    service: StreamService, request: StreamRequest, *, capacity: int = LARGE, caller: int = 1
) -> Reply:
    """Ask the service, as the registry would."""
    body = request.encode()
    return await service.answer(Call(ServiceId.STREAM, body, bytes(16), capacity, caller, UnixTime(0.0)))


async def ask(service: StreamService, request: StreamRequest, *, capacity: int = LARGE) -> StreamReply:
    """Ask the service and read its answer, which must not be a refusal."""
    reply = await call(service, request, capacity=capacity)
    assert (ReplyStatus.ANSWERED, 0) == (reply.status, reply.reason)
    return StreamReply.decode(reply.body)
