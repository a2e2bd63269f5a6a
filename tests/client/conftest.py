"""The client runs on asyncio and on trio, and so does each test here that waits."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator

import pytest
import trio

from onionpath import cli
from tests.client.worlds import Run, World
from tests.exit.servers import server
from tests.relay.nodes import local_network


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def _shout(stream: trio.SocketStream) -> None:
    """A website that answers every chunk in capitals, and closes when told so."""
    async for chunk in stream:
        await stream.send_all(chunk.upper())


async def _serve_http(stream: trio.SocketStream) -> None:
    received = b""
    while True:
        while b"\r\n\r\n" not in received:
            chunk = await stream.receive_some()
            if not chunk:
                return
            received += chunk
        _, _, received = received.partition(b"\r\n\r\n")
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A real network and two real servers, in a thread of their own: the client may run on another loop."""
    folder = tmp_path_factory.mktemp("network")
    ready, ended = threading.Event(), threading.Event()
    worlds: list[World] = []

    async def main() -> None:
        async with (
            local_network(folder, relays=4) as network,
            server(_shout) as shout,
            server(_serve_http) as web,
        ):
            token = trio.lowlevel.current_trio_token()
            worlds.append(World(network, token, shout_port=shout, http_port=web, folder=folder))
            stop = worlds[0].stop
            ready.set()
            await stop.wait()

    def run() -> None:
        try:
            trio.run(main)
        finally:
            ready.set()
            ended.set()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    ready.wait(30)
    assert worlds, "the network did not start"
    yield worlds[0]
    worlds[0].end()
    ended.wait(10)
    thread.join(10)


@pytest.fixture
def closed_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@pytest.fixture
def run(
    capfdbinary: pytest.CaptureFixture[bytes],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> Run:
    """The program in this process, at home in an empty folder: exit code, standard output, standard error."""
    for name in [name for name in os.environ if name.startswith("ONIONPATH_")]:
        monkeypatch.delenv(name)
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(home / "state"))

    def run(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            cli.main([str(each) for each in arguments])
        said = capfdbinary.readouterr()
        assert isinstance(caught.value.code, int)
        return caught.value.code, said.out.decode(), said.err.decode()

    return run
