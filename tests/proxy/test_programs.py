"""curl, git and Python programs over real processes, and what the proxy's own process asks of the system."""

from __future__ import annotations

import functools
import http.server
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest
from anyio.abc import SocketAttribute

from onionpath.client.client import Client
from onionpath.proxy.server import ProxyServer
from simulations.local.network import LocalNetwork

pytestmark = pytest.mark.processes

ROOT = Path(__file__).parents[2]
PROGRAM = [sys.executable, "-m", "onionpath"]


@pytest.fixture(scope="module")
def network() -> Iterator[LocalNetwork]:
    with LocalNetwork(relays=4) as network:
        yield network


@pytest.fixture
def environment(network: LocalNetwork, tmp_path: Path) -> dict[str, str]:
    return environment_of(network, tmp_path)


def environment_of(network: LocalNetwork, home: Path) -> dict[str, str]:
    """Ours, with a program's settings for this network and nothing of the person who runs the tests."""
    ours = {
        "ONIONPATH_NETWORK": network.trust_root_file,
        "ONIONPATH_STATE": home / "state",
        "HOME": home,
        "PYTHONPATH": ROOT,
    }
    return {**os.environ, **{name: str(value) for name, value in ours.items()}}


def run(*command: object, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """``onionpath run -- COMMAND``."""
    return subprocess.run(
        [*PROGRAM, "run", "--", *map(str, command)],
        env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@contextmanager
def proxy(environment: dict[str, str]) -> Iterator[dict[str, str]]:
    """``onionpath proxy`` on a free port, and its ready line."""
    command = [*PROGRAM, "proxy", "--listen", "127.0.0.1:0", "--json"]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=20)[1]
    assert (130, b"\n") == (process.returncode, said)


@contextmanager
def files(folder: Path) -> Iterator[str]:
    """A plain website that serves a folder."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    handler.log_message = lambda *_: None  # type: ignore[attr-defined]
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://localhost:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
@pytest.mark.parametrize("kind", ["socks", "http"])
def test_curl_fetches_a_page_through_the_proxy(
    network: LocalNetwork, environment: dict[str, str], kind: str
) -> None:
    website = network.website
    with proxy(environment) as ready:
        assert "ready" == ready["event"]
        command = ["curl", "-sS", "--proxy", ready[kind], "--cacert", website.ca_file, website.url]
        done = subprocess.run(command, env=environment, capture_output=True, timeout=30, check=False)

    assert (0, b"") == (done.returncode, done.stderr)
    assert done.stdout


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_curl_in_a_run_fetches_with_and_without_tls(
    network: LocalNetwork, environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "page").write_text("a page")
    website = network.website
    secure = run("curl", "-sS", "--cacert", website.ca_file, website.url, environment=environment)
    with files(tmp_path) as plain:
        clear = run("curl", "-sS", f"{plain}/page", environment=environment)

    assert (0, "") == (secure.returncode, secure.stderr)
    assert (0, "a page", "") == (clear.returncode, clear.stdout, clear.stderr)


@pytest.mark.skipif(shutil.which("git") is None, reason="there is no git")
def test_git_in_a_run_clones(environment: dict[str, str], tmp_path: Path) -> None:
    origin, site = tmp_path / "origin", tmp_path / "site"
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org", "-C", str(origin)]
    subprocess.run(["git", "init", "-q", str(origin)], check=True)
    (origin / "file").write_text("content")
    subprocess.run([*git, "add", "file"], check=True)
    subprocess.run([*git, "commit", "-qm", "A file"], check=True)
    subprocess.run(["git", "clone", "-q", "--bare", str(origin), str(site / "repo.git")], check=True)
    subprocess.run(["git", "-C", str(site / "repo.git"), "update-server-info"], check=True)

    with files(site) as website:
        done = run("git", "clone", "-q", f"{website}/repo.git", tmp_path / "clone", environment=environment)

    assert (0, "") == (done.returncode, done.stderr)
    assert "content" == (tmp_path / "clone" / "file").read_text()


@pytest.mark.parametrize(
    ("script", "code"), [("raise SystemExit(7)", 7), ("import os; os.kill(os.getpid(), 9)", 128 + 9)]
)
def test_a_run_ends_with_the_code_of_its_program(environment: dict[str, str], script: str, code: int) -> None:
    assert code == run(sys.executable, "-c", script, environment=environment).returncode


def test_a_run_of_nothing_says_so(environment: dict[str, str]) -> None:
    done = run("no-such-program", environment=environment)

    assert (127, "warning: no-such-program: not found, or not to be run\n") == (done.returncode, done.stderr)


def test_a_runs_proxy_is_for_its_program_only_and_ends_with_it(environment: dict[str, str]) -> None:
    said = "import os; print(sorted(n for n in os.environ if 'proxy' in n.lower())); print(os.environ['http_proxy'])"
    done = run(sys.executable, "-c", said, environment=environment | {"NO_PROXY": "*", "no_proxy": "*"})
    names, url = done.stdout.splitlines()
    host, _, port = url.rpartition("@")[2].partition(":")

    assert str(["ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "all_proxy", "http_proxy", "https_proxy"]) == names
    assert 32 <= len(url.rpartition("@")[0])
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)))


def test_a_signal_reaches_the_program(environment: dict[str, str]) -> None:
    script = "import signal, sys; signal.signal(15, lambda *_: sys.exit(5)); print('up', flush=True); signal.pause()"
    command = [*PROGRAM, "run", "--", sys.executable, "-c", script]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert b"up\n" == process.stdout.readline()
        process.terminate()

        assert 5 == process.wait(20)


# What leaves the process.

_ASKED: list[tuple[str, object]] = []
_WATCHING = False


def _watch(event: str, arguments: tuple[object, ...]) -> None:
    if _WATCHING and event == "socket.getaddrinfo":
        _ASKED.append((event, arguments[0]))
    if _WATCHING and event == "socket.connect":
        _ASKED.append((event, arguments[1]))


@pytest.mark.anyio
async def test_no_name_is_looked_up_here_and_nobody_but_relays_is_connected_to(network: LocalNetwork) -> None:
    """Names go to the exit, and a failure is no reason to try it without one."""
    global _WATCHING  # an audit hook stays for ever, so it is switched off
    async with Client(network.trust_root_file) as client, anyio.create_task_group() as tasks:
        relays = {
            (address.host, address.port)
            for relay in client.directory.relays.values()
            for address in relay.descriptor.addresses
        }
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
        port = listener.extra(SocketAttribute.local_port)  # noqa: S610  # anyio's
        tasks.start_soon(ProxyServer(client.open_stream).serve, listener)
        _ASKED.clear()
        sys.addaudithook(_watch)
        _WATCHING = True
        for request in (
            b"CONNECT nowhere.invalid:443 HTTP/1.1\r\nHost: x\r\n\r\n",
            b"GET http://nowhere.invalid/ HTTP/1.1\r\nHost: x\r\n\r\n",
            b"CONNECT localhost:1 HTTP/1.1\r\nHost: x\r\n\r\n",
            b"\x05\x01\x00" + b"\x05\x01\x00\x03\x0fnowhere.invalid\x00\x50",
            b"\x05\x01\x00" + b"\x05\xf0\x00\x03\x0fnowhere.invalid\x00\x50",
        ):
            async with await anyio.connect_tcp("127.0.0.1", port) as program:
                await program.send(request)
                with anyio.fail_after(20):
                    while True:
                        try:
                            await program.receive()
                        except anyio.EndOfStream:
                            break
        _WATCHING = False
        tasks.cancel_scope.cancel()

    connected = {where for event, where in _ASKED if event == "socket.connect"}
    looked_up = {host for event, host in _ASKED if event == "socket.getaddrinfo"}
    assert connected <= relays | {("127.0.0.1", port)}
    assert connected & relays
    assert not {host for host in looked_up if not str(host).replace(".", "").isdecimal()}
