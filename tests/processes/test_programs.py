"""Programs that know nothing of onions, against real servers, over real relays of which some are killed meanwhile.

curl and git in their everyday use are in tests/proxy/test_programs.py.
"""

from __future__ import annotations

import hashlib
import importlib.util
import random
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import anyio
import anyio.abc
import pytest
from anyio.abc import SocketAttribute

from onionpath.client.stream import OnionStream
from onionpath.proxy.server import ProxyServer
from simulations.local.network import LocalNetwork, LocalRelay
from simulations.local.website import body_digest, body_parts
from tests.processes.clients import CountingClient
from tests.processes.servers import make_index, secure_files, speaker
from tests.proxy.test_programs import environment_of, files, proxy, run
from tests.transports.website import Website, website

needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
needs_pip = pytest.mark.skipif(importlib.util.find_spec("pip") is None, reason="there is no pip")
pytestmark = pytest.mark.processes

PARALLEL = 50
MEGABYTE = 1_000_000


@pytest.fixture(scope="module")
def network() -> Iterator[LocalNetwork]:
    with LocalNetwork(relays=9) as network:
        yield network


@pytest.fixture
def environment(network: LocalNetwork, tmp_path: Path) -> dict[str, str]:
    return environment_of(network, tmp_path)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Website]:
    with website(tmp_path) as site:
        yield site


# pip.


def pip_install(index: str, target: Path, *options: str) -> list[str]:
    install = [sys.executable, "-m", "pip", "install", "--isolated", "--disable-pip-version-check", "-q"]
    return [*install, "--no-cache-dir", "--index-url", f"{index}/simple", "--target", str(target), *options]


@needs_pip
def test_pip_in_a_run_installs_a_wheel_from_an_index_with_tls(
    environment: dict[str, str], tmp_path: Path
) -> None:
    content = random.Random(1).randbytes(MEGABYTE)
    make_index(tmp_path / "index", content)
    with secure_files(tmp_path / "index", tmp_path / "ca.pem") as index:
        # This variable, where somebody has set it, would win over an option.
        trusting = environment | {"REQUESTS_CA_BUNDLE": str(tmp_path / "ca.pem")}
        done = run(*pip_install(index, tmp_path / "target", "parcel"), environment=trusting)

    assert "" == done.stderr
    assert content == (tmp_path / "target" / "parcel" / "content").read_bytes()


@needs_pip
def test_pip_installs_a_wheel_through_the_proxy_that_it_is_told(
    environment: dict[str, str], tmp_path: Path
) -> None:
    make_index(tmp_path / "index", b"content")
    with files(tmp_path / "index") as index, proxy(environment) as ready:
        command = pip_install(index, tmp_path / "target", "--proxy", ready["http"], "parcel")
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert (0, "") == (done.returncode, done.stderr)
    assert b"content" == (tmp_path / "target" / "parcel" / "content").read_bytes()


# Programs of Python.

_MANY = """
import asyncio, collections, httpx, ssl, sys
async def main(url, ca_file, count):
    async with httpx.AsyncClient(http2=True, verify=ssl.create_default_context(cafile=ca_file)) as http:
        await http.get(url)
        replies = await asyncio.gather(*(http.get(f"{url}/{n}") for n in range(int(count))))
    print(collections.Counter((reply.http_version, reply.text) for reply in replies))
asyncio.run(main(*sys.argv[1:]))
"""


def test_fifty_parallel_requests_share_one_http2_connection(
    environment: dict[str, str], site: Website
) -> None:
    done = run(sys.executable, "-c", _MANY, site.url, site.ca_file, PARALLEL, environment=environment)

    assert (0, "") == (done.returncode, done.stderr)
    assert f"Counter({{('HTTP/2', 'hello'): {PARALLEL}}})\n" == done.stdout
    assert 1 + PARALLEL == len(site.visits)
    assert 1 == len({visit.connection for visit in site.visits})


_WEBSOCKET = """
import httpx2, ssl, sys
url, ca_file = sys.argv[1:]
with httpx2.Client(verify=ssl.create_default_context(cafile=ca_file)) as http, http.websocket(url) as session:
    for text in ("hello", "again", "x" * 100_000):
        session.send_text(text)
        heard = ""
        while len(heard) < len(text):  # the server answers a long one in parts
            heard += session.receive_text()
        print(heard)
"""


def test_a_websocket_through_the_proxy_answers_each_message(
    environment: dict[str, str], site: Website
) -> None:
    url = site.url.replace("https", "wss") + "/socket"
    done = run(sys.executable, "-c", _WEBSOCKET, url, site.ca_file, environment=environment)

    assert (0, "") == (done.returncode, done.stderr)
    assert ["HELLO", "AGAIN", "X" * 100_000] == done.stdout.splitlines()


# Servers that test a program's patience.


@needs_curl
def test_a_server_that_hangs_leaves_the_proxys_other_programs_alone(
    environment: dict[str, str], site: Website
) -> None:
    with proxy(environment) as ready:
        curl = ["curl", "-sS", "--proxy", ready["socks"], "--max-time"]
        with subprocess.Popen([*curl, "1", f"{site.plain_url}/hang"], stderr=subprocess.DEVNULL) as hangs:
            page = subprocess.run([*curl, "20", site.plain_url], capture_output=True, check=False)
            assert 28 == hangs.wait(20)

    assert (0, b"hello", b"") == (page.returncode, page.stdout, page.stderr)


