"""A deterministic network in memory: the relays' own switches and registries, joined by queues of bytes.

Nothing here pretends to be a relay. Time stands still until ``advance``; entropy comes from the seed. Ends are named
by their owner: a relay's index, or "client". Ends that stop reading, cut links and changed frames make the attacks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random
from typing import cast

from onionpath.crypto.hybrid import HybridPrivateKey
from onionpath.crypto.identity import IdentityKey, RelayId
from onionpath.crypto.tags import TagKey
from onionpath.injected import UnixTime
from onionpath.link.frames import Frame, FrameReader, Kind, encode_frame
from onionpath.onion.geometry import Geometry, SizeClass
from onionpath.onion.native import NativeOnion
from onionpath.onion.packets import Answer, Hop, HopKey, OnionCall, Packet, Wrapped
from onionpath.onion.replay import MemoryTables, ReplayMemory, slot_at
from onionpath.service.calls import Reply, Service, ServiceId
from onionpath.service.echo import EchoService
from onionpath.service.registry import Registry
from relay.limits import SwitchLimits
from relay.step import Actions, Serving
from relay.switch import Switch
from tests.network.calls import LengthService, RejectedError, UnansweredError

START = UnixTime(1_800_000_000.0)
SLOT_S = 300
CLIENT = "client"
Name = int | str
Tamper = Callable[[bytes], Sequence[bytes]]
"""Takes one frame and gives the frames that arrive instead."""


@dataclass(eq=False)
class End:
    """One end of a link: bytes that have reached it and wait to be read."""

    owner: MemoryRelay | MemoryClient
    link_id: int
    inbox: deque[bytes] = field(default_factory=deque)
    is_open: bool = True
    reads: bool = True
    paused_until: float = 0.0
    other: End = field(init=False, repr=False)


class MemoryRelay:
    """A switch with its registry; ``holding`` puts calls into ``held`` instead of having them answered."""

    def __init__(self, network: MemoryNetwork, name: int, limits: SwitchLimits) -> None:
        self.name = name
        self.identity = IdentityKey(network.entropy(32))
        self.relay_id = self.identity.relay_id
        self.link_key_hash = network.entropy(32)
        self.key = HopKey(self.relay_id, 7, HybridPrivateKey(network.entropy(32)))
        self.hop = Hop(self.relay_id, self.key.private.public, 7)
        self.alive = True
        self.dials_hang = False
        self.hanging: list[RelayId] = []
        self.holding = False
        self.held: list[Serving] = []
        self.ends: dict[int, End] = {}
        self.closes: list[str] = []
        services: dict[int, Service] = {ServiceId.ECHO: EchoService(), 9: LengthService()}
        self.registry = Registry(services, lambda answer, timeout_s: answer())  # type: ignore[arg-type,return-value]
        self.switch = Switch(
            network.onion,
            self.identity,
            network_id=network.network_id,
            link_key_hash=self.link_key_hash,
            replay=ReplayMemory(MemoryTables(), TagKey(network.entropy(32)), slot_s=SLOT_S),
            limits=limits,
            entropy=network.entropy,
        )
        self.switch.use_keys({7: self.key})

    @property
    def counts(self) -> dict[str, int]:
        """Counts by named reason."""
        return dict(self.switch.statistics().counts)

    def answer(self, serving: Serving) -> Reply:
        """Ask the registry, whose services here never wait."""
        asked = self.registry.answer(
            serving.call, from_client=serving.from_client, last_depth=serving.last_depth
        )
        try:
            asked.send(None)  # type: ignore[attr-defined]
        except StopIteration as answered:
            return cast(Reply, answered.value)
        raise AssertionError("a service waited")


@dataclass(eq=False)
class Pending:
    """A request under way."""

    client: MemoryClient
    exchange_id: int
    wrapped: Wrapped

    @property
    def frames(self) -> list[Frame]:
        """What came back for it."""
        return [frame for frame in self.client.received if frame.exchange_id == self.exchange_id]

    def answer(self) -> Answer:
        """Open the reply.

        Raises:
            RejectedError, UnansweredError, BadLayerError, MalformedError: there is none.
        """
        if not self.frames:
            raise UnansweredError
        (frame,) = self.frames
        if frame.kind is Kind.REJECT:
            raise RejectedError
        assert (Kind.REPLY, 0) == (frame.kind, frame.depth)
        return self.client.network.onion.open_reply(self.wrapped.opener, frame.body)


class MemoryClient:
    """Wraps and opens, over one link to its first hop; speaks raw frames when an attack needs it."""

    def __init__(self, network: MemoryNetwork, first: int, *, name: str = CLIENT) -> None:
        self.network = network
        self.name = name
        self.received: list[Frame] = []
        self._reader = FrameReader(network.geometry)
        self.end = End(self, 0)
        network.join(self.end, network.relays[first])
        self._exchange_id = 0

    @property
    def kinds(self) -> list[Kind]:
        """The kinds of all frames received."""
        return [frame.kind for frame in self.received]

    def request(self, call: OnionCall, *, path: Sequence[int] | None = None) -> Answer:
        """Send, let the network run until nothing moves, and open the reply."""
        pending = self.send(call, path=path)
        self.network.run()
        return pending.answer()

    def send(self, call: OnionCall, *, path: Sequence[int] | None = None, slots: int = 0) -> Pending:
        """Send without waiting; ``slots`` moves the time slot."""
        wrapped = self.wrap(call, path=path, slots=slots)
        return Pending(self, self.send_packet(wrapped.packet), wrapped)

    def wrap(self, call: OnionCall, *, path: Sequence[int] | None = None, slots: int = 0) -> Wrapped:
        """A packet for this path of relays, the network's first ones by default."""
        network = self.network
        path = range(network.geometry.hops) if path is None else path
        hops = [network.relays[index].hop for index in path]
        slot = slot_at(network.now, SLOT_S) + slots
        return network.onion.wrap(hops, call, slot=slot, entropy=network.entropy)

    def send_packet(self, packet: Packet) -> int:
        """Send a packet as it is; gives its exchange id."""
        self.send_bytes(self.frame_of(packet))
        return self._exchange_id

    def frame_of(self, packet: Packet) -> bytes:
        """A REQUEST frame with the next exchange id."""
        self._exchange_id += 1
        return encode_frame(
            self.network.geometry,
            Kind.REQUEST,
            packet.layer,
            size_class=packet.size_class,
            depth=packet.depth,
            generation=packet.generation,
            slot=packet.slot,
            exchange_id=self._exchange_id,
        )

    def send_frame(self, kind: Kind, body: bytes | memoryview = b"", **header: int | SizeClass) -> None:
        """Send any frame."""
        data = encode_frame(self.network.geometry, kind, body, **header)  # type: ignore[arg-type]
        self.send_bytes(data)

    def send_bytes(self, data: bytes) -> None:
        """Send anything."""
        self.network.transmit(self.end, data)

    def read(self, data: bytes) -> None:
        """The network hands over bytes."""
        self._reader.feed(data)
        while (frame := self._reader.next_frame()) is not None:
            self.received.append(frame._replace(body=bytes(frame.body)))


