"""The socket driver of a switch: reads links, carries actions out, and does nothing else.

For each wake-up of a link: one read from the socket, every frame in it through ``Switch.receive``, then one write
for each link that got something. There is no task, event or queue per packet; only calls to services get a task.
"""

from __future__ import annotations

import socket
import ssl
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import NamedTuple

import structlog
import trio

from onionpath.crypto.identity import RelayId
from onionpath.errors import PeerError, WrongPeerError
from onionpath.injected import UnixTime
from onionpath.link.frames import CallBody
from onionpath.link.neighbour import Neighbour
from onionpath.link.tls import TlsSession
from onionpath.onion.statuses import Reason
from onionpath.service.registry import Registry
from relay.idleness import Idleness
from relay.recorder import FrameRecorder
from relay.step import Actions, Serving
from relay.switch import Switch
from relay.wire import Wire

log = structlog.get_logger(__name__)

# One system call brings at most 32 small packets, two to six milliseconds of work; then others have their turn.
RECEIVE_BUFFER_SIZE = 256 * 1024
TICK_EVERY_S = 0.5
# A flood takes its share within so long, and the answer should not take much longer.
ADAPT_EVERY_S = 0.25


class Timeouts(NamedTuple):
    """Deadlines of making a connection, in seconds."""

    connect_s: float = 10.0
    handshake_s: float = 10.0


DEFAULT_TIMEOUTS = Timeouts()
Answered = Callable[[bytes | Reason], None]
"""Told once what came of an ask; it may ask again, and waits for nothing."""
# More than the relays of most networks; the daemon gives what its share of open files allows.
MOST_DIALLED = 2_048


