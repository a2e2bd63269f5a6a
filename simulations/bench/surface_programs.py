"""The programs of ``bench surfaces``: each asks for a small page many times, then for one large body, by one surface.

Each is written once and runs twice: through the onion, and with ``onion=False`` without it.
"""

from __future__ import annotations

import io
import itertools
import json
import os
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import anyio
import httpx
import httpx2

import onionpath
import onionpath.httpx2
from onionpath.client.client import Client
from onionpath.errors import UnreachableError
from onionpath.service.calls import ServiceId
from simulations.bench.asking import ask_many
from simulations.local.network import LocalNetwork, Website

HOST, ADDRESS = "localhost", "127.0.0.1"
ECHO_BODY = bytes(120_000)  # of the large class both ways
WARM_UP = 16
TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class SurfacesPlan:
    """How many requests, how many under way, and the size of the large body."""

    requests: int = 400
    in_flight: int = 8
    megabytes: int = 20


@dataclass(frozen=True, slots=True)
class Figures:
    """What one program got; times are milliseconds of one request, megabytes are of the large body alone."""

    requests_per_second: float
    p50_ms: float
    p99_ms: float
    megabytes_per_second: float

    @classmethod
    def of(cls, times: list[float], elapsed_s: float, megabytes: int, download_s: float) -> Self:
        """From times in seconds."""
        cuts = statistics.quantiles(times, n=100)
        rate, speed = len(times) / elapsed_s, megabytes / download_s
        return cls(round(rate, 1), round(cuts[49] * 1000, 2), round(cuts[98] * 1000, 2), round(speed, 2))


@dataclass(frozen=True, slots=True)
class Stage:
    """Where the programs run."""

    network: LocalNetwork
    plan: SurfacesPlan

    @property
    def website(self) -> Website:
        """The server of all programs; it is asked for as ``localhost``, which is found without an onion too."""
        return self.network.website

    @property
    def body(self) -> str:
        """The path of the large body."""
        return f"/bytes/{self.plan.megabytes * 1_000_000}"

    def url(self, path: str = "/") -> str:
        """Of a page."""
        return f"https://{HOST}:{self.website.port}{path}"


Program = Callable[[Stage, bool], Figures]
"""Runs one program, through the onion or not."""


# Programs with an event loop.


def run_call(stage: Stage, onion: bool) -> Figures:
    """``Client.call`` of echo; without an onion there is no such thing, so a page by sockets stands beside it."""
    if not onion:
        return run_sockets(_direct)(stage, onion)
    return anyio.run(_call, stage, backend="trio")


async def _call(stage: Stage) -> Figures:
    async with Client(stage.network.trust_root_file) as client:

        async def ask() -> None:
            await client.call(ServiceId.ECHO, b"measured")

        async def download() -> None:
            count = stage.plan.megabytes * 1_000_000 // len(ECHO_BODY)
            ask = partial(client.call, ServiceId.ECHO, ECHO_BODY, large_reply=True)
            await ask_many(ask, count, stage.plan.in_flight)

        return await _measure(ask, download, stage.plan)


def run_async(http: Any, surface: Any, backend: str) -> Program:
    """An ``AsyncClient`` of httpx or httpx2."""
    return lambda stage, onion: anyio.run(_browse, http, surface, stage, onion, backend=backend)


async def _browse(http: Any, surface: Any, stage: Stage, onion: bool) -> Figures:
    trust = stage.website.tls()
    if not onion:
        async with http.AsyncClient(verify=trust, trust_env=False, timeout=TIMEOUT_S) as browser:
            return await _measure_browser(browser, stage)
    async with Client(stage.network.trust_root_file) as client:
        transport = surface.OnionTransport(client, verify=trust)
        async with http.AsyncClient(transport=transport, timeout=TIMEOUT_S) as browser:
            return await _measure_browser(browser, stage)


async def _measure_browser(browser: Any, stage: Stage) -> Figures:
    async def download() -> None:
        async with browser.stream("GET", stage.url(stage.body)) as response:
            async for _ in response.aiter_raw():
                pass

    return await _measure(partial(browser.get, stage.url()), download, stage.plan)


async def _measure(
    ask: Callable[[], Awaitable[Any]], download: Callable[[], Awaitable[None]], plan: SurfacesPlan
) -> Figures:
    await ask_many(ask, WARM_UP, plan.in_flight)
    start = time.perf_counter()
    times = await ask_many(ask, plan.requests, plan.in_flight)
    asked = time.perf_counter()
    await download()
    return Figures.of(times, asked - start, plan.megabytes, time.perf_counter() - asked)


# Programs of threads.


def run_sync(http: Any, surface: Any) -> Program:
    """A ``Client`` of httpx or httpx2, shared by its threads."""

    def run(stage: Stage, onion: bool) -> Figures:
        """Pages by as many threads as are in flight, then one download."""
        with ExitStack() as stack:
            options: Mapping[str, Any] = {"verify": stage.website.tls(), "trust_env": False}
            if onion:
                client = Client(stage.network.trust_root_file)
                options = {"transport": surface.SyncOnionTransport(client, verify=stage.website.tls())}
            browser = stack.enter_context(http.Client(timeout=TIMEOUT_S, **options))

            def download() -> None:
                with browser.stream("GET", stage.url(stage.body)) as response:
                    for _ in response.iter_raw():
                        pass

            get = partial(browser.get, stage.url())
            return _measure_threads([get] * stage.plan.in_flight, download, stage.plan)

    return run


