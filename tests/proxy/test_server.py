"""Programs that use the proxy, over a real client and a real network."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio
import pytest
from anyio.abc import ByteStream, SocketAttribute, SocketStream

from onionpath.client.client import Client
from onionpath.proxy.failures import Failure
from onionpath.proxy.handshake import Access, Wanted
from onionpath.proxy.server import ProxyLimits, ProxyServer
from tests.client.worlds import World

pytestmark = pytest.mark.anyio
GREETING = b"\x05\x01\x00"


@dataclass(frozen=True)
class Proxy:
    """A proxy that runs."""

    server: ProxyServer
    port: int

    async def connect(self) -> SocketStream:
        return await anyio.connect_tcp("127.0.0.1", self.port)


@asynccontextmanager
async def proxy(
    world: World,
    *,
    access: Access | None = None,
    limits: ProxyLimits | None = None,
    failed: Callable[[Wanted, Failure], None] = lambda wanted, failure: None,
) -> AsyncIterator[Proxy]:
    async with Client(world.root) as client, anyio.create_task_group() as tasks:
        server = ProxyServer(client.open_stream, access=access, limits=limits, failed=failed)
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
        tasks.start_soon(server.serve, listener)
        yield Proxy(server, listener.extra(SocketAttribute.local_port))  # noqa: S610  # anyio's
        tasks.cancel_scope.cancel()


def connect_to(host: bytes, port: int) -> bytes:
    return b"\x05\x01\x00\x03" + bytes([len(host)]) + host + port.to_bytes(2)


async def all_of(stream: SocketStream) -> bytes:
    data = b""
    with anyio.fail_after(10):
        while True:
            try:
                data += await stream.receive()
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                return data


async def exactly(stream: SocketStream, size: int) -> bytes:
    data = b""
    with anyio.fail_after(10):
        while len(data) < size:
            data += await stream.receive(size - len(data))
    return data


async def test_a_program_with_socks_talks_to_a_website_both_ways_to_the_end(world: World) -> None:
    async with proxy(world) as ours, await ours.connect() as program:
        await program.send(GREETING + connect_to(b"localhost", world.shout_port) + b"early ")
        assert b"\x05\x00" + b"\x05\x00\x00\x01" + bytes(6) == await exactly(program, 12)
        await program.send(b"and late")
        await program.send_eof()

        assert b"EARLY AND LATE" == await all_of(program)


async def test_a_program_with_http_connects_to_a_website(world: World) -> None:
    async with proxy(world) as ours, await ours.connect() as program:
        await program.send(b"CONNECT localhost:%d HTTP/1.1\r\nHost: x\r\n\r\n" % world.shout_port)
        assert b"HTTP/1.1 200 Connected\r\n\r\n" == await exactly(program, 26)
        await program.send(b"hello")
        await program.send_eof()

        assert b"HELLO" == await all_of(program)


async def test_a_request_with_a_url_is_answered_and_the_connection_closed(world: World) -> None:
    url = f"http://localhost:{world.http_port}/".encode()
    async with proxy(world) as ours, await ours.connect() as program:
        await program.send(b"GET " + url + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = await all_of(program)

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"\r\nConnection: close\r\n\r\nhello")


async def test_a_closed_port_is_told_as_such(world: World, closed_port: int) -> None:
    async with proxy(world) as ours:
        async with await ours.connect() as program:
            await program.send(GREETING + connect_to(b"localhost", closed_port))
            assert b"\x05\x00" + b"\x05\x05\x00\x01" + bytes(6) == await all_of(program)
        async with await ours.connect() as program:
            await program.send(b"CONNECT localhost:%d HTTP/1.1\r\nHost: x\r\n\r\n" % closed_port)
            said = await all_of(program)

    assert said.startswith(b"HTTP/1.1 502 ")
    assert f"refuses connections on port {closed_port}".encode() in said


async def test_a_failure_is_told_to_whoever_runs_the_proxy_too(world: World, closed_port: int) -> None:
    told: list[tuple[str, int, int, str]] = []

    def note(wanted: Wanted, failure: Failure) -> None:
        told.append((wanted.host, wanted.port, failure.status, failure.words))

    async with proxy(world, failed=note) as ours, await ours.connect() as program:
        await program.send(b"CONNECT localhost:%d HTTP/1.1\r\nHost: x\r\n\r\n" % closed_port)
        await all_of(program)

    words = f"hop 3: localhost refuses connections on port {closed_port}"
    assert [("localhost", closed_port, 502, words)] == told


async def test_a_name_that_the_exit_cannot_resolve_is_told_as_such(world: World) -> None:
    async with proxy(world) as ours, await ours.connect() as program:
        await program.send(GREETING + connect_to(b"nowhere.invalid", 80))
        assert b"\x05\x00\x05\x04" == (await all_of(program))[:4]


async def test_a_guarded_proxy_keeps_others_out(world: World) -> None:
    async with proxy(world, access=Access("secret")) as ours:
        async with await ours.connect() as program:
            await program.send(GREETING)
            assert b"\x05\xff" == await all_of(program)
        async with await ours.connect() as program:
            await program.send(b"GET http://localhost/ HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await all_of(program)).startswith(b"HTTP/1.1 407 ")
        assert 0 == ours.server.counts.get("connected", 0)


async def test_a_program_that_says_nothing_is_hung_up_on(world: World) -> None:
    async with proxy(world, limits=ProxyLimits(handshake_s=0.05)) as ours:
        for begun in (b"", GREETING, b"GET "):
            async with await ours.connect() as program:
                await program.send(begun) if begun else None
                await all_of(program)
        assert 3 == ours.server.counts["handshake_timed_out"]


async def test_a_connection_on_which_nothing_moves_is_given_up(world: World) -> None:
    async with (
        proxy(world, limits=ProxyLimits(idle_s=0.1)) as ours,
        await ours.connect() as program,
    ):
        await program.send(GREETING + connect_to(b"localhost", world.shout_port))
        assert 12 == len(await all_of(program))


async def test_more_connections_than_allowed_are_hung_up_on(world: World) -> None:
    async with proxy(world, limits=ProxyLimits(connections=1)) as ours:
        async with await ours.connect() as first:
            await first.send(GREETING)
            await exactly(first, 2)
            async with await ours.connect() as second:
                assert b"" == await all_of(second)
        assert 1 == ours.server.counts["too_many_connections"]


async def test_a_large_upload_and_download_at_once_arrive_whole(world: World) -> None:
    data = b"0123456789abcdef" * 8_192
    async with proxy(world) as ours, await ours.connect() as program:
        await program.send(GREETING + connect_to(b"localhost", world.shout_port))
        await exactly(program, 12)
        async with anyio.create_task_group() as both:

            async def upload() -> None:
                await program.send(data)
                await program.send_eof()

            both.start_soon(upload)
            assert data.upper() == await all_of(program)


async def test_the_client_is_told_whose_connections_belong_together(world: World) -> None:
    keys: list[str | None] = []
    async with Client(world.root) as client, anyio.create_task_group() as tasks:

        async def open_stream(
            host: str, port: int, *, isolation: str | None = None, deadline_s: float = 40.0
        ) -> ByteStream:
            keys.append(isolation)
            return await client.open_stream(host, port, isolation=isolation, deadline_s=deadline_s)

        listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
        port = listener.extra(SocketAttribute.local_port)  # noqa: S610  # anyio's
        tasks.start_soon(ProxyServer(open_stream).serve, listener)
        for greeting in (b"\x05\x01\x00", b"\x05\x01\x02\x01\x01a\x00", b"\x05\x01\x02\x01\x01b\x00"):
            async with await anyio.connect_tcp("127.0.0.1", port) as program:
                await program.send(greeting + connect_to(b"localhost", world.shout_port))
                await program.send_eof()
                await all_of(program)
        with anyio.fail_after(5):
            while client._network.streams:  # noqa: ASYNC110  # there is nothing to wait on inside of code under test
                await anyio.sleep(0.01)
        tasks.cancel_scope.cancel()

    assert keys[0] is None
    assert 3 == len(set(keys))


async def test_a_website_that_ends_first_still_hears_the_rest(world: World) -> None:
    """Either side may end its way and leave the other open."""
    heard: list[bytes] = []
    is_over = anyio.Event()

    async def website(stream: SocketStream) -> None:
        async with stream:
            await stream.send_eof()
            heard.append(await all_of(stream))
            is_over.set()

    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(listener.serve, website)
        port = listener.extra(SocketAttribute.local_port)  # noqa: S610  # anyio's
        async with proxy(world) as ours, await ours.connect() as program:
            await program.send(GREETING + connect_to(b"localhost", port))
            assert 12 == len(await all_of(program))
            await program.send(b"the rest")
            await program.send_eof()
            with anyio.fail_after(10):
                await is_over.wait()
        tasks.cancel_scope.cancel()

    assert [b"the rest"] == heard


# Whatever goes wrong on one connection ends that one only.


@asynccontextmanager
async def listening(handler: Callable[[SocketStream], Awaitable[None]]) -> AsyncIterator[int]:
    """The port of a server that hands its connections to the handler."""
    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(listener.serve, handler)
        yield listener.extra(SocketAttribute.local_port)  # noqa: S610  # anyio's
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize(
    "parts",
    [
        (b"POST URL HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",),
        (b"POST URL HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", b"ZZ\r\n"),
        (b"CONNECT localhost:443 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",),
    ],
)
async def test_what_is_no_http_is_a_bad_request_and_the_proxy_goes_on(
    world: World, parts: tuple[bytes, ...]
) -> None:
    async def website(stream: SocketStream) -> None:
        async with stream:
            await all_of(stream)

    async with listening(website) as website_port, proxy(world) as ours:
        url = f"http://localhost:{website_port}/".encode()
        async with await ours.connect() as program:
            for part in parts:
                await program.send(part.replace(b"URL", url))
            assert (await all_of(program)).startswith(b"HTTP/1.1 400 ")
        async with await ours.connect() as program:
            await program.send(GREETING)
            assert b"\x05\x00" == await exactly(program, 2)


async def test_a_request_that_calls_its_length_a_matter_of_the_connection_is_answered(world: World) -> None:
    url = f"http://localhost:{world.http_port}/".encode()
    async with proxy(world) as ours, await ours.connect() as program:
        head = (
            b"POST "
            + url
            + b" HTTP/1.1\r\nHost: x\r\nConnection: content-length\r\nContent-Length: 5\r\n\r\n"
        )
        await program.send(head + b"hello")

        assert (await all_of(program)).startswith(b"HTTP/1.1 200 ")


async def test_a_program_that_hangs_up_during_a_download_ends_its_connection_only(world: World) -> None:
    is_over = anyio.Event()

    async def website(stream: SocketStream) -> None:
        async with stream:
            await stream.receive()
            await stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
            try:
                while True:
                    await stream.send(bytes(60_000))
            except anyio.BrokenResourceError:
                return

    async with Client(world.root) as client:
        server = ProxyServer(client.open_stream)

        async def handle(stream: SocketStream) -> None:
            await server.handle(stream)
            is_over.set()

        async with listening(website) as website_port, listening(handle) as port:
            async with await anyio.connect_tcp("127.0.0.1", port) as program:
                url = f"http://localhost:{website_port}/".encode()
                await program.send(b"GET " + url + b" HTTP/1.1\r\nHost: x\r\n\r\n")
                await program.send_eof()
                await exactly(program, 1_000)
            with anyio.fail_after(10):
                await is_over.wait()

    assert 1 == server.counts["program_hung_up"]


async def test_an_error_that_nobody_foresaw_is_counted_and_ends_its_connection_only() -> None:
    async def open_stream(
        host: str, port: int, *, isolation: str | None = None, deadline_s: float = 40.0
    ) -> ByteStream:
        raise LookupError(host)

    server = ProxyServer(open_stream)
    async with listening(server.handle) as port:
        for _ in range(2):
            async with await anyio.connect_tcp("127.0.0.1", port) as program:
                await program.send(GREETING + connect_to(b"localhost", 80))
                assert b"\x05\x00" == await all_of(program)

    assert 2 == server.counts["failed_by_LookupError"]


async def test_a_connection_that_is_cancelled_counts_as_no_failure() -> None:
    async def open_stream(
        host: str, port: int, *, isolation: str | None = None, deadline_s: float = 40.0
    ) -> ByteStream:
        asked.set()
        await anyio.sleep_forever()
        raise AssertionError("woken")

    asked = anyio.Event()
    server = ProxyServer(open_stream)
    with anyio.fail_after(5):
        async with listening(server.handle) as port:
            async with await anyio.connect_tcp("127.0.0.1", port) as program:
                await program.send(GREETING + connect_to(b"localhost", 80))
                await asked.wait()

    assert {} == server.counts