class Links:
    """All connections of one switch.

    Args:
        switch: decides everything.
        registry: answers calls.
        nursery: where links, dials and calls run; cancelling it closes them.
        server_tls, client_tls: contexts of ``onionpath.link.tls``.
        clock: Unix time that never goes back.
        most_dialled: links to other relays, those being made among them; beyond them no relay is dialled.
        recorder: only in experiments.
    """

    def __init__(
        self,
        switch: Switch,
        registry: Registry,
        nursery: trio.Nursery,
        *,
        server_tls: ssl.SSLContext,
        client_tls: ssl.SSLContext,
        clock: Callable[[], UnixTime],
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
        most_dialled: int = MOST_DIALLED,
        recorder: FrameRecorder | None = None,
    ) -> None:
        self._switch = switch
        self._registry = registry
        self._nursery = nursery
        self._server_tls = server_tls
        self._client_tls = client_tls
        self._clock = clock
        self._timeouts = timeouts
        self._most_dialled = most_dialled
        self._dialled = 0
        self._recorder = recorder
        self._neighbours: Mapping[RelayId, Neighbour] = {}
        self._wires: dict[int, Wire] = {}
        self._next_link_id = 1
        self._asked: dict[int, Answered] = {}
        self._dirty: dict[Wire, None] = {}
        self._flush_wanted = trio.Event()
        self._counts: Counter[str] = Counter()
        # Shared by all links: between a read and its end nothing is awaited.
        self._received = memoryview(bytearray(RECEIVE_BUFFER_SIZE))
        self._plaintext = memoryview(bytearray(RECEIVE_BUFFER_SIZE))

    def use_network(self, neighbours: Mapping[RelayId, Neighbour]) -> None:
        """The relays of the newest document."""
        self._neighbours = neighbours
        self._switch.use_network({relay: neighbour.key_hash for relay, neighbour in neighbours.items()})

    def counts(self) -> dict[str, int]:
        """Connections that never became links, by reason."""
        return dict(self._counts)

    async def run(self) -> None:
        """Sweep deadlines and flush what services answered, until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._tick)
            nursery.start_soon(self._adapt)
            nursery.start_soon(self._flush_answers)

    async def _tick(self) -> None:
        while True:
            await trio.sleep(TICK_EVERY_S)
            self.carry_out(self._switch.tick(self._clock()))
            self._flush()

    async def _adapt(self) -> None:
        idleness = Idleness()
        while True:
            await trio.sleep(ADAPT_EVERY_S)
            self._switch.adapt(idleness.share(), now=self._clock())

    async def _flush_answers(self) -> None:
        # Answers that come in one turn of the scheduler leave in one write per link.
        while True:
            await self._flush_wanted.wait()
            self._flush_wanted = trio.Event()
            self._flush()

    def drain(self) -> None:
        """Take nothing new and let every neighbour know."""
        self.carry_out(self._switch.drain(now=self._clock()))
        self._flush()

    # Connections.

    async def accepted(self, sock: socket.socket) -> None:
        """Serve a connection that somebody made to us, until it ends."""
        try:
            await self._hold(sock, None)
        except Exception as error:
            self._note_bug("accepted", error)

    async def _dial(self, relay_id: RelayId) -> None:
        # Whatever goes wrong with one relay, out of files or a bug, must not end the tasks of all the others.
        self._dialled += 1
        try:
            sock = await self._connect(relay_id)
            if sock is None:
                self._dial_failed(relay_id)
            else:
                await self._hold(sock, relay_id)
        except Exception as error:
            self._note_bug("dialled", error)
            self._dial_failed(relay_id)
        finally:
            self._dialled -= 1

    async def _connect(self, relay_id: RelayId) -> socket.socket | None:
        neighbour = self._neighbours.get(relay_id)
        if neighbour is None:
            return None
        if self._dialled > self._most_dialled:
            self._counts["dials_full"] += 1
            return None
        with trio.move_on_after(self._timeouts.connect_s):
            return await connect(neighbour)
        return None

    def _dial_failed(self, relay_id: RelayId) -> None:
        self.carry_out(self._switch.dial_failed(relay_id, now=self._clock()))
        self._flush()

    def _note_bug(self, where: str, error: Exception) -> None:
        self._counts[f"bug_{where}"] += 1
        log.error("connection_failed", where=where, kind=type(error).__name__)

    async def _hold(self, sock: socket.socket, peer: RelayId | None) -> None:
        with sock:
            await self._hold_wire(self._wire(sock, peer), peer)

    def _wire(self, sock: socket.socket, peer: RelayId | None) -> Wire:
        context = self._server_tls if peer is None else self._client_tls
        self._next_link_id += 1
        return Wire(self._next_link_id - 1, sock, TlsSession(context, server_side=peer is None))

    async def _hold_wire(self, wire: Wire, peer: RelayId | None) -> None:
        try:
            reason = await self._greet(wire, peer)
            if reason is None:
                await self._carry(wire, peer)
            else:
                self._counts[reason] += 1
            if reason is not None and peer is not None:
                self._dial_failed(peer)
        finally:
            self._wires.pop(wire.link_id, None)
            self._dirty.pop(wire, None)

    async def _greet(self, wire: Wire, peer: RelayId | None) -> str | None:
        """Shake hands and check whom we reached; gives why not, or None."""
        try:
            with trio.fail_after(self._timeouts.handshake_s):
                await wire.shake_hands(memoryview(bytearray(16 * 1024)))
            if peer is not None:
                wire.tls.check_peer(self._neighbours[peer].key_hash)
        except trio.TooSlowError:
            return "handshake_too_slow"
        except WrongPeerError:
            return "handshake_wrong_peer"
        except (PeerError, OSError, EOFError, KeyError):
            return "handshake_failed"
        return None

    async def _carry(self, wire: Wire, peer: RelayId | None) -> None:
        self._wires[wire.link_id] = wire
        reason = "peer_closed"
        try:
            if self._recorder is not None:
                # Whoever has left already has no name any more, which is an ``OSError`` like each of its kind.
                host, port = wire.sock.getpeername()[:2]
                self._recorder.linked(wire.link_id, address=f"{host}:{port}", called=peer)
            self.carry_out(self._switch.opened(wire.link_id, peer=peer, now=self._clock()))
            with wire.scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._write_when_possible, wire)
                    self._flush()
                    await self._read(wire)
        except* (OSError, EOFError):
            pass
        except* PeerError:
            reason = "tls_damaged"
        except* Exception as group:
            # A bug of ours must end one link, not the relay.
            reason = "bug"
            log.error("link_failed", kinds=[type(error).__name__ for error in group.exceptions])
        finally:
            self.carry_out(self._switch.closed(wire.link_id, reason=reason, now=self._clock()))
            self._wires.pop(wire.link_id, None)
            self._flush()

    async def _read(self, wire: Wire) -> None:
        # The last bytes of the handshake may have brought the first frame with them.
        self._take_plaintext(wire)
        while True:
            while wire.paused_until:
                await self._resume(wire)
            count = await wire.receive(self._received)
            wire.tls.feed(self._received[:count])
            self._take_plaintext(wire)
            # The next read may not have to wait; the other links have their turn all the same.
            await trio.lowlevel.checkpoint()

    def _take_plaintext(self, wire: Wire) -> None:
        try:
            while filled := wire.tls.read_into(self._plaintext):
                actions = self._switch.receive(wire.link_id, self._plaintext[:filled], now=self._clock())
                self.carry_out(actions)
        finally:
            self._flush()

    async def _resume(self, wire: Wire) -> None:
        await trio.sleep(max(0.0, wire.paused_until - self._clock()))
        wire.paused_until = 0.0
        self.carry_out(self._switch.receive(wire.link_id, b"", now=self._clock()))
        self._flush()

    async def _write_when_possible(self, wire: Wire) -> None:
        while True:
            self._switch.written(wire.link_id, await wire.push_when_possible())

    # Asks.

    def ask(
        self, number: int, relay_id: RelayId, call: CallBody, *, timeout_s: float, answered: Answered
    ) -> None:
        """Ask another relay; asks of one turn of the scheduler leave in one write per link.

        Args:
            number: the asker's own, for this ask alone.
            answered: called once, perhaps before this returns.
        """
        self._asked[number] = answered
        self.carry_out(self._switch.ask(number, relay_id, call, now=self._clock(), timeout_s=timeout_s))
        self._flush_wanted.set()

    def forget_ask(self, number: int) -> None:
        """Whoever asked does not want to know any more."""
        self._asked.pop(number, None)
        self._switch.forget_ask(number)

    # Actions.

    def carry_out(self, actions: Actions) -> None:
        """Do what the switch decided; frames leave with the next ``_flush``."""
        for link_id, frame in actions.writes:
            wire = self._wires.get(link_id)
            if wire is not None:
                wire.put(frame)
                self._dirty[wire] = None
        for relay_id in actions.dials:
            self._nursery.start_soon(self._dial, relay_id)
        for serving in actions.serves:
            self._nursery.start_soon(self._serve, serving)
        for link_id, until in actions.pauses:
            if link_id in self._wires:
                self._wires[link_id].paused_until = until
        for link_id, _ in actions.closes:
            if link_id in self._wires:
                self._give_up(self._wires[link_id])
        for number, result in actions.answers:
            # Last, because whoever hears it may ask again at once.
            answered = self._asked.pop(number, None)
            if answered is not None:
                answered(result)

    def _give_up(self, wire: Wire) -> None:
        with suppress(OSError, PeerError):
            if not wire.blocked.is_set():
                wire.push()  # its last frames, if the socket takes them
        wire.give_up()

    def _flush(self) -> None:
        dirty, self._dirty = self._dirty, {}
        for wire in dirty:
            if wire.blocked.is_set() or wire.link_id not in self._wires:
                continue
            try:
                self._switch.written(wire.link_id, wire.push())
            except (OSError, PeerError):
                wire.scope.cancel()

    async def _serve(self, serving: Serving) -> None:
        # The registry ends a call that takes too long; the switch's tick answers for one that does so all the same.
        reply = await self._registry.answer(
            serving.call, from_client=serving.from_client, last_depth=serving.last_depth
        )
        self.carry_out(self._switch.answered(serving.call_id, reply, now=self._clock()))
        self._flush_wanted.set()


async def connect(neighbour: Neighbour) -> socket.socket | None:
    """A TCP connection, or None, also where there is no file left for it; the caller sets the deadline."""
    family = socket.AF_INET6 if ":" in neighbour.host else socket.AF_INET
    try:
        # Leaving the block closes what was not handed out.
        with trio.socket.socket(family, socket.SOCK_STREAM) as sock:
            await sock.connect((neighbour.host, neighbour.port))
            return prepare(socket.socket(fileno=sock.detach()))
    except OSError:
        return None


def prepare(sock: socket.socket) -> socket.socket:
    """A connected socket as the driver wants it: non-blocking, and without Nagle's delay."""
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock
