"""A Session file server over real sockets: what is put is got, until its time is over."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import msgspec
import pytest

from onionpath.errors import RefusedError
from onionpath.injected import UnixTime
from onionpath.lsrpc.gateway import SessionGateway
from onionpath.onion.session_v4 import V4Request, V4Response, decode_v4_response
from simulations.local.file_server import FileServer
from simulations.local.file_shelf import Kept, Shelf
from tests.lsrpc.worlds import KEY, TARGET, EchoApp, asked, listening

pytestmark = pytest.mark.anyio
ID = "0" * 32


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Exit:
    """Posts what clients ask to a server on a real port."""

    def __init__(self, http: httpx.AsyncClient, port: int) -> None:
        self.http, self.url = http, f"http://127.0.0.1:{port}"
        self._seed = 0

    async def ask(self, request: V4Request) -> V4Response:
        self._seed += 1
        each = asked(request, seed=self._seed)
        response = await self.http.post(f"{self.url}{TARGET}", content=each.posted)
        assert 200 == response.status_code
        return decode_v4_response(each.secret.open(response.content))


@asynccontextmanager
async def serving(app: Any) -> AsyncIterator[Exit]:
    async with listening(app) as port, httpx.AsyncClient(trust_env=False) as http:
        yield Exit(http, port)


@asynccontextmanager
async def file_server(folder: Path, *, now: list[float]) -> AsyncIterator[Exit]:
    app = FileServer(Shelf(folder, life_s=100), now=lambda: now[0])
    async with serving(SessionGateway(app, KEY, serves_plain=False)) as exit_:
        yield exit_


def said(response: V4Response) -> Any:
    return msgspec.json.decode(response.body)


async def test_a_file_that_is_put_is_got_until_its_time_is_over(tmp_path: Path) -> None:
    now, body = [1000.0], os.urandom(300_000)
    async with file_server(tmp_path, now=now) as exit_:
        put = said(await exit_.ask(V4Request("POST", "/file", {}, body)))
        got = await exit_.ask(V4Request("GET", f"/file/{put['id']}"))
        info = said(await exit_.ask(V4Request("GET", f"/file/{put['id']}/info")))
        now[0] = 1100.0
        gone = [await exit_.ask(V4Request("GET", f"/file/{put['id']}{end}")) for end in ("", "/info")]

    assert 1100.0 == put["expires"]
    assert (200, "application/octet-stream", body) == (got.status, got.headers["content-type"], got.body)
    assert {"size": 300_000, "uploaded": 1000.0, "expires": 1100.0} == info
    assert [404, 404] == [each.status for each in gone]


@pytest.mark.slow
async def test_the_longest_file_goes_both_ways(tmp_path: Path) -> None:
    body = bytes(10_000_000)
    async with file_server(tmp_path, now=[0.0]) as exit_:
        put = said(await exit_.ask(V4Request("POST", "/file", {}, body)))
        got = await exit_.ask(V4Request("GET", f"/file/{put['id']}"))
        above = await exit_.ask(V4Request("POST", "/file", {}, body + b"1"))

    assert (200, body) == (got.status, got.body)
    assert 413 == above.status


@pytest.mark.parametrize(
    ("method", "endpoint", "body", "status"),
    [
        ("POST", "/file", b"", 400),
        ("POST", "/file", None, 400),
        ("GET", "/file", None, 404),
        ("GET", f"/file/{ID}", None, 404),
        ("GET", "/file/../key", None, 404),
        ("GET", "/file/..%2f..%2fkey", None, 404),
        ("DELETE", f"/file/{ID}", None, 404),
        ("GET", TARGET, None, 404),
    ],
)
async def test_what_is_not_there_is_not_found(
    tmp_path: Path, method: str, endpoint: str, body: bytes | None, status: int
) -> None:
    async with file_server(tmp_path, now=[0.0]) as exit_:
        assert status == (await exit_.ask(V4Request(method, endpoint, {}, body))).status


async def test_nothing_is_served_without_an_onion(tmp_path: Path) -> None:
    async with file_server(tmp_path, now=[0.0]) as exit_:
        assert 404 == (await exit_.http.post(f"{exit_.url}/file", content=b"body")).status_code


async def test_the_server_speaks_http() -> None:
    """One connection carries several requests, in pieces or whole, and nonsense ends it."""

    async def head(exit_: Exit) -> Any:
        return (await exit_.http.head(f"{exit_.url}/a?b")).headers

    async def pieces() -> AsyncIterator[bytes]:
        yield b"in "
        yield b"pieces"

    class App(EchoApp):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            body, more = b"", True
            while more:
                event = await receive()
                body, more = body + event.get("body", b""), event["more_body"]
            headers = [(b"content-length", b"%d" % len(body))]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": body})

    async with serving(App()) as exit_:
        answers = [
            (await exit_.http.post(exit_.url, content=each)).content for each in (b"whole", pieces(), b"")
        ]
        assert "0" == (await head(exit_))["content-length"]
        async with await anyio.connect_tcp("127.0.0.1", httpx.URL(exit_.url).port or 0) as stream:
            await stream.send(b"nonsense\r\n\r\n")
            with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                await stream.receive()

    assert [b"whole", b"in pieces", b""] == answers


@pytest.mark.parametrize("bounds", [{"max_files": 2}, {"max_bytes": 11}], ids=str)
def test_room_is_bounded_and_comes_back(tmp_path: Path, bounds: dict[str, int]) -> None:
    shelf, ids = Shelf(tmp_path, life_s=10, **bounds), [str(each) * 32 for each in range(3)]
    for each in ids[:2]:
        shelf.put(b"body", file_id=each, now=UnixTime(0))

    with pytest.raises(RefusedError, match="room"):
        shelf.put(b"body", file_id=ids[2], now=UnixTime(9))
    assert Kept(4, 10, 20) == shelf.put(b"body", file_id=ids[2], now=UnixTime(10))
    assert [ids[2]] == [file.name for file in tmp_path.iterdir()]


def test_what_a_killed_server_left_half_written_is_removed(tmp_path: Path) -> None:
    (tmp_path / f"{ID}.new").write_bytes(b"half")

    Shelf(tmp_path, life_s=10).put(b"body", file_id="1" * 32, now=UnixTime(0))

    assert ["1" * 32] == [file.name for file in tmp_path.iterdir()]
