"""Peers that are slow, silent or lying: each is cut off by its own deadline while an honest client is answered."""

from __future__ import annotations

import os
import socket
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import pytest
import trio

from onionpath.link.frames import CallBody, Kind, encode_call, encode_frame
from onionpath.link.tls import TlsSession, client_context
from onionpath.onion.geometry import SizeClass
from onionpath.service.calls import ServiceId
from relay.caller import Caller, calling
from relay.limits import PeerLimits, SwitchLimits
from relay.links import Timeouts, prepare
from relay.wire import Wire
from tests.network.memory import memory_network
from tests.relay.nodes import PARAMETERS, Node, until

GEOMETRY = PARAMETERS.geometry
HANDSHAKE_S, FRAME_S, IDLE_S = 0.5, 1.0, 2.0
# The switch looks at its deadlines twice a second, and the machine may be busy.
LATE_S = 1.5
PING = encode_frame(GEOMETRY, Kind.PING)
MIB = 1024 * 1024


@asynccontextmanager
async def serving(node: Node) -> AsyncIterator[Node]:
    async with trio.open_nursery() as nursery:
        await nursery.start(node.serve)
        yield node
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def honest(node: Node) -> AsyncIterator[list[float]]:
    """A client that asks all the time; its list has the seconds that each answer took."""
    took: list[float] = []

    async def ask(caller: Caller) -> None:
        while True:
            began = trio.current_time()
            answer = await caller.call(CallBody(ServiceId.ECHO, SizeClass.SMALL, b"hello"))
            assert b"hello" == answer.body
            took.append(trio.current_time() - began)
            await trio.sleep(0.02)

    async with calling(node.neighbour, GEOMETRY, client_context()) as caller, trio.open_nursery() as nursery:
        nursery.start_soon(ask, caller)
        yield took
        nursery.cancel_scope.cancel()


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


async def connected(node: Node, source: str, *, receive_buffer: int | None = None) -> socket.socket:
    with trio.socket.socket() as sock:
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        await sock.bind((source, 0))
        await sock.connect(("127.0.0.1", node.port))
        return prepare(socket.socket(fileno=sock.detach()))


async def linked(sock: socket.socket) -> Wire:
    wire = Wire(0, sock, TlsSession(client_context(), server_side=False))
    await wire.shake_hands(memoryview(bytearray(16_384)))
    return wire


async def send(wire: Wire, data: bytes) -> None:
    wire.put(data)
    await wire.flush()


# What each peer does before it only waits to be closed.


async def says_nothing(sock: socket.socket) -> None:
    await trio.lowlevel.checkpoint()


