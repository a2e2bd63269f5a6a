"""The website's end of a TLS connection, with a tap on the bytes between it and the exit.

Whatever the tap notes is exactly what the exit carried: the exit's own connection ends at this socket.
"""

from __future__ import annotations

import io
import socket
import ssl
from collections.abc import Callable

READ_SIZE = 256 * 1024
_HEADER_SIZE = 5  # RFC 8446 §5.1: type 1, version 2, length 2

# What the tap is given: whether the website sent it, and the bytes.
Tap = Callable[[bool, bytes], None]


class RecordCutter:
    """Finds the TLS records in one direction of a connection, without a key."""

    def __init__(self) -> None:
        self._waiting = b""
        self._skip = 0

    def take(self, data: bytes) -> list[tuple[int, int]]:
        """Type and length in bytes of each record that begins in ``data``."""
        self._waiting += data
        found: list[tuple[int, int]] = []
        while True:
            skipped = min(self._skip, len(self._waiting))
            self._waiting = self._waiting[skipped:]
            self._skip -= skipped
            if self._skip or len(self._waiting) < _HEADER_SIZE:
                return found
            length = int.from_bytes(self._waiting[3:_HEADER_SIZE], "big")
            found.append((self._waiting[0], length))
            self._skip = _HEADER_SIZE + length


class TappedTls(io.RawIOBase):
    """A blocking TLS server connection as a file.

    Args:
        connected: an accepted socket; the caller closes it.
        tap: sees every byte on the socket.
    """

    def __init__(self, connected: socket.socket, context: ssl.SSLContext, tap: Tap) -> None:
        self._socket = connected
        self._tap = tap
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._session = context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    def shake_hands(self) -> None:
        """Complete the handshake.

        Raises:
            ssl.SSLError, OSError: it failed.
        """
        while True:
            try:
                self._session.do_handshake()
            except ssl.SSLWantReadError:
                self._send()
                self._receive()
            else:
                self._send()
                return

    def readable(self) -> bool:
        """It is."""
        return True

    def writable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: object) -> int:
        """Fill the buffer with what the client wrote; 0 at the end, also at one without a TLS alert."""
        view = memoryview(buffer)  # type: ignore[arg-type]
        while True:
            try:
                data = self._session.read(len(view))
            except ssl.SSLWantReadError:
                self._receive()
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return 0
            else:
                view[: len(data)] = data
                return len(data)

    def write(self, data: object) -> int:
        """Send all of it."""
        view = memoryview(data)  # type: ignore[arg-type]
        if len(view):
            self._session.write(view)
            self._send()
        return len(view)

    def say_goodbye(self) -> None:
        """Tell the client that no more comes; without it, it couldn't tell an end from a cut."""
        try:
            self._session.unwrap()
        except (ssl.SSLError, OSError):
            pass  # the alert is written before it wants the other side's
        try:
            self._send()
        except OSError:
            return

    def _receive(self) -> None:
        data = self._socket.recv(READ_SIZE)
        if data:
            self._tap(False, data)
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    def _send(self) -> None:
        data = self._outgoing.read()
        if data:
            self._tap(True, data)
            self._socket.sendall(data)
