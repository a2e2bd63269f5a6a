"""A link to a relay without a client around it: whatever bytes a test wants, and the frames that come back."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from types import TracebackType

from onionpath.crypto.identity import RelayId
from onionpath.directory.directory import Directory
from onionpath.injected import UnixTime
from onionpath.link.frames import Frame, FrameReader, Kind, encode_frame
from onionpath.link.tls import TlsSession, client_context
from onionpath.onion.geometry import Geometry
from onionpath.onion.native import NativeOnion
from onionpath.onion.packets import Answer, Hop, OnionCall
from onionpath.onion.replay import slot_at
from onionpath.service.calls import ServiceId
from simulations.local.network import LocalRelay

WAIT_S = 10.0


class RawLink:
    """A TLS connection to a relay, as anybody may make it; use it with ``with``.

    Args:
        receive_buffer: of the socket, in bytes; a small one is full soon when nobody reads.
        source: the address that the relay sees.
    """

    def __init__(
        self,
        relay: LocalRelay,
        geometry: Geometry,
        *,
        receive_buffer: int | None = None,
        source: str | None = None,
    ) -> None:
        self._socket = socket.socket()
        self._socket.settimeout(WAIT_S)
        if receive_buffer is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if source is not None:
            self._socket.bind((source, 0))
        self._tls = TlsSession(client_context(), server_side=False)
        self._reader = FrameReader(geometry)
        try:
            self._connect(relay)
        except BaseException:
            self._socket.close()
            raise

    def _connect(self, relay: LocalRelay) -> None:
        self._socket.connect((relay.endpoint.host, relay.endpoint.port))
        while not self._tls.shake_hands():
            self._socket.sendall(self._tls.take())
            self._tls.feed(self._socket.recv(65_536))
        self._socket.sendall(self._tls.take())

    def __enter__(self) -> RawLink:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        """Send bytes over the link."""
        self._tls.write(data)
        self._socket.sendall(self._tls.take())

    def next_frame(self) -> Frame:
        """The next frame that the relay sends; raises EOFError when it closes."""
        buffer = memoryview(bytearray(256 * 1024))
        while (frame := self._reader.next_frame()) is None:
            filled = self._tls.read_into(buffer)
            if filled:
                self._reader.feed(buffer[:filled])
                self._reader.keep()
            else:
                self._tls.feed(self._socket.recv(65_536))
        return frame

    def is_closed_by_relay(self) -> bool:
        """Read until the relay closes; True if it does so within 10 s."""
        try:
            while True:
                self.next_frame()
        except (EOFError, ConnectionError):
            return True
        except TimeoutError:
            return False


def echo_request(directory: Directory, *path: bytes) -> bytes:
    """The frame of a request whose hops are these relays."""
    return open_echo_request(directory, *path)[0]


def open_echo_request(directory: Directory, *path: bytes) -> tuple[bytes, Callable[[Frame], Answer]]:
    """The same frame, and what opens its reply."""
    now = UnixTime(time.time())
    parameters = directory.document.parameters
    relays = [directory.relays[RelayId(each)] for each in path]
    keys = [relay.descriptor.packet_key(now) for relay in relays]
    onion = NativeOnion(parameters.geometry, directory.document.network_id)
    hops = [
        Hop(relay.relay_id, key.public, key.generation)
        for relay, key in zip(relays, keys, strict=True)
        if key is not None
    ]
    call = OnionCall(ServiceId.ECHO, b"hello", bytes(16))
    wrapped = onion.wrap(hops, call, slot=slot_at(now, parameters.slot_s), entropy=os.urandom)
    packet = wrapped.packet
    frame = encode_frame(
        parameters.geometry,
        Kind.REQUEST,
        packet.layer,
        size_class=packet.size_class,
        generation=packet.generation,
        slot=packet.slot,
        exchange_id=1,
    )
    return frame, lambda reply: onion.open_reply(wrapped.opener, reply.body)