async def half_a_hello(sock: socket.socket) -> None:
    session = TlsSession(client_context(), server_side=False)
    session.shake_hands()
    hello = session.take()
    await trio.lowlevel.wait_writable(sock)
    sock.send(hello[: len(hello) // 2])


async def nothing_after_tls(sock: socket.socket) -> None:
    await linked(sock)


async def half_a_header(sock: socket.socket) -> None:
    await send(await linked(sock), PING[:8])


async def half_a_body(sock: socket.socket) -> None:
    await send(await linked(sock), PING[:4_000])


async def byte_after_byte(sock: socket.socket) -> None:
    wire = await linked(sock)
    with suppress(OSError):
        for at in range(100):
            await send(wire, PING[at : at + 1])
            await trio.sleep(0.1)


async def half_a_record(sock: socket.socket) -> None:
    wire = await linked(sock)
    wire.tls.write(PING)
    sock.send(wire.tls.take()[:1_000])


PHASES: list[tuple[Callable[[socket.socket], Awaitable[None]], float]] = [
    (says_nothing, HANDSHAKE_S),
    (half_a_hello, HANDSHAKE_S),
    (nothing_after_tls, IDLE_S),
    (half_a_header, FRAME_S),
    (half_a_body, FRAME_S),
    (byte_after_byte, FRAME_S),
    (half_a_record, IDLE_S),
]


async def closed(sock: socket.socket) -> None:
    """Drop what comes until the other side is gone."""
    with suppress(ConnectionError):
        while True:
            await trio.lowlevel.wait_readable(sock)
            if not sock.recv(65_536):
                return


@pytest.mark.slow
async def test_each_slow_peer_is_closed_by_its_own_deadline_and_files_come_back(tmp_path: Path) -> None:
    limits = SwitchLimits(frame_timeout_s=FRAME_S, idle_timeout_s=IDLE_S)
    lasted: dict[str, list[float]] = {}

    async def be_slow(node: Node, number: int, act: Callable[[socket.socket], Awaitable[None]]) -> None:
        with await connected(node, f"127.80.{number}.1") as sock:
            began = trio.current_time()
            await act(sock)
            await closed(sock)
            lasted.setdefault(act.__name__, []).append(trio.current_time() - began)

    async with serving(
        Node(tmp_path / "node", limits=limits, timeouts=Timeouts(handshake_s=HANDSHAKE_S))
    ) as node:
        async with honest(node) as took:
            await until(lambda: took)
            before = open_files()
            with trio.fail_after(15):
                async with trio.open_nursery() as nursery:
                    for act, _ in PHASES:
                        for number in range(15):
                            nursery.start_soon(be_slow, node, number + 1, act)
            await until(lambda: len(node.gate._open) == 1)

            await until(lambda: open_files() <= before)
            assert max(took) < 1.0
    for act, deadline in PHASES:
        assert 15 == len(lasted[act.__name__]), act
        assert deadline - 0.1 <= min(lasted[act.__name__]), act
        assert max(lasted[act.__name__]) <= deadline + LATE_S, act
    assert {"handshake_too_slow": 30} == (node.links.counts() if node.links else {})
    assert (45, 30) == (node.counts["link_frame_too_slow"], node.counts["link_idle"])


@pytest.mark.slow
async def test_a_thousand_idle_connections_hinder_nobody_and_leave_nothing(tmp_path: Path) -> None:
    async with (
        serving(Node(tmp_path / "node", timeouts=Timeouts(handshake_s=30))) as node,
        honest(node) as took,
    ):
        await until(lambda: took)
        before = open_files()
        with ExitStack() as held:
            for number in range(1_000):
                held.enter_context(await connected(node, f"127.81.{number // 20}.1"))
            await until(lambda: node.gate._open.total() == 1_001)
            took.clear()
            await until(lambda: len(took) > 20)
            assert max(took) < 1.0
        await until(lambda: node.gate._open.total() == 1)
        await until(lambda: open_files() <= before)


CEILING = 32 * MIB


class Held(NamedTuple):
    """What a relay held at most, and how its links ended."""

    accounted: int
    resident: int
    counts: dict[str, int]


async def held_for_peers_that_never_read(folder: Path) -> Held:
    """Thirty peers ask for 230 MB of answers and read none, beside an honest client."""
    limits = SwitchLimits(
        client=PeerLimits(1_000, 1_000, 64),
        queued_bytes=CEILING,
        queued_bytes_per_peer=8 * MIB,
        stall_timeout_s=2.0,
    )
    call = encode_call(CallBody(ServiceId.ECHO, SizeClass.LARGE, b""))
    most = most_resident = 0

    async with serving(Node(folder / "node", limits=limits)) as node, honest(node) as took:
        await until(lambda: took)
        resident = resident_bytes()

        async def watch() -> None:
            nonlocal most, most_resident
            while True:
                most = max(most, node.switch.statistics().queued_bytes)
                most_resident = max(most_resident, resident_bytes() - resident)
                await trio.sleep(0.01)

        async def ask_much(number: int) -> None:
            with await connected(node, f"127.82.{number}.1", receive_buffer=4_096) as sock:
                wire = await linked(sock)
                with suppress(OSError):
                    for exchange_id in range(60):
                        await send(wire, encode_frame(GEOMETRY, Kind.CALL, call, exchange_id=exchange_id))
                await until(lambda: cut_off(node) == 30)

        async with trio.open_nursery() as watching:
            watching.start_soon(watch)
            async with trio.open_nursery() as nursery:
                for number in range(30):
                    nursery.start_soon(ask_much, number + 1)
            watching.cancel_scope.cancel()

        # What is left is the honest client's answer at most.
        assert node.switch.statistics().queued_bytes <= GEOMETRY.small
        assert max(took) < 2.0
    return Held(most, most_resident, node.counts)


@pytest.mark.slow
async def test_peers_that_never_read_are_accounted_below_the_ceiling_and_cut_off(tmp_path: Path) -> None:
    held = await held_for_peers_that_never_read(tmp_path)

    assert held.counts["link_peer_never_reads"]
    assert CEILING // 4 < held.accounted <= CEILING


@pytest.mark.slow
async def test_memory_stays_near_the_ceiling_while_peers_never_read(tmp_path: Path) -> None:
    held = await held_for_peers_that_never_read(tmp_path)

    # Beside the frames: ciphertext of one write for each peer, both ends' TLS, and what the allocator keeps.
    assert held.resident < 2 * CEILING + 30 * MIB


def cut_off(node: Node) -> int:
    return sum(node.counts.get(f"link_{why}", 0) for why in ("peer_never_reads", "shed_largest_queue"))


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


LIES = {
    "all ones": bytes([0xFF]) * 16,
    "kind": bytes([0xFF]) + PING[1:16],
    "class": PING[:1] + b"\xff" + PING[2:16],
    "depth": PING[:2] + b"\xff" + PING[3:16],
    "depth of a large request": bytes([Kind.REQUEST, 1, 0xFF]) + bytes(13),
    "generation and slot": PING[:3] + b"\xff" * 5 + PING[8:16],
}


@pytest.mark.parametrize("header", LIES.values(), ids=LIES)
def test_a_header_that_lies_closes_the_link_before_anything_is_allocated_for_it(header: bytes) -> None:
    network = memory_network()
    client, relay = network.client(), network.relays[0]
    tracemalloc.start()
    try:
        client.send_bytes(header)
        network.run()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert 1 == len(relay.closes)
    assert peak < 64 * 1024


@pytest.mark.parametrize("length", [2**32 - 1, 2**31, 8_192])
def test_a_call_that_lies_about_its_length_closes_the_link_and_is_not_served(length: int) -> None:
    network = memory_network()
    client, relay = network.client(), network.relays[0]
    head = encode_call(CallBody(ServiceId.ECHO, SizeClass.SMALL, b""))[:4]
    client.send_frame(Kind.CALL, head + length.to_bytes(4, "big"))
    network.run()

    assert ["call_length"] == relay.closes
    assert "served" not in relay.counts
