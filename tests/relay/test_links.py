"""The socket driver over real sockets and real TLS: whatever arrives in pieces, or not, or wrongly."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from structlog.testing import capture_logs

from onionpath.crypto.identity import IdentityKey
from onionpath.errors import UnreachableError
from onionpath.link.frames import CallBody, FrameReader, Kind, encode_call, encode_frame
from onionpath.link.neighbour import Neighbour
from onionpath.link.proof import NONCE_SIZE, Claim
from onionpath.link.tls import TlsSession, client_context
from onionpath.onion.geometry import SizeClass
from onionpath.onion.statuses import Reason
from onionpath.service.calls import Call, Limits, Reply, ServiceId
from relay.caller import READ_AT_ONCE, Caller, calling
from relay.limits import PeerLimits, SwitchLimits
from relay.links import Timeouts, connect
from relay.wire import Wire
from tests.relay.nodes import PARAMETERS, Node, until

GEOMETRY = PARAMETERS.geometry


@asynccontextmanager
async def serving(node: Node) -> AsyncIterator[Node]:
    async with trio.open_nursery() as nursery:
        await nursery.start(node.serve)
        yield node
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def talking(node: Node) -> AsyncIterator[Caller]:
    with trio.fail_after(10):
        async with calling(node.neighbour, GEOMETRY, client_context()) as caller:
            yield caller


def echo_call(body: bytes, *, large_reply: bool = False) -> CallBody:
    return CallBody(ServiceId.ECHO, SizeClass(large_reply), body)


@asynccontextmanager
async def a_wire(node: Node) -> AsyncIterator[Wire]:
    """A client's end of a link, with the handshake done."""
    sock = await connect(node.neighbour)
    assert sock is not None
    wire = Wire(0, sock, TlsSession(client_context(), server_side=False))
    try:
        await wire.shake_hands(memoryview(bytearray(16_384)))
        yield wire
    finally:
        wire.close()


def call_frame(exchange_id: int, *, large_reply: bool = False) -> bytes:
    body = encode_call(echo_call(b"hello", large_reply=large_reply))
    return encode_frame(GEOMETRY, Kind.CALL, body, exchange_id=exchange_id)


async def read_frames(wire: Wire, count: int) -> list[int]:
    """The exchange ids of so many frames."""
    reader, found = FrameReader(GEOMETRY), []
    received, plaintext = memoryview(bytearray(65_536)), memoryview(bytearray(65_536))
    while len(found) < count:
        with trio.fail_after(10):
            size = await wire.receive(received)
        assert size
        wire.tls.feed(received[:size])
        while filled := wire.tls.read_into(plaintext):
            reader.feed(bytes(plaintext[:filled]))
        while (frame := reader.next_frame()) is not None:
            found.append(frame.exchange_id)
    return found


async def until_closed(wire: Wire) -> None:
    """Read and drop until the other side is gone."""
    received = memoryview(bytearray(65_536))
    with trio.fail_after(20):
        try:
            while await wire.receive(received):
                pass
        except ConnectionResetError:
            pass


async def test_a_call_over_a_real_connection_is_answered(tmp_path: Path) -> None:
    async with serving(Node(tmp_path / "node")) as node, talking(node) as caller:
        for large_reply in (False, True):
            answer = await caller.call(echo_call(b"hello", large_reply=large_reply))
            assert b"hello" == answer.body


async def test_frames_that_come_byte_by_byte_and_many_at_once_are_handled(tmp_path: Path) -> None:
    async with serving(Node(tmp_path / "node")) as node:
        async with a_wire(node) as wire:
            wire.tls.write(b"".join(call_frame(number) for number in range(20)))
            ciphertext = wire.tls.take()
            for start in range(0, 300):
                wire.sock.send(ciphertext[start : start + 1])
                await trio.lowlevel.checkpoint()
            rest = memoryview(ciphertext)[300:]
            while rest:
                await trio.lowlevel.wait_writable(wire.sock)
                rest = rest[wire.sock.send(rest) :]

            assert list(range(20)) == sorted(await read_frames(wire, 20))


async def test_answers_that_fill_the_socket_are_written_when_it_takes_more(tmp_path: Path) -> None:
    """A partial write must neither lose, repeat nor reorder a byte."""
    limits = SwitchLimits(queued_bytes_per_peer=64 * 1024 * 1024)
    async with serving(Node(tmp_path / "node", limits=limits)) as node:
        async with a_wire(node) as wire:
            wire.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 128 * 1024)
            for number in range(60):
                wire.put(call_frame(number, large_reply=True))
            await wire.flush()
            await until(lambda: node.switch.statistics().queued_bytes)
            waiting = node.switch.statistics().queued_bytes
            assert waiting

            assert list(range(60)) == sorted(await read_frames(wire, 60))
            await until(lambda: not node.switch.statistics().queued_bytes)