@needs_curl
def test_each_byte_of_a_slow_server_arrives_before_the_next_is_sent(environment: dict[str, str]) -> None:
    """Nothing on the way waits until there is more: chats and progress bars live from single bytes."""
    size = 5
    with proxy(environment) as ready, speaker(size) as server:
        command = ["curl", "-sSN", "--proxy", ready["http"], "--max-time", "20", server.url]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as program:
            assert program.stdout is not None
            heard = []
            for _ in range(size):
                server.speak()
                heard.append(program.stdout.read(1))
            assert 0 == program.wait(20)

    assert [b"%d" % number for number in range(size)] == heard


_EVERY_SECOND = """
import sys, time
from urllib.request import urlopen
began = time.monotonic()
with urlopen(sys.argv[1]) as reply:
    while byte := reply.read(1):
        print(byte.decode(), round(time.monotonic() - began, 2), flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_byte_each_second_arrives_each_second(environment: dict[str, str]) -> None:
    """For longer than one poll of a stream lasts, which is twenty seconds."""
    size = 30
    with speaker(size) as server:
        command = [sys.executable, "-m", "onionpath", "run", "--", sys.executable, "-c", _EVERY_SECOND]
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_speak_every_second, server.speak, size)
            done = await anyio.run_process([*command, server.url], env=environment)

    lines = [line.split() for line in done.stdout.decode().splitlines()]
    assert [str(number % 10) for number in range(size)] == [byte for byte, _ in lines]
    times = [float(at) for _, at in lines]
    assert 2.0 > max(later - earlier for earlier, later in pairwise(times))


async def _speak_every_second(speak: Callable[[], None], size: int) -> None:
    for _ in range(size):
        await anyio.sleep(1)
        speak()


# Large transfers while relays die.


@asynccontextmanager
async def proxying(network: LocalNetwork) -> AsyncIterator[tuple[CountingClient, str]]:
    """A proxy whose streams can be looked at, and its address."""
    async with CountingClient(network.trust_root_file) as client, anyio.create_task_group() as tasks:
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
        tasks.start_soon(ProxyServer(client.open_stream).serve, listener)
        yield client, f"127.0.0.1:{listener.extra(SocketAttribute.local_port)}"  # noqa: S610  # anyio's
        tasks.cancel_scope.cancel()


@pytest.fixture
def killed() -> Iterator[list[LocalRelay]]:
    """Relays that the test has killed; they come back for the next one."""
    relays: list[LocalRelay] = []
    yield relays
    for relay in relays:
        relay.restart()


async def kill_hop(
    network: LocalNetwork, stream: OnionStream, position: int, killed: list[LocalRelay]
) -> None:
    """Kill a relay that carries the stream, once it has a path."""
    with anyio.fail_after(20):
        while not stream.path:  # noqa: ASYNC110  # a stream tells nobody when it has moved
            await anyio.sleep(0.01)
    killed.append(network.relay(stream.path[position]))
    killed[-1].kill()


@needs_curl
@pytest.mark.slow
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_curl_downloads_a_hundred_megabytes_while_hops_die(
    network: LocalNetwork, killed: list[LocalRelay]
) -> None:
    size, digest, received = 100 * MEGABYTE, hashlib.sha256(), 0
    url, ca_file = f"{network.website.url}bytes/{size}", str(network.website.ca_file)
    async with proxying(network) as (client, where):
        command = ["curl", "-sS", "--proxy", f"socks5h://{where}", "--cacert", ca_file, url]
        async with await anyio.open_process(command, stderr=None) as curl:
            assert curl.stdout is not None
            async for part in curl.stdout:
                digest.update(part)
                received += len(part)
                if received > (1 + 2 * len(killed)) * size // 5 and len(killed) < 2:
                    await kill_hop(network, client.opened[0], len(killed), killed)
        assert (0, 2) == (curl.returncode, len(killed))
        assert [True] == [2 <= each <= 3 for each in client.continuations]

    assert (size, body_digest(size)) == (received, digest.hexdigest())


@needs_curl
@pytest.mark.slow
@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_curl_uploads_twenty_megabytes_while_hops_die(
    network: LocalNetwork, killed: list[LocalRelay]
) -> None:
    size = 20 * MEGABYTE
    parts = list(body_parts(size))
    url, ca_file = f"{network.website.url}upload", str(network.website.ca_file)
    async with proxying(network) as (client, where):
        command = ["curl", "-sS", "--proxy", f"http://{where}", "--cacert", ca_file, "-X", "POST", "-T", "-"]
        async with await anyio.open_process([*command, url], stderr=None) as curl:
            assert curl.stdin is not None
            assert curl.stdout is not None
            for number, part in enumerate(parts):
                if number in (len(parts) // 3, 2 * len(parts) // 3):
                    await kill_hop(network, client.opened[0], len(killed), killed)
                await curl.stdin.send(part)
            await curl.stdin.aclose()
            answer = b"".join([part async for part in curl.stdout])
        assert 0 == curl.returncode
        assert [True] == [1 <= each <= 3 for each in client.continuations]

    assert body_digest(size) == answer.decode()
