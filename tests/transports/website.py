"""A website of threads in this process: HTTP/1.1 and HTTP/2 over TLS, a websocket, server-sent events, bad habits.

What it was asked stands in ``visits``; ``gate`` holds up whoever asks for /gated until a test opens it.
"""

from __future__ import annotations

import hashlib
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler
from itertools import count
from pathlib import Path
from typing import NamedTuple

import h2.config
import h2.connection
import h2.events
import trustme
import wsproto
import wsproto.events

IDLE_S = 30.0
EVENTS = b"event: greeting\ndata: hello\nid: 1\n\ndata: two\ndata: lines\n\n"


class Visit(NamedTuple):
    """One request: on which connection, what for, and with which headers."""

    connection: int
    target: str
    headers: dict[str, str]


class Website:
    """Two ports, with TLS and without, until it is closed."""

    def __init__(self, folder: Path) -> None:
        authority, stranger = trustme.CA(), trustme.CA()
        self.ca_file = folder / "ca.pem"
        authority.cert_pem.write_to_path(str(self.ca_file))
        self.gate = threading.Event()
        self.visits: list[Visit] = []
        self.ended: set[int] = set()  # connections that are over
        self._numbers = count(1)
        self._open: set[socket.socket] = set()
        self._listeners: list[socket.socket] = []
        names = ("website.localhost", "elsewhere.localhost", "127.0.0.1")
        self.port = self._listen(_server_context(authority, names))
        self.stranger_port = self._listen(_server_context(stranger, names))
        self.plain_port = self._listen(None)

    @property
    def url(self) -> str:
        """Of the port with TLS; ends without a slash."""
        return f"https://website.localhost:{self.port}"

    @property
    def plain_url(self) -> str:
        """Of the one without."""
        return f"http://website.localhost:{self.plain_port}"

    def trust(self) -> ssl.SSLContext:
        """Trusts this website and nobody else."""
        return ssl.create_default_context(cafile=str(self.ca_file))

    def connections_to(self, target: str) -> set[int]:
        """Over which connections a target was asked for."""
        return {visit.connection for visit in self.visits if visit.target == target}

    def close(self) -> None:
        """End all connections."""
        self.gate.set()
        for each in (*self._listeners, *self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _listen(self, context: ssl.SSLContext | None) -> int:
        listener = socket.create_server(("127.0.0.1", 0))
        self._listeners.append(listener)
        threading.Thread(target=self._accept, args=(listener, context), daemon=True).start()
        return int(listener.getsockname()[1])

    def _accept(self, listener: socket.socket, context: ssl.SSLContext | None) -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._serve, args=(connection, context), daemon=True).start()

    def _serve(self, connection: socket.socket, context: ssl.SSLContext | None) -> None:
        self._open.add(connection)
        connection.settimeout(IDLE_S)
        number = next(self._numbers)
        with suppress(OSError, ssl.SSLError, h2.exceptions.ProtocolError), connection:
            if context is not None:
                self._open.discard(connection)
                connection = context.wrap_socket(connection, server_side=True)
                self._open.add(connection)
            is_h2 = isinstance(connection, ssl.SSLSocket) and connection.selected_alpn_protocol() == "h2"
            (_serve_h2 if is_h2 else _Http11)(connection, number, self)
        self._open.discard(connection)
        connection.close()
        self.ended.add(number)


def _server_context(authority: trustme.CA, names: tuple[str, ...]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["h2", "http/1.1"])
    authority.issue_cert(*names).configure_cert(context)
    return context


@contextmanager
def website(folder: Path) -> Iterator[Website]:
    """One that is closed at the end."""
    site = Website(folder)
    try:
        yield site
    finally:
        site.close()