Dial = Callable[[int, Website], socket.socket]
"""Connects to the website through the proxy at a port."""


def run_sockets(dial: Dial) -> Program:
    """Blocking sockets, each thread with a connection that it keeps."""

    def run(stage: Stage, onion: bool) -> Figures:
        """The same over connections of our own."""
        with ExitStack() as stack:
            port = stack.enter_context(_proxy(stage)) if onion else 0
            visitors = [
                stack.enter_context(_Visitor((dial if onion else _direct)(port, stage.website), stage))
                for _ in range(stage.plan.in_flight)
            ]
            get = [partial(visitor.get, "/") for visitor in visitors]
            return _measure_threads(get, partial(visitors[0].get, stage.body), stage.plan)

    return run


def _direct(port: int, website: Website) -> socket.socket:
    return socket.create_connection((ADDRESS, website.port), TIMEOUT_S)


def dial_socks(port: int, website: Website) -> socket.socket:
    """By SOCKS 5 (RFC 1928), with the name in it."""
    sock = socket.create_connection((ADDRESS, port), TIMEOUT_S)
    where = bytes([len(HOST)]) + HOST.encode() + website.port.to_bytes(2, "big")
    sock.sendall(b"\x05\x01\x00")
    greeting = sock.recv(2, socket.MSG_WAITALL)
    sock.sendall(b"\x05\x01\x00\x03" + where)
    answer = sock.recv(10, socket.MSG_WAITALL)
    if greeting != b"\x05\x00" or answer[:2] != b"\x05\x00":
        raise UnreachableError(f"the proxy answered {answer.hex()}")
    return sock


def dial_connect(port: int, website: Website) -> socket.socket:
    """By CONNECT (RFC 9110 §9.3.6)."""
    sock = socket.create_connection((ADDRESS, port), TIMEOUT_S)
    where = f"{HOST}:{website.port}"
    sock.sendall(f"CONNECT {where} HTTP/1.1\r\nHost: {where}\r\n\r\n".encode())
    answer = b""
    # The website says nothing before it is spoken to, so what comes is the proxy's answer alone.
    while not answer.endswith(b"\r\n\r\n"):
        answer += sock.recv(4096) or b"\r\n\r\n"
    if b" 200 " not in answer.partition(b"\r\n")[0]:
        raise UnreachableError(f"the proxy answered {answer!r}")
    return sock


class _Visitor:
    """One connection that asks the website for page after page."""

    def __init__(self, sock: socket.socket, stage: Stage) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._tls: ssl.SSLSocket = stage.website.tls().wrap_socket(sock, server_hostname=HOST)
        self._file = io.BufferedReader(socket.SocketIO(self._tls, "r"), 256 * 1024)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()
        self._tls.close()

    def get(self, path: str) -> None:
        """Ask, and read the answer to its end."""
        self._tls.sendall(f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        left = 0
        for line in iter(self._file.readline, b"\r\n"):
            if not line:
                raise UnreachableError("the connection ended before the answer")
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                left = int(value)
        while left:
            left -= len(self._file.read1(left)) or left


@contextmanager
def _proxy(stage: Stage) -> Iterator[int]:
    """``onionpath proxy`` as a process of its own; gives its port."""
    command = [sys.executable, "-m", "onionpath", "proxy", "--listen", f"{ADDRESS}:0", "--json"]
    environment = {
        **os.environ,
        "ONIONPATH_NETWORK": str(stage.network.trust_root_file),
        "ONIONPATH_STATE": str(stage.network.folder / "proxy"),
    }
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        try:
            assert process.stdout is not None
            ready = process.stdout.readline()
            if not ready:
                raise UnreachableError("the proxy did not start")
            yield int(json.loads(ready)["socks"].rpartition(":")[2])
        finally:
            process.send_signal(signal.SIGINT)


def _measure_threads(
    asks: Sequence[Callable[[], Any]], download: Callable[[], Any], plan: SurfacesPlan
) -> Figures:
    _all_threads(asks, WARM_UP)
    start = time.perf_counter()
    times = _all_threads(asks, plan.requests)
    asked = time.perf_counter()
    download()
    return Figures.of(times, asked - start, plan.megabytes, time.perf_counter() - asked)


def _all_threads(asks: Sequence[Callable[[], Any]], count: int) -> list[float]:
    """Each of ``asks`` in a thread, ``count`` times together."""
    times: list[float] = []
    failures: list[Exception] = []
    numbers = itertools.count()  # whose steps threads share safely

    def ask_on(ask: Callable[[], Any]) -> None:
        try:
            while next(numbers) < count:
                start = time.perf_counter()
                ask()
                times.append(time.perf_counter() - start)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=ask_on, args=(ask,)) for ask in asks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return times


PROGRAMS: Mapping[str, Program] = {
    "Client.call": run_call,
    "httpx asyncio": run_async(httpx, onionpath, "asyncio"),
    "httpx trio": run_async(httpx, onionpath, "trio"),
    "httpx sync": run_sync(httpx, onionpath),
    "httpx2 asyncio": run_async(httpx2, onionpath.httpx2, "asyncio"),
    "httpx2 trio": run_async(httpx2, onionpath.httpx2, "trio"),
    "httpx2 sync": run_sync(httpx2, onionpath.httpx2),
    "SOCKS": run_sockets(dial_socks),
    "CONNECT": run_sockets(dial_connect),
}
