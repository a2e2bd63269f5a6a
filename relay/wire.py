"""One connection of the socket driver: a TLS session over a non-blocking socket, and what waits to go out."""

from __future__ import annotations

import socket

import trio

from onionpath.link.tls import TlsSession


class Wire:
    """A socket, its TLS session, and the frames that were handed over for it.

    Frames are encrypted only when the ciphertext before them has left, so at most one write's ciphertext is held
    twice; the switch bounds the frames themselves.
    """

    # What is encrypted at once: large enough to fill a socket's buffer, small enough to be held twice.
    ENCRYPT_AT_MOST = 256 * 1024

    def __init__(self, link_id: int, sock: socket.socket, tls: TlsSession) -> None:
        self.link_id = link_id
        self.sock = sock
        self.tls = tls
        self.scope = trio.CancelScope()
        self.paused_until = 0.0
        self.blocked = trio.Event()
        self._frames: list[bytes] = []
        self._ciphertext = memoryview(b"")
        self._encrypted = 0  # bytes of frames that ``_ciphertext`` stands for

    def put(self, frame: bytes) -> None:
        """Add a frame; ``push`` sends it."""
        self._frames.append(frame)

    def push(self) -> int:
        """Send as much as the socket takes now, and give how many bytes of frames have left.

        Sets ``blocked`` when the socket takes no more.

        Raises:
            OSError: the connection is broken.
        """
        gone = 0
        while True:
            if not self._ciphertext:
                gone += self._encrypted
                self._encrypt_next()
                if not self._ciphertext:
                    return gone
            try:
                sent = self.sock.send(self._ciphertext)
            except BlockingIOError:
                self.blocked.set()
                return gone
            self._ciphertext = self._ciphertext[sent:]

    def _encrypt_next(self) -> None:
        self._encrypted = 0
        frames: list[bytes] = []
        while self._frames and self._encrypted < self.ENCRYPT_AT_MOST:
            frame = self._frames.pop(0)
            frames.append(frame)
            self._encrypted += len(frame)
        if frames:
            self.tls.write(frames[0] if len(frames) == 1 else b"".join(frames))
        # Without frames this is what the handshake, or an alert, has to say.
        self._ciphertext = memoryview(self.tls.take())

    async def push_when_possible(self) -> int:
        """Wait until the socket takes bytes again, then ``push``."""
        await self.blocked.wait()
        await trio.lowlevel.wait_writable(self.sock)
        self.blocked = trio.Event()
        return self.push()

    async def shake_hands(self, buffer: memoryview) -> None:
        """Complete the TLS handshake; the caller sets the deadline.

        Raises:
            PeerError, OSError, EOFError: it failed.
        """
        while not self.tls.shake_hands():
            await self.flush()
            count = await self.receive(buffer)
            self.tls.feed(buffer[:count])
            if not count:
                raise EOFError
        await self.flush()

    async def flush(self) -> None:
        """Send all there is; only before the link is handed to the driver."""
        self.push()
        while self.blocked.is_set():
            await self.push_when_possible()

    async def receive(self, buffer: memoryview) -> int:
        """Read from the socket into a buffer that others use too; nothing may be awaited before it is consumed."""
        while True:
            try:
                return self.sock.recv_into(buffer)
            except BlockingIOError:
                await trio.lowlevel.wait_readable(self.sock)

    def give_up(self) -> None:
        """End the link: its tasks as soon as they run, and what waits to go out at once, for it is counted no more."""
        self._frames.clear()
        self._ciphertext = memoryview(b"")
        self.scope.cancel()

    def close(self) -> None:
        """Close the socket; idempotent."""
        self.sock.close()
