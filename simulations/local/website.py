"""The website beyond the exits: HTTPS on two ports, a thread per connection.

/            a small page                        /slow    ten lines, 0.2 s apart
/bytes/N     N bytes, the same for each N        /hang    never answers
POST /upload the SHA-256 of what was sent
"""

from __future__ import annotations

import hashlib
import io
import random
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from itertools import count
from pathlib import Path

from simulations.local.holders import holder_of
from simulations.local.tapped_tls import RecordCutter, Tap, TappedTls
from simulations.local.website_notes import (
    KEPT_BYTES,
    BytesPassed,
    Connected,
    Notebook,
    RecordPassed,
    Requested,
)
from simulations.local.website_settings import ADDRESS, WebsiteSettings

PAGE = """\
<!doctype html>
<title>A small website</title>
<h1>Somebody asked for this page</h1>
<p>It was sealed for the one who asked, and went through three relays.
<p>The first relay knows who asked. The last one knows which website was asked.
<p>Nobody on the way knows both, and nobody but you can read this line.
"""
MAX_BYTES = 256 * 1024 * 1024
MAX_CONNECTIONS = 256
CHUNK = 256 * 1024
# A connection that says nothing for so long is given up, and /hang with it.
IDLE_S = 120.0


def body_parts(size: int) -> Iterator[bytes]:
    """The body of ``/bytes/size``: the same at each call, so that its digest can go ahead of it."""
    source = random.Random(size)
    for start in range(0, size, CHUNK):
        yield source.randbytes(min(CHUNK, size - start))


def body_digest(size: int) -> str:
    """SHA-256 of that body, in hexadecimal."""
    digest = hashlib.sha256()
    for part in body_parts(size):
        digest.update(part)
    return digest.hexdigest()


def run_website(settings_file: Path, ready: Callable[[object], None]) -> None:
    """Serve until the process is ended.

    Raises:
        UsageError: the settings are damaged.
    """
    settings = WebsiteSettings.read(settings_file)
    notebook = None if settings.notes is None else Notebook(Path(settings.notes))
    right = socket.create_server((ADDRESS, settings.port), backlog=128)
    wrong = socket.create_server((ADDRESS, settings.wrong_port), backlog=16)
    ready(None)
    untrusted = (wrong, _context(settings.wrong_certificate), None)
    threading.Thread(target=_accept_forever, args=untrusted, daemon=True).start()
    _accept_forever(right, _context(settings.certificate), notebook)


def _context(certificate: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def _accept_forever(listener: socket.socket, context: ssl.SSLContext, notebook: Notebook | None) -> None:
    room = threading.BoundedSemaphore(MAX_CONNECTIONS)
    for number in count(1):
        room.acquire()
        connection, peer = listener.accept()
        # Or the end of each answer would wait for the acknowledgement of its beginning, which takes 40 ms.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        arguments = (number, connection, peer, context, notebook, room)
        threading.Thread(target=_serve, args=arguments, daemon=True).start()


def _serve(
    number: int,
    connection: socket.socket,
    peer: tuple[str, int],
    context: ssl.SSLContext,
    notebook: Notebook | None,
    room: threading.BoundedSemaphore,
) -> None:
    try:
        with connection:
            connection.settimeout(IDLE_S)
            tls = TappedTls(connection, context, _tap(number, notebook))
            if notebook is not None:
                notebook.write(
                    Connected(number, f"{peer[0]}:{peer[1]}", holder_of(peer, connection.getsockname()))
                )
            tls.shake_hands()
            _Visitor(tls, peer, number, notebook)
            tls.say_goodbye()
    except (ssl.SSLError, OSError):
        return  # whoever asked has left, or spoke no TLS
    finally:
        room.release()


def _tap(number: int, notebook: Notebook | None) -> Tap:
    if notebook is None:
        return lambda by_website, data: None
    cutters = (RecordCutter(), RecordCutter())
    kept = 0

    def note(by_website: bool, data: bytes) -> None:
        nonlocal kept
        for kind, length in cutters[by_website].take(data):
            notebook.write(RecordPassed(number, by_website, kind, length))
        if kept < KEPT_BYTES:
            notebook.write(BytesPassed(number, by_website, data[: KEPT_BYTES - kept]))
            kept += len(data)

    return note


class _Visitor(BaseHTTPRequestHandler):
    """One connection's requests; making it serves them."""

    protocol_version = "HTTP/1.1"
    server_version = "website"
    sys_version = ""

    def __init__(self, tls: TappedTls, peer: tuple[str, int], number: int, notebook: Notebook | None) -> None:
        self._tls, self._number, self._notebook = tls, number, notebook
        # The base class wants a request, an address and a server, and uses the last for nothing.
        super().__init__(tls, peer, None)  # type: ignore[arg-type]

    def setup(self) -> None:
        self.rfile = io.BufferedReader(self._tls)
        self.wfile = self._tls  # type: ignore[assignment]

    def finish(self) -> None:
        """Closing is left to whoever opened."""

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on standard error: notes are kept where the demo reads them."""
        if self._notebook is not None and args:
            self._notebook.write(Requested(self._number, str(args[0])))

    def do_GET(self) -> None:
        """Pages: docs/guides/local-network.md lists them."""
        found = re.fullmatch(r"/bytes/([0-9]{1,9})", self.path)
        if self.path == "/":
            self._answer(PAGE.encode(), "text/html; charset=utf-8")
        elif found is not None and int(found[1]) <= MAX_BYTES:
            self._send_bytes(int(found[1]))
        elif self.path == "/slow":
            self._send_slowly()
        elif self.path == "/hang":
            self.close_connection = True
            self.rfile.read(1)
        else:
            self._answer(b"there is nothing here\n", "text/plain", status=404)

    def do_POST(self) -> None:
        """``/upload`` answers with the SHA-256 of what came."""
        if self.path != "/upload":
            self.close_connection = True
            self._answer(b"there is nothing here\n", "text/plain", status=404)
            return
        digest = hashlib.sha256()
        for part in self._body():
            digest.update(part)
        self._answer(digest.hexdigest().encode(), "text/plain")

    def _send_bytes(self, size: int) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(size))
        self.send_header("X-SHA-256", body_digest(size))
        self.end_headers()
        for part in body_parts(size):
            self.wfile.write(part)

    def _send_slowly(self) -> None:
        lines = [f"line {number}\n".encode() for number in range(1, 11)]
        self.send_response(200)
        self.send_header("Content-Length", str(sum(map(len, lines))))
        self.end_headers()
        for line in lines:
            self.wfile.write(line)
            time.sleep(0.2)

    def _body(self) -> Iterator[bytes]:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            while size := int(self.rfile.readline(32).strip(), 16):
                yield self.rfile.read(size)
                self.rfile.readline(8)
            self.rfile.readline(8)
            return
        left = int(self.headers.get("Content-Length", "0"))
        while left and (part := self.rfile.read(min(left, CHUNK))):
            left -= len(part)
            yield part

    def _answer(self, body: bytes, kind: str, *, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
