"""Wires: connections with latency, jitter that keeps the order, bandwidth, stalls and breaks.

A wire carries whole writes; it neither splits nor joins them. Opening one takes a round trip, and there the link key
that was promised is compared with the one that answers, which stands for TLS.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from typing import Protocol

from simulations.virtual.chance import stream
from simulations.virtual.heap import EventHeap, Process
from simulations.virtual.record import Record

# What the kernels of both sides take of a wire that delivers nothing, before its writer has to wait.
SOCKET_BUFFER = 256 * 1024
CONNECT_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class WireModel:
    """How wires behave.

    Args:
        latency_s: one way; the lower bound if ``latency_up_to_s`` is above it, drawn once for each pair of nodes.
        jitter_s: at most so much more for each write, drawn anew; later ones never overtake.
        bytes_per_s: of one direction of one wire; None for no limit.
    """

    latency_s: float = 0.03
    latency_up_to_s: float = 0.0
    jitter_s: float = 0.0
    bytes_per_s: float | None = None


class Holder(Protocol):
    """Whoever holds the ends of wires."""

    name: str

    def accepted(self, end: End) -> None: ...

    def received(self, end: End, data: bytes) -> None: ...

    def written(self, end: End, size: int) -> None: ...

    def closed(self, end: End) -> None: ...


class Host(Protocol):
    """Whoever can be called at an address."""

    name: str

    @property
    def link_key_hash(self) -> bytes:
        """Of the link key that it answers with."""
        ...

    @property
    def listener(self) -> Holder | None:
        """Who takes a new connection; None while no process listens."""
        ...


class End:
    """One end of a wire. Its holder learns of bytes and of the end of the connection through the heap."""

    __slots__ = (
        "_busy_until", "_bytes_per_s", "_fabric", "_held", "_held_bytes", "_jitter", "_label", "_last_arrival",
        "_latency_s", "holder", "is_open", "is_stalled", "link_id", "other",
    )  # fmt: skip

    other: End

    def __init__(
        self, fabric: Fabric, holder: Holder, latency_s: float, jitter: random.Random | None
    ) -> None:
        self._bytes_per_s = fabric.model.bytes_per_s
        self._fabric = fabric
        self.holder = holder
        self.link_id = 0
        self.is_open = True
        self.is_stalled = False
        self._latency_s = latency_s
        self._jitter = jitter
        self._label = b""
        self._last_arrival = 0.0
        self._busy_until = 0.0
        self._held: deque[tuple[bytes | None, int]] = deque()  # None ends the connection
        self._held_bytes = 0

    def send(self, data: bytes) -> None:
        """Give a write to the wire."""
        if not self.is_open:
            return
        fabric, size = self._fabric, len(data)
        if fabric.tap is not None:
            fabric.tap(self.holder.name, self.other.holder.name, data)
        if not self._label:
            self._label = f"{self.holder.name}>{self.other.holder.name}\n".encode()
        fabric.record.sent(
            fabric.physics.now, self.holder.name, self.other.holder.name, size, label=self._label
        )
        if self.is_stalled:
            taken = self._held_bytes + size <= SOCKET_BUFFER
            self._held.append((data, 0 if taken else size))
            self._held_bytes += size
            if taken:
                self.holder.written(self, size)
        else:
            self._carry(data, size)

    def _carry(self, data: bytes, unwritten: int) -> None:
        heap = self._fabric.physics
        leaves_at: float = heap.now
        if self._bytes_per_s is None and self._jitter is None:
            # The common case, without the questions of the others.
            if unwritten:
                self.holder.written(self, unwritten)
            self._last_arrival = leaves_at + self._latency_s
            heap.at(self._last_arrival, self.other._arrive, data)
            return
        if self._bytes_per_s is not None:
            leaves_at = self._busy_until = max(leaves_at, self._busy_until) + len(data) / self._bytes_per_s
            if unwritten:
                heap.at(leaves_at, self._left, unwritten)
        elif unwritten:
            self.holder.written(self, unwritten)
        heap.at(self._arrival(leaves_at), self.other._arrive, data)

    def narrow(self, bytes_per_s: float) -> None:
        """From now on, carry no more than that in this direction."""
        self._bytes_per_s = bytes_per_s

    def _left(self, size: int) -> None:
        if self.is_open and not self._is_held(self._left, size):
            self.holder.written(self, size)

    def _is_held(self, action: Callable[..., None], *arguments: object) -> bool:
        """Whether our holder is paused; then this happens when it goes on."""
        held = self._fabric.paused.get(self.holder.name)
        if held is None:
            return False
        held.append(lambda: action(*arguments))
        return True

    def _arrival(self, leaves_at: float) -> float:
        jitter_s = self._jitter.random() * self._fabric.model.jitter_s if self._jitter is not None else 0.0
        self._last_arrival = max(self._last_arrival, leaves_at + self._latency_s + jitter_s)
        return self._last_arrival

    def _arrive(self, data: bytes) -> None:
        # The common case, in which nobody is paused, without another call.
        if self.is_open and not (self._fabric.paused and self._is_held(self._arrive, data)):
            self.holder.received(self, data)

    def close(self) -> None:
        """Close our end; the other side learns it after what is on its way."""
        if not self.is_open:
            return
        self.is_open = False
        self._fabric.forget(self)
        if self.is_stalled:
            self._held.append((None, 0))
        else:
            self._fabric.physics.at(self._arrival(self._fabric.physics.now), self.other.end)

    def end(self) -> None:
        """The other side has closed, or the connection broke."""
        if self.is_open and not self._is_held(self.end):
            self.is_open = False
            self._fabric.forget(self)
            self.holder.closed(self)

    def resume(self) -> None:
        """Deliver what a stall has held back, in order."""
        self.is_stalled = False
        held, self._held, self._held_bytes = self._held, deque(), 0
        for data, unwritten in held:
            if data is None:
                self._fabric.physics.at(self._arrival(self._fabric.physics.now), self.other.end)
            else:
                self._carry(data, unwritten)


class Fabric:
    """All wires of a network, and who answers at which address.

    ``tap`` sees the bytes themselves; tests of unlinkability need them, nothing else does. ``heap`` is what whoever
    calls lives by, ``physics`` what wires do; ``paused`` holds what happens to nodes that are paused.
    """

    def __init__(self, heap: EventHeap, model: WireModel, record: Record, *, seed: int) -> None:
        self.heap = self.physics = heap
        self._whole = self
        self.model = model
        self.record = record
        self.tap: Callable[[str, str, bytes], None] | None = None
        self._seed = seed
        self._hosts: dict[str, Host] = {}
        self._ends: dict[End, None] = {}
        self._stalled: set[frozenset[str]] = set()
        self._parted: set[frozenset[str]] = set()
        self._latencies: dict[frozenset[str], float] = {}
        self._opened: dict[frozenset[str], int] = {}
        self.paused: dict[str, list[Callable[[], None]]] = {}

    def used_by(self, process: Process) -> Fabric:
        """The same wires for a process that may be paused: what it is told of its calls waits with it."""
        view = copy(self)
        view.heap = process
        return view

    @property
    def links(self) -> int:
        """Wires of which at least one end is open."""
        return len({min(id(end), id(end.other)) for end in self._ends})

    def host(self, address: str, host: Host) -> None:
        """From now on this host answers there."""
        self._hosts[address] = host

    def remove(self, address: str) -> None:
        """Nobody answers there any more."""
        self._hosts.pop(address, None)

    def call(self, caller: Holder, address: str, key_hash: bytes, then: Callable[[End | None], None]) -> None:
        """Make a connection; ``then`` gets our end, or None if that failed. A silent host costs the timeout."""
        host = self._hosts.get(address)
        if host is None or self._is_silent(caller.name, host.name):
            self.heap.after(CONNECT_TIMEOUT_S, then, None)
            return
        latency_s = self._latency(caller.name, host.name)
        self.physics.after(latency_s, self._reach, caller, host, key_hash, then)

    def _reach(self, caller: Holder, host: Host, key_hash: bytes, then: Callable[[End | None], None]) -> None:
        latency_s = self._latency(caller.name, host.name)
        if host.name in self.paused:
            self.heap.after(CONNECT_TIMEOUT_S, then, None)
            return
        listener = host.listener
        if listener is None or host.link_key_hash != key_hash:
            self.heap.after(latency_s, then, None)
            return
        ours, theirs = self._wire(caller, listener)
        self.record.note(self.physics.now, host.name, "accepted", outcome=caller.name)
        listener.accepted(theirs)
        self.heap.after(latency_s, then, ours)

    def _wire(self, caller: Holder, listener: Holder) -> tuple[End, End]:
        pair = frozenset((caller.name, listener.name))
        latency_s = self._latency(caller.name, listener.name)
        count = self._opened[pair] = self._opened.get(pair, 0) + 1
        ends = []
        for holder, direction in ((caller, "there"), (listener, "back")):
            names = (caller.name, listener.name, str(count), direction)
            jitter = stream(self._seed, "jitter", *names) if self.model.jitter_s else None
            ends.append(End(self._whole, holder, latency_s, jitter))
        ours, theirs = ends
        ours.other, theirs.other = theirs, ours
        for end in ends:
            end.is_stalled = pair in self._stalled
            self._ends[end] = None
        return ours, theirs

    def _latency(self, one: str, other: str) -> float:
        pair = frozenset((one, other))
        latency_s = self._latencies.get(pair)
        if latency_s is None:
            low, high = self.model.latency_s, max(self.model.latency_s, self.model.latency_up_to_s)
            latency_s = low + (high - low) * stream(self._seed, "latency", *sorted(pair)).random()
            self._latencies[pair] = latency_s
        return latency_s

    def forget(self, end: End) -> None:
        """An end is closed."""
        self._ends.pop(end, None)

    # What may go wrong.

    def cut(self, one: str, other: str) -> int:
        """Break every connection between two, as a lost route does; gives how many. New ones can be made."""
        ends = self._between(one, other)
        for end in ends:
            self.physics.at(self.physics.now, end.end)
        return len(ends) // 2

    def part(self, one: str, other: str) -> None:
        """Break everything between two, and let no new connection be made until ``heal``."""
        self._parted.add(frozenset((one, other)))
        self.cut(one, other)

    def heal(self, one: str, other: str) -> None:
        """Undo ``part`` and ``stall``."""
        self._parted.discard(frozenset((one, other)))
        self.resume(one, other)

    def stall(self, one: str, other: str) -> None:
        """Deliver nothing between two from now on; what is on its way already arrives."""
        self._stalled.add(frozenset((one, other)))
        for end in self._between(one, other):
            end.is_stalled = True

    def resume(self, one: str, other: str) -> None:
        """Deliver again, in order."""
        self._stalled.discard(frozenset((one, other)))
        for end in self._between(one, other):
            self._flow(end)

    def narrow(self, one: str, other: str, *, bytes_per_s: float) -> None:
        """Let the wires between two, as they are now, carry no more than that in each direction."""
        for end in self._between(one, other):
            end.narrow(bytes_per_s)

    def pause(self, name: str) -> None:
        """A process stops where it is; its kernel still holds its connections, and takes what a buffer holds."""
        self.paused[name] = []
        for end in self._of(name):
            end.is_stalled = end.other.is_stalled = True

    def go_on(self, name: str) -> None:
        """Undo ``pause``: what arrived meanwhile is delivered, and then what had to wait."""
        for happen in self.paused.pop(name):
            happen()
        for end in self._of(name):
            self._flow(end)

    def _flow(self, end: End) -> None:
        names = end.holder.name, end.other.holder.name
        if frozenset(names) not in self._stalled and not self.paused.keys() & set(names):
            for side in (end, end.other):
                # One side may have closed its end meanwhile, and what it said before still counts.
                if side.is_stalled:
                    side.resume()

    def _of(self, name: str) -> list[End]:
        return [end for end in self._ends if name in (end.holder.name, end.other.holder.name)]

    def _between(self, one: str, other: str) -> list[End]:
        pair = {one, other}
        return [end for end in self._ends if {end.holder.name, end.other.holder.name} == pair]

    def _is_silent(self, one: str, other: str) -> bool:
        pair = frozenset((one, other))
        return pair in self._parted or pair in self._stalled or not pair.isdisjoint(self.paused)
