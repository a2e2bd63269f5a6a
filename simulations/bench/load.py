"""A load generator for one relay: client and next relay in one process, with as little work as possible of its own.

The client's packets are sealed beforehand for the relay's layer only, with noise inside; the next relay answers each
with noise of the right size. So all but the relay's own work stands outside of the measured time, or costs little.
"""

from __future__ import annotations

import os
import selectors
import socket
import ssl
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple

from onionpath.crypto.identity import IdentityKey, RelayId
from onionpath.errors import UnreachableError
from onionpath.link.frames import Frame, FrameReader, Kind, encode_frame
from onionpath.link.proof import Claim, Parties, sign_proof
from onionpath.link.tls import TlsSession, client_context
from onionpath.onion.geometry import Geometry, SizeClass
from onionpath.onion.packets import Packet

READ_SIZE = 1024 * 1024


class Pipe:
    """A TLS connection that speaks frames and, after its handshake, never blocks."""

    def __init__(
        self, sock: socket.socket, context: ssl.SSLContext, geometry: Geometry, *, server_side: bool
    ) -> None:
        self.sock = sock
        self.geometry = geometry
        self.tls = TlsSession(context, server_side=server_side)
        self.reader = FrameReader(geometry)
        self._cipher = memoryview(bytearray(READ_SIZE))
        self._plain = memoryview(bytearray(READ_SIZE))
        self._unsent = b""
        self._frames: list[bytes] = []
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def shake_hands(self) -> None:
        """Complete the handshake, blocking."""
        while not self.tls.shake_hands():
            self.sock.sendall(self.tls.take())
            self.tls.feed(self.sock.recv(READ_SIZE))
        self.sock.sendall(self.tls.take())
        self.sock.setblocking(False)

    def receive(self) -> list[Frame]:
        """All complete frames that have come, their bodies copied but for those of replies, which nobody opens.

        Raises:
            EOFError: the other end has closed the connection.
        """
        with suppress(BlockingIOError):
            count = self.sock.recv_into(self._cipher)
            self.tls.feed(self._cipher[:count])
        frames = []
        while filled := self.tls.read_into(self._plain):
            self.reader.feed(self._plain[:filled])
            while (frame := self.reader.next_frame()) is not None:
                frames.append(frame._replace(body=bytes(frame.body) if frame.kind is not Kind.REPLY else b""))
            self.reader.keep()
        return frames

    def put(self, frame: bytes) -> None:
        """Add a frame; ``send`` sends it."""
        self._frames.append(frame)

    def send(self) -> bool:
        """Send what there is; false while the socket takes no more."""
        if self._frames:
            self.tls.write(b"".join(self._frames))
            self._frames.clear()
            self._unsent += self.tls.take()
        while self._unsent:
            try:
                sent = self.sock.send(self._unsent)
            except BlockingIOError:
                return False
            self._unsent = self._unsent[sent:]
        return True


class Answerer(NamedTuple):
    """The relay under test, as one that calls it must know it."""

    network_id: bytes
    relay_id: RelayId
    key_hash: bytes


class NextRelay:
    """Plays the relay that the one under test forwards to."""

    def __init__(self, address: tuple[str, int], context: ssl.SSLContext, geometry: Geometry) -> None:
        self.listener = socket.create_server(address)
        self.address: tuple[str, int] = self.listener.getsockname()[:2]
        self._context = context
        self._geometry = geometry
        self._noise = {
            (size_class, depth): os.urandom(geometry.reply_layer_size(size_class, depth))
            for size_class in SizeClass
            for depth in range(1, geometry.hops)
        }
        self.reply_class = SizeClass.SMALL

    def accept(self) -> Pipe:
        """The relay's connection, with its handshake done."""
        sock, _ = self.listener.accept()
        pipe = Pipe(sock, self._context, self._geometry, server_side=True)
        pipe.shake_hands()
        return pipe

    def answer(self, pipe: Pipe) -> None:
        """Answer whatever has come."""
        for frame in pipe.receive():
            if frame.kind is Kind.CLAIM:
                pipe.put(encode_frame(self._geometry, Kind.CHALLENGE, os.urandom(32)))
            elif frame.kind is Kind.REQUEST:
                noise = self._noise[self.reply_class, frame.depth]
                pipe.put(
                    encode_frame(
                        self._geometry, Kind.REPLY, noise,
                        size_class=self.reply_class, depth=frame.depth, exchange_id=frame.exchange_id,
                    )
                )  # fmt: skip
        pipe.send()


