"""A neighbour that speaks frames of its own choice: packets built by hand, kept, and sent again."""

from __future__ import annotations

import os
from collections.abc import Sequence

from onionpath.injected import UnixTime
from onionpath.link.frames import Frame, FrameReader, Kind, encode_frame
from onionpath.onion.packets import Hop, OnionCall, Wrapped
from onionpath.onion.replay import slot_at
from onionpath.service.calls import ServiceId
from simulations.virtual.network import VirtualNetwork
from simulations.virtual.wires import End


class RawClient:
    """Holds one wire to a relay, which takes it for a client's."""

    def __init__(self, network: VirtualNetwork, first: int, *, name: str = "raw") -> None:
        self.name = name
        self.frames: list[Frame] = []
        self.is_closed = False
        self._network = network
        self._reader = FrameReader(network.world.onion.geometry)
        self._end: End | None = None
        relay = network.relay(first)
        network.fabric.call(self, str(relay.address), relay.link_key_hash, self._opened)
        network.advance(seconds=1.0)
        assert self._end is not None, "nobody answers there"

    def _opened(self, end: End | None) -> None:
        self._end = end

    def ask(self, frame: bytes, *, seconds: float = 2.0) -> Kind | None:
        """Send a frame, let time pass, and say what came back: a REPLY means that the packet was accepted."""
        assert self._end is not None
        before = len(self.frames)
        self._end.send(frame)
        self._network.advance(seconds=seconds)
        return self.frames[before].kind if len(self.frames) > before else None

    def accepted(self, end: End) -> None:
        raise AssertionError("nobody calls us")

    def received(self, end: End, data: bytes) -> None:
        self._reader.feed(data)
        while (frame := self._reader.next_frame()) is not None:
            self.frames.append(frame._replace(body=bytes(frame.body)))
        self._reader.keep()

    def written(self, end: End, size: int) -> None:
        pass

    def closed(self, end: End) -> None:
        self.is_closed = True


def wrap(network: VirtualNetwork, path: Sequence[int], *, at: UnixTime) -> Wrapped:
    """An echo for this path, built by a client whose clock says ``at``."""
    directory = network.newest_directory()
    assert directory is not None
    hops = []
    for number in path:
        relay_id = network.relay(number).relay_id
        key = directory.relays[relay_id].descriptor.packet_key(at)
        assert key is not None
        hops.append(Hop(relay_id, key.public, key.generation))
    slot = slot_at(at, network.plan.parameters.slot_s)
    call = OnionCall(ServiceId.ECHO, b"hello", bytes(16))
    return network.world.onion.wrap(hops, call, slot=slot, entropy=os.urandom)


def frame_for(network: VirtualNetwork, path: Sequence[int], *, at: UnixTime, exchange_id: int = 1) -> bytes:
    """The REQUEST frame of such a packet."""
    packet = wrap(network, path, at=at).packet
    return encode_frame(
        network.world.onion.geometry,
        Kind.REQUEST,
        packet.layer,
        size_class=packet.size_class,
        generation=packet.generation,
        slot=packet.slot,
        exchange_id=exchange_id,
    )
