"""A file server for Session's clients on this machine: attachments are put and got by onion requests.

POST /file           the body is kept; {"id": "...", "expires": seconds since 1970}
GET  /file/ID        the body
GET  /file/ID/info   {"size": bytes, "uploaded": ..., "expires": ...}
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import anyio
import anyio.to_thread
import msgspec
import trio

from onionpath.crypto.session_channels import SessionPublicKey
from onionpath.errors import RefusedError
from onionpath.injected import UnixTime
from onionpath.lsrpc.gateway import SessionGateway
from onionpath.lsrpc.key_file import create_key, read_key
from onionpath.ohttp.asgi import (
    BodyTooLongError,
    DisconnectedError,
    Receive,
    Scope,
    Send,
    read_body,
    send_whole,
)
from simulations.local.file_shelf import Shelf
from simulations.local.http_server import HttpServer
from simulations.local.process_settings import ProcessSettings

# What Session's clients send at most, and how long Session's own server keeps it.
MAX_FILE_BYTES = 10_000_000
LIFE_S = 14 * 24 * 3600.0
_PATH = re.compile(r"/file/([0-9a-f]{32})(/info)?")


class FileServerSettings(ProcessSettings, frozen=True, forbid_unknown_fields=True):
    """The content of ``file-server.json``.

    Args:
        host, port: where it listens, plain HTTP.
        key: the file of its key (``onionpath.lsrpc.key_file``).
        folder: where it keeps what it is given.
    """

    host: str
    port: int
    key: str
    folder: str
    life_s: float = LIFE_S


class FoundFileServer(NamedTuple):
    """What a process is started with, and what clients are told.

    Args:
        settings: the file for ``run_file_server``.
        key: requests are sealed to it.
    """

    settings: Path
    host: str
    port: int
    key: SessionPublicKey

    @property
    def url(self) -> str:
        """As clients are told."""
        return f"http://{self.host}:{self.port}"


class FileServer:
    """The ASGI app over a shelf; what it is told is not sealed any more."""

    def __init__(self, shelf: Shelf, *, now: Callable[[], float] = time.time) -> None:
        self._shelf = shelf
        self._now = now
        # Room is looked for before it is taken, so one file comes after the other.
        self._turn = anyio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; the gateway calls this."""
        found = _PATH.fullmatch(scope["path"]) if scope["type"] == "http" else None
        if scope["type"] == "http" and (scope["method"], scope["path"]) == ("POST", "/file"):
            await self._put(receive, send)
        elif found is None or scope["method"] != "GET":
            await _answer(send, 404, {"error": "there is nothing here"})
        elif found[2]:
            await self._tell(found[1], send)
        else:
            await self._get(found[1], send)

    async def _put(self, receive: Receive, send: Send) -> None:
        try:
            body = await read_body(receive, max_bytes=MAX_FILE_BYTES)
        except BodyTooLongError:
            await _answer(send, 413, {"error": f"a file has at most {MAX_FILE_BYTES} bytes"})
            return
        except DisconnectedError:
            return
        if not body:
            await _answer(send, 400, {"error": "a file is not empty"})
            return
        file_id, now = os.urandom(16).hex(), UnixTime(self._now())
        try:
            async with self._turn:
                kept = await anyio.to_thread.run_sync(lambda: self._shelf.put(body, file_id=file_id, now=now))
        except RefusedError as error:
            await _answer(send, 507, {"error": str(error)})
            return
        await _answer(send, 200, {"id": file_id, "expires": kept.expires})

    async def _tell(self, file_id: str, send: Send) -> None:
        kept = self._shelf.find(file_id, now=UnixTime(self._now()))
        if kept is None:
            await _answer(send, 404, {"error": "there is no such file"})
        else:
            await _answer(send, 200, kept._asdict())

    async def _get(self, file_id: str, send: Send) -> None:
        now = UnixTime(self._now())
        body = await anyio.to_thread.run_sync(lambda: self._shelf.read(file_id, now=now))
        if body is None:
            await _answer(send, 404, {"error": "there is no such file"})
        else:
            await send_whole(send, 200, media_type="application/octet-stream", body=body)


async def _answer(send: Send, status: int, said: dict[str, object]) -> None:
    await send_whole(send, status, media_type="application/json", body=msgspec.json.encode(said))


def found_file_server(folder: Path, *, host: str, port: int) -> FoundFileServer:
    """Make a key, and the settings by which ``run_file_server`` serves."""
    settings, key = folder / "file-server.json", folder / "file-server.key"
    made = create_key(key, entropy=os.urandom)
    FileServerSettings(host, port, str(key), str(folder / "files")).write(settings)
    return FoundFileServer(settings, host, port, made.public)


def run_file_server(settings_file: Path, ready: Callable[[object], None]) -> None:
    """Serve until the process is ended; what came by no onion is answered 404.

    Raises:
        UsageError: the settings, or the key, are damaged.
    """
    settings = FileServerSettings.read(settings_file)
    folder = Path(settings.folder)
    folder.mkdir(mode=0o700, exist_ok=True)
    app = FileServer(Shelf(folder, life_s=settings.life_s))
    gateway = SessionGateway(app, read_key(Path(settings.key)), serves_plain=False)
    trio.run(HttpServer(gateway).listen, settings.host, settings.port, ready)
