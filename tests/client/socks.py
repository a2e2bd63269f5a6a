"""A SOCKS 5 server of a few lines, without authentication or with a password, that says whom it connected."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import anyio
from anyio.abc import ByteStream, SocketAttribute, SocketStream


class SocksServer:
    """Counts connections by destination."""

    def __init__(self, password: bytes | None) -> None:
        self.port = 0
        self.destinations: list[tuple[str, int]] = []
        self._password = password

    async def serve(self, client: SocketStream) -> None:
        """One connection to its end."""
        try:
            async with client:
                await self._serve(client)
        except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
            return

    async def _serve(self, client: SocketStream) -> None:
        _, methods = struct.unpack("BB", await _exactly(client, 2))
        await _exactly(client, methods)
        if self._password is None:
            await client.send(b"\x05\x00")
        else:
            await client.send(b"\x05\x02")
            if not await self._is_right(client):
                await client.send(b"\x01\x01")
                return
            await client.send(b"\x01\x00")
        _, _, _, kind = await _exactly(client, 4)
        assert kind == 1, "relays are dialled by number"
        host = str(ipaddress.IPv4Address(await _exactly(client, 4)))
        (port,) = struct.unpack(">H", await _exactly(client, 2))
        self.destinations.append((host, port))
        async with await anyio.connect_tcp(host, port) as server:
            await client.send(b"\x05\x00\x00\x01" + bytes(6))
            async with anyio.create_task_group() as both:
                both.start_soon(_pass_on, client, server)
                await _pass_on(server, client)
                both.cancel_scope.cancel()

    async def _is_right(self, client: SocketStream) -> bool:
        _, size = await _exactly(client, 2)
        await _exactly(client, size)
        (size,) = await _exactly(client, 1)
        return await _exactly(client, size) == self._password


async def _exactly(stream: ByteStream, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += await stream.receive(size - len(data))
    return data


async def _pass_on(source: ByteStream, sink: ByteStream) -> None:
    async for chunk in source:
        await sink.send(chunk)


@asynccontextmanager
async def socks_server(*, password: bytes | None = None) -> AsyncIterator[SocksServer]:
    """Runs one on a free port."""
    socks = SocksServer(password)
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    socks.port = listener.extra(SocketAttribute.local_port)  # noqa: S610  # anyio's, not Django's
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, socks.serve)
        yield socks
        group.cancel_scope.cancel()


@asynccontextmanager
async def answering(answers: Sequence[bytes]) -> AsyncIterator[int]:
    """The port of a proxy that gives these answers, whatever it hears, and hangs up on what it hasn't read."""

    async def answer(client: SocketStream) -> None:
        async with client:
            for each in answers:
                await client.receive(1)
                await client.send(each)

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, answer)
        yield listener.extra(SocketAttribute.local_port)  # noqa: S610  # anyio's, not Django's
        group.cancel_scope.cancel()