class Load:
    """Drives packets through a relay and back."""

    def __init__(self, relay: tuple[str, int], geometry: Geometry, next_relay: NextRelay) -> None:
        self._geometry = geometry
        self._next = next_relay
        sock = socket.create_connection(relay)
        self._client = Pipe(sock, client_context(), geometry, server_side=False)
        self._client.shake_hands()
        self._server: Pipe | None = None
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._client.sock, selectors.EVENT_READ, "client")
        self._selector.register(next_relay.listener, selectors.EVENT_READ, "listener")
        self._exchange_id = 0

    def prove(self, identity: IdentityKey, answerer: Answerer) -> None:
        """Be a relay from here on: docs/specs/link.md §4; blocking."""
        nonce = os.urandom(32)
        self._client.put(encode_frame(self._geometry, Kind.CLAIM, Claim(identity.relay_id, nonce).encode()))
        while not (frames := self._client.receive()):
            self._client.send()
            self._selector.select(1.0)
        challenge = bytes(frames[0].body)
        parties = Parties(
            answerer.network_id, identity.relay_id, answerer.relay_id, answerer.key_hash, nonce, challenge
        )
        self._client.put(encode_frame(self._geometry, Kind.PROOF, sign_proof(parties, identity)))
        self._client.send()

    def run(self, packets: Sequence[Packet], *, in_flight: int, timeout_s: float = 60.0) -> float:
        """Send all packets with so many under way; gives the seconds it took.

        Raises:
            UnreachableError: the relay rejected a packet, or didn't answer in time. EOFError: it left.
        """
        waiting = iter(packets)
        for _ in range(in_flight):
            self._put(next(waiting))
        self._client.send()
        start = time.perf_counter()
        left = len(packets)
        while left:
            # What a full socket left behind goes out with the next turn, whoever that turn is for.
            blocked = not self._send_all()
            for key, _ in self._selector.select(0.001 if blocked else timeout_s):
                if key.data == "listener":
                    self._server = self._next.accept()
                    self._selector.register(self._server.sock, selectors.EVENT_READ, "server")
                    # Its first frame may have come with the end of the handshake.
                    self._next.answer(self._server)
                elif key.data == "server" and self._server is not None:
                    self._next.answer(self._server)
                else:
                    left -= self._take_replies(waiting)
            if time.perf_counter() - start > timeout_s:
                raise UnreachableError(f"{left} replies did not come in {timeout_s:.0f} s")
        return time.perf_counter() - start

    def _take_replies(self, waiting: Iterator[Packet]) -> int:
        frames = self._client.receive()
        for frame in frames:
            if frame.kind is not Kind.REPLY:
                raise UnreachableError(f"the relay answered with {frame.kind.name}")
            packet = next(waiting, None)
            if packet is not None:
                self._put(packet)
        return len(frames)

    def _send_all(self) -> bool:
        sent = self._client.send()
        return (self._server is None or self._server.send()) and sent

    def _put(self, packet: Packet) -> None:
        self._exchange_id += 1
        self._client.put(
            encode_frame(
                self._geometry, Kind.REQUEST, packet.layer,
                size_class=packet.size_class, depth=packet.depth, generation=packet.generation,
                slot=packet.slot, exchange_id=self._exchange_id,
            )
        )  # fmt: skip

    def close(self) -> None:
        """Close all connections."""
        self._selector.close()
        self._client.sock.close()
        if self._server is not None:
            self._server.sock.close()
        self._next.listener.close()
