"""Servers of a few lines for programs to meet: an index of packages, and one that speaks when a test lets it."""

from __future__ import annotations

import base64
import functools
import hashlib
import http.server
import socket
import ssl
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import trustme

WAIT_S = 30.0


def make_index(folder: Path, content: bytes) -> None:
    """An index (PEP 503) with one package, ``parcel`` 1.0, a wheel whose module has ``content`` beside it."""
    page = folder / "simple" / "parcel"
    page.mkdir(parents=True)
    wheel = "parcel-1.0-py3-none-any.whl"
    _make_wheel(page / wheel, content)
    (page / "index.html").write_text(f'<!doctype html><a href="{wheel}">{wheel}</a>')


def _make_wheel(file: Path, content: bytes) -> None:
    about = "parcel-1.0.dist-info"
    files = {
        "parcel/__init__.py": b"",
        "parcel/content": content,
        f"{about}/METADATA": b"Metadata-Version: 2.1\nName: parcel\nVersion: 1.0\n",
        f"{about}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    rows = [f"{name},sha256={_record_digest(data)},{len(data)}\n" for name, data in files.items()]
    files[f"{about}/RECORD"] = "".join([*rows, f"{about}/RECORD,,\n"]).encode()
    with zipfile.ZipFile(file, "w") as wheel:
        for name, data in files.items():
            wheel.writestr(name, data)


def _record_digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


@contextmanager
def secure_files(folder: Path, ca_file: Path) -> Iterator[str]:
    """A website with TLS that serves a folder; ``ca_file`` is written for whoever should trust it."""
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.cert_pem.write_to_path(str(ca_file))
    authority.issue_cert("localhost").configure_cert(context)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    handler.log_message = lambda *_: None  # type: ignore[attr-defined]
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"https://localhost:{server.server_address[1]}"
        server.shutdown()


class Speaker:
    """An HTTP server for one visitor, who gets a byte of the answer at each ``speak``."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._turns = threading.Semaphore(0)
        self.url = f"http://localhost:{self._listener.getsockname()[1]}/"
        threading.Thread(target=self._serve, daemon=True).start()

    def speak(self) -> None:
        """Send one more byte."""
        self._turns.release()

    def _serve(self) -> None:
        with suppress(OSError), self._listener.accept()[0] as visitor:
            visitor.recv(65_536)
            visitor.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % self._size)
            for number in range(self._size):
                if not self._turns.acquire(timeout=WAIT_S):
                    return
                visitor.sendall(b"%d" % (number % 10))

    def close(self) -> None:
        """Serve nobody any more."""
        self._listener.close()


@contextmanager
def speaker(size: int) -> Iterator[Speaker]:
    """One that is closed at the end."""
    one = Speaker(size)
    try:
        yield one
    finally:
        one.close()