@pytest.mark.slow
async def test_a_peer_that_never_reads_is_closed(tmp_path: Path) -> None:
    limits = SwitchLimits(stall_timeout_s=1.0, client=PeerLimits(1_000, 1_000, 1_000))
    node = Node(tmp_path / "node", limits=limits)
    # The switch's time runs a hundred times faster, so that nobody waits for real.
    began = trio.current_time()
    node.clock = lambda: type(began)(1_800_000_000 + 100 * (trio.current_time() - began))  # type: ignore[assignment,return-value]
    async with serving(node):
        async with a_wire(node) as wire:
            for number in range(60):
                wire.put(call_frame(number, large_reply=True))
            await wire.flush()
            await until(lambda: node.counts.get("link_peer_never_reads"))
            assert 0 == node.switch.statistics().queued_bytes


@pytest.mark.parametrize("kind", ["malformed", "zeros", "tls record"])
async def test_bytes_that_no_peer_sends_close_the_link_and_nothing_else(tmp_path: Path, kind: str) -> None:
    async with serving(Node(tmp_path / "node")) as node, talking(node) as other:
        async with a_wire(node) as wire:
            if kind == "tls record":
                wire.sock.send(os.urandom(5000))
            else:
                wire.put(bytes([99]) * 8192 if kind == "malformed" else bytes(8192))
                await wire.flush()
            await until_closed(wire)

            counted = "link_tls_damaged" if kind == "tls record" else "link_frame_unknown"
            await until(lambda: node.counts.get(counted))
            assert b"still here" == (await other.call(echo_call(b"still here"))).body


async def test_a_link_that_ends_in_the_middle_of_a_frame_is_forgotten(tmp_path: Path) -> None:
    async with serving(Node(tmp_path / "node")) as node:
        async with a_wire(node) as wire:
            wire.put(call_frame(1)[:-100])
            await wire.flush()
            await until(lambda: node.switch.statistics().links)

        await until(lambda: node.counts.get("link_peer_closed"))
        assert 0 == node.switch.statistics().links
        assert node.switch.is_idle


async def test_somebody_else_at_a_relays_address_is_refused(tmp_path: Path) -> None:
    async with serving(Node(tmp_path / "node")) as node:
        wrong = node.neighbour._replace(key_hash=bytes(32))
        with pytest.raises(UnreachableError, match="link key"), trio.fail_after(10):
            async with calling(wrong, GEOMETRY, client_context()):
                raise AssertionError("reached")


async def test_a_relay_does_not_send_packets_to_somebody_else_at_a_relays_address(tmp_path: Path) -> None:
    async with serving(Node(tmp_path / "one")) as one, serving(Node(tmp_path / "two")) as two:
        assert one.links is not None
        one.links.use_network({two.relay_id: Neighbour("127.0.0.1", two.port, bytes(32))})
        await one.links._dial(two.relay_id)

        assert {"handshake_wrong_peer": 1} == one.links.counts()
        assert 0 == one.switch.statistics().links


async def test_a_peer_that_speaks_no_tls_is_closed(tmp_path: Path) -> None:
    async with serving(Node(tmp_path / "node")) as node:
        stream = await trio.open_tcp_stream("127.0.0.1", node.port)
        await stream.send_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        with trio.fail_after(5):
            try:
                while await stream.receive_some():
                    pass
            except trio.BrokenResourceError:
                pass
        await stream.aclose()
        assert node.links is not None
        assert {"handshake_failed": 1} == node.links.counts()
        await until(lambda: not node.gate._open)


async def test_a_peer_that_says_nothing_is_closed_within_the_handshakes_deadline(tmp_path: Path) -> None:
    node = Node(tmp_path / "node", timeouts=Timeouts(handshake_s=0.05))
    async with serving(node):
        stream = await trio.open_tcp_stream("127.0.0.1", node.port)
        with trio.fail_after(5):
            assert b"" == await stream.receive_some()
        await stream.aclose()
        await until(lambda: not node.gate._open)


class Faulty:
    """A service with a bug."""

    limits = Limits(any_depth=True)

    async def answer(self, call: Call) -> Reply:
        raise ZeroDivisionError