class _Http11(BaseHTTPRequestHandler):
    """One connection; making it serves it."""

    protocol_version = "HTTP/1.1"

    def __init__(self, connection: socket.socket, number: int, site: Website) -> None:
        self._number, self._site = number, site
        super().__init__(connection, ("", 0), None)  # type: ignore[arg-type]

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: ``visits`` has it."""

    def do_GET(self) -> None:
        self._site.visits.append(Visit(self._number, self.path, dict(self.headers)))
        path, _, query = self.path.partition("?")
        page = getattr(self, f"_get_{path[1:].replace('-', '_') or 'page'}", None)
        if page is None:
            self._answer(b"nothing here", status=404)
        else:
            page(query)

    def do_POST(self) -> None:
        self._site.visits.append(Visit(self._number, self.path, dict(self.headers)))
        if self.path == "/deaf":
            self._site.gate.wait(IDLE_S)
        digest = hashlib.sha256()
        while size := int(self.rfile.readline(32) or b"0", 16):
            digest.update(self.rfile.read(size))
            self.rfile.readline(2)
        self.rfile.readline(2)
        self._answer(digest.hexdigest().encode())

    def _get_page(self, query: str) -> None:
        self._answer(b"hello")

    def _get_headers(self, query: str) -> None:
        self._answer(json.dumps(dict(self.headers)).encode())

    def _get_cookie(self, query: str) -> None:
        self._answer(b"", headers={"Set-Cookie": f"who={query}; Path=/"})

    def _get_redirect(self, query: str) -> None:
        self._answer(b"", status=302, headers={"Location": query})

    def _get_gated(self, query: str) -> None:
        """Half of an answer now, the other half when the gate is open."""
        self._start({"Content-Length": "10"})
        self.wfile.write(b"first")
        self._site.gate.wait(IDLE_S)
        self.wfile.write(b"later")

    def _get_hang(self, query: str) -> None:
        self._site.gate.wait(IDLE_S)
        self.close_connection = True

    def _get_cut(self, query: str) -> None:
        """A body that ends before its end."""
        self._start({"Content-Length": "10"})
        self.wfile.write(b"first")
        self.close_connection = True

    def _get_leave(self, query: str) -> None:
        """Promises to stay, and leaves."""
        self._answer(b"bye")
        self.close_connection = True

    def _get_events(self, query: str) -> None:
        self._answer(EVENTS, headers={"Content-Type": "text/event-stream"})

    def _get_socket(self, query: str) -> None:
        """A websocket that answers in capitals."""
        self.close_connection = True
        shouter = wsproto.WSConnection(wsproto.ConnectionType.SERVER)
        shouter.initiate_upgrade_connection(
            [(name.encode(), value.encode()) for name, value in self.headers.items()], self.path
        )
        waiting: list[bytes] = []
        while True:
            for event in shouter.events():
                match event:
                    case wsproto.events.Request():
                        waiting.append(shouter.send(wsproto.events.AcceptConnection()))
                    case wsproto.events.TextMessage(data=text):
                        waiting.append(shouter.send(wsproto.events.TextMessage(data=text.upper())))
                    case wsproto.events.CloseConnection():
                        self.connection.sendall(shouter.send(event.response()))
                        return
            self.connection.sendall(b"".join(waiting))
            waiting.clear()
            data = self.connection.recv(65_536)
            if not data:
                return
            shouter.receive_data(data)

    def _start(self, headers: dict[str, str], status: int = 200) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _answer(self, body: bytes, *, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self._start({"Content-Length": str(len(body)), **(headers or {})}, status)
        self.wfile.write(body)


def _serve_h2(connection: socket.socket, number: int, site: Website) -> None:
    http = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
    http.initiate_connection()
    connection.sendall(http.data_to_send())
    while data := connection.recv(65_536):
        for event in http.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                headers = dict(event.headers)
                site.visits.append(Visit(number, headers[":path"], headers))
            elif isinstance(event, h2.events.DataReceived):
                http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                http.send_headers(event.stream_id, [(":status", "200")])
                http.send_data(event.stream_id, b"hello", end_stream=True)
        connection.sendall(http.data_to_send())
