"""A client that is nothing but canaries: it calls relays from an address of its own, and notes all it ever drew."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from onionpath.crypto.identity import RelayId
from onionpath.directory.directory import Directory
from onionpath.injected import UnixTime
from onionpath.link.frames import Frame, Kind, encode_frame
from onionpath.onion.native import NativeOnion
from onionpath.onion.packets import Answer, Hop, OnionCall, ReplyOpener
from onionpath.onion.replay import slot_at
from onionpath.onion.statuses import Reason
from onionpath.service.calls import ServiceId
from onionpath.service.stream import RequestFlags, StreamRequest
from simulations.local.network import LocalNetwork, LocalRelay
from tests.processes.raw_links import RawLink

SOURCE = "127.77.66.55"
# No resolver is asked for this name, and the exit refuses it all the same.
HOST = b"canary-of-a-host-4711.internal"
FORBIDDEN = b"10.113.117.119"
URL_PATH = b"/canary-of-a-path/seventeen?of=somebody"
BODY = b"canary-of-a-body: what somebody told somebody"
GARBAGE = b"canary-of-a-stranger-who-speaks-no-protocol"


class Sealed(NamedTuple):
    """A request's frame, and what opens its reply."""

    frame: bytes
    opener: ReplyOpener


class Somebody:
    """Asks through paths that he chooses, over links from ``SOURCE``; ``canaries`` is all that identifies him."""

    def __init__(self, network: LocalNetwork, directory: Directory) -> None:
        self._network = network
        self._directory = directory
        self._parameters = directory.document.parameters
        self._onion = NativeOnion(self._parameters.geometry, directory.document.network_id)
        self._drawn = 0
        self.canaries: dict[str, bytes] = {
            "his address": SOURCE.encode(),
            "his address in binary": socket.inet_aton(SOURCE),
            "his address as a number": str(int.from_bytes(socket.inet_aton(SOURCE), "big")).encode(),
            "a host": HOST,
            "a forbidden host": FORBIDDEN,
            "a path": URL_PATH,
            "a body": BODY,
            "garbage": GARBAGE,
        }

    def draw(self, size: int) -> bytes:
        """Unpredictable bytes, noted."""
        drawn = os.urandom(size)
        self._drawn += 1
        self.canaries[f"what was drawn as number {self._drawn}"] = drawn
        return drawn

    @contextmanager
    def link(self, relay: LocalRelay) -> Iterator[RawLink]:
        """A link from ``SOURCE``."""
        with RawLink(relay, self._parameters.geometry, source=SOURCE) as link:
            yield link

    def seal(self, path: list[LocalRelay], call: OnionCall) -> Sealed:
        """A request for these hops."""
        now = UnixTime(time.time())
        hops = []
        for each in path:
            relay = self._directory.relays[RelayId(each.relay_id)]
            key = relay.descriptor.packet_key(now)
            assert key is not None
            hops.append(Hop(relay.relay_id, key.public, key.generation))
        slot = slot_at(now, self._parameters.slot_s)
        wrapped = self._onion.wrap(hops, call, slot=slot, entropy=self.draw)
        packet = wrapped.packet
        frame = encode_frame(
            self._parameters.geometry, Kind.REQUEST, packet.layer,
            size_class=packet.size_class, generation=packet.generation, slot=packet.slot, exchange_id=1,
        )  # fmt: skip
        return Sealed(frame, wrapped.opener)

    def send(self, link: RawLink, sealed: Sealed) -> Answer | Kind:
        """Send it, and give the opened reply, or what else came."""
        link.send(sealed.frame)
        while (frame := link.next_frame()).kind in (Kind.PING, Kind.GOING_AWAY):
            pass
        return self._open(frame, sealed.opener) if frame.kind is Kind.REPLY else frame.kind

    def _open(self, frame: Frame, opener: ReplyOpener) -> Answer:
        self.canaries[f"a reply's nonce {len(self.canaries)}"] = bytes(frame.body[:12])
        return self._onion.open_reply(opener, bytes(frame.body))

    def ask(self, path: list[LocalRelay], service: int, body: bytes) -> Answer | Kind:
        """One call over one link of its own."""
        call = OnionCall(service, body, self.draw(16))
        with self.link(path[0]) as link:
            return self.send(link, self.seal(path, call))

    def open_stream(self, path: list[LocalRelay], host: bytes, port: int) -> tuple[bytes, Reason | None]:
        """Open a stream; gives its token and the reason if it was refused."""
        token = self.draw(16)
        request = StreamRequest(token=token, flags=RequestFlags.OPEN, host=host, port=port)
        answer = self.ask(path, ServiceId.STREAM, request.encode())
        assert isinstance(answer, Answer)
        return token, answer.head.reason or None