class MemoryNetwork:
    """Made by ``memory_network``."""

    def __init__(self, relays: int, seed: int, limits: SwitchLimits, geometry: Geometry) -> None:
        self.choice = Random(seed)
        self.entropy = self.choice.randbytes
        self.now = START
        self.geometry = geometry
        self.network_id = self.entropy(32)
        self.onion = NativeOnion(geometry, self.network_id)
        self.relays = [MemoryRelay(self, name, limits) for name in range(relays)]
        # Where a chunk is cut in pieces before it is read; whole by default.
        self.cuts: Callable[[int], Sequence[int]] = lambda size: ()
        self.written: list[tuple[Name, Name, bytes]] = []
        self._moving: deque[End] = deque()
        self._tampering: dict[tuple[Name, Name], Tamper] = {}
        self._next_link_id = 1
        for relay in self.relays:
            relay.switch.use_network({other.relay_id: other.link_key_hash for other in self.relays})

    def client(self, first: int = 0, *, name: str = CLIENT) -> MemoryClient:
        """A client with a link to a first hop."""
        return MemoryClient(self, first, name=name)

    def advance(self, seconds: float) -> None:
        """Let time pass, a second at a time, as a driver would tick."""
        self.run()
        end = self.now + seconds
        while self.now < end:
            self.now = UnixTime(min(end, self.now + 1.0))
            for relay in self.relays:
                if relay.alive:
                    self.carry_out(relay, relay.switch.tick(self.now))
                    self._resume(relay)
            self.run()

    def cut(self, one: Name, other: Name) -> None:
        """Break every link between two."""
        for end in [end for end in self._ends() if end.owner.name == one and end.other.owner.name == other]:
            self._end_link(end)
        self.run()

    def kill(self, name: int) -> None:
        """A relay is gone; its links break and nobody reaches it any more."""
        relay = self.relays[name]
        relay.alive = False
        for end in list(relay.ends.values()):
            self._end_link(end)
        self.run()

    def tamper(self, one: Name, other: Name, change: Tamper) -> None:
        """Have each frame from one to the other replaced."""
        self._tampering[one, other] = change

    def link(self, one: int, other: int) -> End:
        """A relay's end of its first open link to another relay."""
        return next(end for end in self.relays[one].ends.values() if end.other.owner.name == other)

    def frame_sizes_seen(self) -> set[int]:
        """Sizes of all frames that were sent over any link."""
        return {len(data) for _, _, data in self.written}

    def frames(self, one: Name, other: Name) -> list[bytes]:
        """All frames that one has sent to the other."""
        return [data for sender, receiver, data in self.written if (sender, receiver) == (one, other)]

    def is_idle(self) -> bool:
        """Whether no living relay holds anything: no exchange, no call, no byte, nobody's share."""
        return all(
            (0, 0, 0) == (figures.waiting, figures.calls, figures.queued_bytes) and relay.switch.is_idle
            for relay in self.relays
            if relay.alive and (figures := relay.switch.statistics())
        )

    def answer_held(self, name: int) -> None:
        """Have the calls answered that a holding relay has put aside."""
        relay = self.relays[name]
        held, relay.held = relay.held, []
        for serving in held:
            reply = relay.answer(serving)
            self.carry_out(relay, relay.switch.answered(serving.call_id, reply, now=self.now))
        self.run()

    def run(self) -> None:
        """Deliver until nothing moves."""
        while self._moving:
            self._deliver(self._moving.popleft())

    def join(self, end: End, relay: MemoryRelay, *, calling: RelayId | None = None) -> None:
        """Make a link from ``end`` to a relay."""
        there = End(relay, self._fresh_link_id())
        end.other, there.other = there, end
        relay.ends[there.link_id] = there
        self.carry_out(relay, relay.switch.opened(there.link_id, now=self.now))
        if isinstance(end.owner, MemoryRelay):
            end.owner.ends[end.link_id] = end
            actions = end.owner.switch.opened(end.link_id, now=self.now, peer=calling)
            self.carry_out(end.owner, actions)

    def transmit(self, end: End, data: bytes) -> None:
        """Bytes leave an end for the other one."""
        way = end.owner.name, end.other.owner.name
        self.written.append((*way, data))
        change = self._tampering.get(way)
        for part in change(data) if change else (data,):
            end.other.inbox.append(part)
            self._moving.append(end.other)

    def carry_out(self, relay: MemoryRelay, actions: Actions) -> None:
        """Do what a switch decided."""
        for link_id, data in actions.writes:
            if link_id in relay.ends:
                self.transmit(relay.ends[link_id], data)
                self._note_written(relay.ends[link_id], len(data))
        for relay_id in actions.dials:
            self._dial(relay, relay_id)
        for serving in actions.serves:
            if relay.holding:
                relay.held.append(serving)
            else:
                answered = relay.switch.answered(serving.call_id, relay.answer(serving), now=self.now)
                self.carry_out(relay, answered)
        for link_id, until in actions.pauses:
            if link_id in relay.ends:
                relay.ends[link_id].paused_until = until
        for link_id, reason in actions.closes:
            if link_id in relay.ends:
                relay.closes.append(reason)
                self._end_link(relay.ends[link_id])

    def _note_written(self, end: End, size: int) -> None:
        # What the other side does not read stays with the sender, as it would in a full socket.
        if end.other.reads and isinstance(end.owner, MemoryRelay):
            end.owner.switch.written(end.link_id, size)

    def _dial(self, relay: MemoryRelay, relay_id: RelayId) -> None:
        if relay.dials_hang:
            relay.hanging.append(relay_id)
        else:
            self.complete_dial(relay, relay_id)

    def complete_dial(self, relay: MemoryRelay, relay_id: RelayId) -> None:
        """Make the connection, or fail to; for dials that hung too."""
        there = next(other for other in self.relays if other.relay_id == relay_id)
        if there.alive:
            self.join(End(relay, self._fresh_link_id()), there, calling=relay_id)
        else:
            self.carry_out(relay, relay.switch.dial_failed(relay_id, now=self.now))

    def _deliver(self, end: End) -> None:
        if not (end.is_open and end.reads and end.inbox and end.paused_until <= self.now):
            return
        data = end.inbox.popleft()
        places = [0, *self.cuts(len(data)), len(data)]
        for start, stop in pairwise(places):
            self._hand_over(end, data[start:stop])

    def _hand_over(self, end: End, piece: bytes) -> None:
        if isinstance(end.owner, MemoryClient):
            end.owner.read(piece)
        else:
            # As in the driver, the buffer is used for something else as soon as ``receive`` returns.
            buffer = bytearray(piece)
            actions = end.owner.switch.receive(end.link_id, memoryview(buffer), now=self.now)
            buffer[:] = b"\xee" * len(buffer)
            self.carry_out(end.owner, actions)

    def _resume(self, relay: MemoryRelay) -> None:
        for end in list(relay.ends.values()):
            while end.is_open and 0.0 < end.paused_until <= self.now:
                end.paused_until = 0.0
                self._hand_over(end, b"")
            self._moving.extend([end] * len(end.inbox))

    def _end_link(self, end: End) -> None:
        for side in (end, end.other):
            if side.is_open:
                side.is_open = False
                if isinstance(side.owner, MemoryRelay):
                    del side.owner.ends[side.link_id]
        for side in (end, end.other):
            if isinstance(side.owner, MemoryRelay):
                self.carry_out(side.owner, side.owner.switch.closed(side.link_id, now=self.now))

    def _ends(self) -> list[End]:
        ends = [end for relay in self.relays for end in relay.ends.values()]
        return ends + [end.other for end in ends if isinstance(end.other.owner, MemoryClient)]

    def _fresh_link_id(self) -> int:
        link_id, self._next_link_id = self._next_link_id, self._next_link_id + 1
        return link_id


def memory_network(
    *,
    relays: int = 3,
    seed: int = 7,
    limits: SwitchLimits | None = None,
    geometry: Geometry | None = None,
) -> MemoryNetwork:
    """Relays that all know each other; the same seed gives the same bytes, but for what HPKE draws itself."""
    return MemoryNetwork(relays, seed, limits or SwitchLimits(), geometry or Geometry())