async def test_a_bug_in_a_service_costs_its_caller_an_answer_and_nobody_else_anything(tmp_path: Path) -> None:
    node = Node(tmp_path / "node")
    node.services[7] = Faulty()
    async with serving(node), talking(node) as caller:
        answer = await caller.call(CallBody(7, SizeClass.SMALL, b""))
        assert Reason.SERVICE_FAILED == answer.reason
        assert b"hello" == (await caller.call(echo_call(b"hello"))).body


async def test_a_bug_below_the_switch_ends_one_link_and_not_the_relay(tmp_path: Path) -> None:
    """A caller that claims to be a relay makes the switch draw a nonce, and this relay's entropy is at an end."""

    def no_entropy(size: int) -> bytes:
        raise ZeroDivisionError

    claim = Claim(IdentityKey(bytes(32)).relay_id, bytes(NONCE_SIZE)).encode()
    node = Node(tmp_path / "node", entropy=no_entropy)
    async with serving(node):
        with capture_logs() as logs:
            async with a_wire(node) as wire:
                wire.put(encode_frame(GEOMETRY, Kind.CLAIM, claim))
                await wire.flush()
                await until_closed(wire)
        async with talking(node) as caller:
            assert b"hello" == (await caller.call(echo_call(b"hello"))).body

    assert [["ZeroDivisionError"]] == [line["kinds"] for line in logs if line["event"] == "link_failed"]
    assert 1 == node.counts["link_bug"]


async def test_what_goes_wrong_while_a_connection_is_used_is_not_said_to_be_the_connection(
    tmp_path: Path,
) -> None:
    async with serving(Node(tmp_path / "node")) as node:
        with pytest.raises(OSError, match="a full disk") as caught, trio.fail_after(10):
            async with calling(node.neighbour, GEOMETRY, client_context()):
                raise OSError(28, "a full disk")

    assert 28 == caught.value.errno


async def test_a_call_over_a_connection_that_breaks_says_so(tmp_path: Path) -> None:
    async with serving(Node(tmp_path / "node")) as node, talking(node) as caller:
        await caller.call(echo_call(b"hello"))
        node.scope.cancel()
        with pytest.raises(UnreachableError, match="broke"):
            await caller.call(echo_call(b"hello"))


async def test_reading_pauses_for_a_flood_and_resumes(tmp_path: Path) -> None:
    limits = SwitchLimits(client=PeerLimits(packets_per_second=200, burst=5, in_flight=64))
    async with serving(Node(tmp_path / "node", limits=limits)) as node:
        async with a_wire(node) as wire:
            for number in range(30):
                wire.put(call_frame(number))
            await wire.flush()

            assert list(range(30)) == sorted(await read_frames(wire, 30))
            assert node.counts["reading_paused"]


async def test_draining_tells_every_neighbour(tmp_path: Path) -> None:
    async with serving(Node(tmp_path / "node")) as node:
        async with a_wire(node) as wire:
            await until(lambda: node.switch.statistics().links)
            assert node.links is not None
            node.links.drain()

            assert [0] == await read_frames(wire, 1)
            await until(lambda: node.switch.is_idle)


async def test_cancelling_the_nursery_closes_every_connection(tmp_path: Path) -> None:
    async with serving(Node(tmp_path / "node")) as node:
        async with a_wire(node) as wire:
            await until(lambda: node.switch.statistics().links)
            node.scope.cancel()
            await until_closed(wire)


async def test_a_relay_that_does_not_listen_is_unreachable(tmp_path: Path) -> None:
    node = Node(tmp_path / "node")
    node.close()
    with pytest.raises(UnreachableError, match="could not be reached"), trio.fail_after(10):
        async with calling(node.neighbour, GEOMETRY, client_context()):
            raise AssertionError("reached")


async def test_a_caller_lets_others_have_their_turn_however_much_there_is_to_read() -> None:
    """A mirror that always has more would otherwise hold the thread that carries everybody's packets."""
    ours, theirs = socket.socketpair()
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    class Endless(Wire):
        """Always has more ciphertext, and never a whole frame."""

        async def receive(self, buffer: memoryview) -> int:
            return len(buffer)

    class Silent:
        """Takes everything and gives nothing until there were four portions."""

        def __init__(self) -> None:
            self.fed = 0

        def feed(self, data: memoryview) -> None:
            self.fed += len(data)

        def read_into(self, buffer: memoryview) -> int:
            return int(self.fed >= 4 * READ_AT_ONCE)

    wire = Endless(0, ours, Silent())  # type: ignore[arg-type]
    caller = Caller(wire, GEOMETRY)
    with ours, theirs:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(take_turns)
            await caller._read()
            nursery.cancel_scope.cancel()

    # Who of two that are ready goes first is chance.
    assert 3 <= turns
