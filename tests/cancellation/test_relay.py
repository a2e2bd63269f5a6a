"""A relay's work cancelled at every wait: whatever it held is given back, and nothing half done is left."""

from __future__ import annotations

from collections.abc import Awaitable
from pathlib import Path

import pytest
import trio
import trio.testing

from onionpath.client.connection import Connection
from onionpath.client.connection import connect as connect_client
from onionpath.errors import UnreachableError
from onionpath.injected import UnixTime
from onionpath.link.frames import CallBody
from onionpath.link.tls import client_context
from onionpath.onion.geometry import SizeClass
from onionpath.onion.statuses import Reason
from onionpath.service.calls import Call, Limits, Reply, ServiceId
from onionpath.service.exit_policy import ExitPolicy, IPAddress
from onionpath.service.hosts import DnsName
from onionpath.service.registry import Registry
from onionpath.service.stream import RequestFlags, StreamReply, StreamRequest
from relay.caller import calling
from relay.exit.dial import Dialer, connect
from relay.exit.limits import StreamLimits
from relay.exit.streams import StreamService
from tests.cancellation.stepping import cancelled_at_each_step, cancelled_at_each_step_of_all, open_files
from tests.exit.servers import LOOPBACK, TOKEN, call, local_dialer, server
from tests.relay.nodes import PARAMETERS, AuthorityNode, Node, RelayNode, until, with_deadline

DATA = bytes(200_000)


async def shout(stream: trio.SocketStream) -> None:
    async for chunk in stream:
        await stream.send_all(chunk)


# The exit.


async def use_stream(service: StreamService, host: bytes, port: int) -> None:
    """Open, push more than fits at once, poll, and close."""
    await call(service, StreamRequest(token=TOKEN, flags=RequestFlags.OPEN, host=host, port=port))
    async with trio.open_nursery() as nursery:
        for start in range(0, len(DATA), 50_000):
            push = StreamRequest(
                token=TOKEN, upstream_offset=start, data=DATA[start : start + 50_000], wait_ms=5_000
            )
            nursery.start_soon(call, service, push)
        nursery.start_soon(
            call, service, StreamRequest(token=TOKEN, at_least=1, at_most=100_000, wait_ms=5_000)
        )
    await call(service, StreamRequest(token=TOKEN, flags=RequestFlags.CLOSE))


def assert_balanced(service: StreamService, limits: StreamLimits) -> None:
    statistics = service.statistics()
    assert (0, 0, 0, 0) == (statistics.open, statistics.connecting, statistics.running, statistics.held)
    assert {} == statistics.failed
    assert limits.shared == service._table._budget._left
    assert not service._table._budget._waiting
    assert not service._table._per_link
    assert not service._table._calls_per_link


async def two_names(name: DnsName, *, caller: int) -> list[IPAddress]:
    await trio.lowlevel.checkpoint()
    return [*LOOPBACK[1].hosts(), LOOPBACK[0][1]][:2]


def naming_dialer() -> Dialer:
    policy = ExitPolicy.parse(["accept *:*"])
    return Dialer(policy, own=tuple, reachable_private=LOOPBACK, resolver=two_names, connect=connect)


@pytest.mark.parametrize("total", [0, 64 * 1024 * 1024])
async def test_an_exit_gives_everything_back_wherever_it_is_cancelled(total: int) -> None:
    limits = StreamLimits(streams=2, total=total, floor=8_192)
    services: list[tuple[StreamService, Dialer]] = []
    async with server(shout) as port:
        before = open_files()

        async def work(nursery: trio.Nursery) -> None:
            dialer = local_dialer()
            services.append((StreamService(dialer, nursery, stream_limits=limits), dialer))
            await use_stream(services[-1][0], b"127.0.0.1", port)

        async def then() -> None:
            service, dialer = services.pop()
            assert_balanced(service, limits)
            assert not any(use.connections for use in dialer._destinations._uses.values())
            await until(lambda: open_files() <= before)

        assert 15 < await cancelled_at_each_step_of_all(work, then=then)


async def test_a_dial_leaves_no_connection_wherever_it_is_cancelled() -> None:
    async with server(shout) as port:
        before = open_files()

        async def dial() -> None:
            async with naming_dialer().dial(DnsName("somebody.example"), port, 1) as connection:
                assert isinstance(connection, trio.SocketStream)
                await trio.lowlevel.checkpoint()

        async def then() -> None:
            await until(lambda: open_files() <= before)

        assert 3 < await cancelled_at_each_step(dial, then=then)


@pytest.mark.parametrize("which", ["poll", "push and poll"])
async def test_a_call_that_is_cancelled_costs_its_stream_and_its_siblings_nothing(which: str) -> None:
    """One call of a stream is cancelled at each of its waits; the others, and the stream, go on."""
    limits = StreamLimits(streams=2)
    kinds = {
        "poll": StreamRequest(token=TOKEN, at_least=1, at_most=1_000, wait_ms=20),
        "push and poll": StreamRequest(
            token=TOKEN, data=b"hello", at_least=100_000, at_most=100_000, wait_ms=20
        ),
    }
    async with server(shout) as port, trio.open_nursery() as nursery:
        service = StreamService(local_dialer(), nursery, stream_limits=limits)
        opened = await call(
            service, StreamRequest(token=TOKEN, flags=RequestFlags.OPEN, host=b"127.0.0.1", port=port)
        )
        assert Reason.NONE is opened.reason

        async def then() -> None:
            assert not service._table._calls_per_link
            (stream,) = service._running
            assert (0, 0) == (len(stream._calls), stream._waiting_account.held)
            reply = await call(service, StreamRequest(token=TOKEN, data=b"hello"))
            assert Reason.NONE is reply.reason

        assert 1 < await cancelled_at_each_step(lambda: _awaited(call(service, kinds[which])), then=then)
        service.close()
    assert_balanced(service, limits)


async def _awaited(work: Awaitable[object]) -> object:
    return await work


async def test_calls_that_wait_when_their_stream_ends_keep_none_of_its_memory() -> None:
    """What they take from the budget after the stream's accounts were closed nobody would ever give back."""
    limits = StreamLimits(streams=1, total=100_000, floor=8_192)
    ours, theirs = trio.socket.socketpair()

    async def connect_to_nobody(address: IPAddress, port: int) -> trio.SocketStream:
        return trio.SocketStream(ours)

    with theirs:
        async with trio.open_nursery() as nursery:
            service = StreamService(local_dialer(connect=connect_to_nobody), nursery, stream_limits=limits)
            await call(
                service, StreamRequest(token=TOKEN, flags=RequestFlags.OPEN, host=b"127.0.0.1", port=9)
            )
            (stream,) = service._running
            pushed = 0
            # Nobody reads there: the kernel takes some, then the stream's own share fills up.
            budget = service._table._budget
            budget._left = 0
            while stream._up_account.held < limits.floor:
                push = StreamRequest(token=TOKEN, upstream_offset=pushed, data=bytes(1_000), wait_ms=10)
                pushed += StreamReply.decode((await call(service, push)).body).upstream_received - pushed
            # What is left is for the waiting call itself, twice its bytes, and nothing of it for the stream.
            # A link gets only half of what is free.
            left = 2 * (40_000 - limits.waiting_floor)
            budget._left = left
            async with trio.open_nursery() as calls:
                late = StreamRequest(token=TOKEN, upstream_offset=pushed, data=bytes(20_000), wait_ms=20_000)
                calls.start_soon(call, service, late)
                await trio.testing.wait_all_tasks_blocked()
                assert 1 == len(stream._calls)
                budget._left += limits.shared - left
                service.close()
    assert_balanced(service, limits)


async def test_a_connection_that_breaks_keeps_no_memory_for_what_it_did_not_bring() -> None:
    """Otherwise servers that reset take 64 KiB of everybody's budget for as long as their streams are polled."""

    async def reset(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        stream.setsockopt(1, 13, (1).to_bytes(4, "little") + bytes(4))  # SO_LINGER 0: close by a reset

    limits = StreamLimits(streams=1)
    async with server(reset) as port, trio.open_nursery() as nursery:
        service = StreamService(local_dialer(), nursery, stream_limits=limits)
        await call(service, StreamRequest(token=TOKEN, flags=RequestFlags.OPEN, host=b"127.0.0.1", port=port))
        await call(service, StreamRequest(token=TOKEN, data=b"x", at_least=1, at_most=1, wait_ms=5_000))
        (stream,) = service._running
        await until(lambda: stream.state.name == "BROKEN")
        assert 0 == stream._down_account.held
        service.close()


# The registry.


class Slow:
    """Waits three times, and then answers."""

    limits = Limits(any_depth=True)

    async def answer(self, call: Call) -> Reply:
        for _ in range(3):
            await trio.lowlevel.checkpoint()
        return Reply(call.body)


async def test_a_registry_counts_down_wherever_its_call_is_cancelled() -> None:
    registry = Registry({7: Slow()}, with_deadline)
    asked = Call(7, b"hello", bytes(16), 1_000, 1, UnixTime(0.0))

    async def then() -> None:
        assert {7: 0} == registry.statistics().running
        assert {} == registry.statistics().failed

    steps = await cancelled_at_each_step(
        lambda: registry.answer(asked, from_client=True, last_depth=True), then=then
    )
    assert 3 == steps


# Links.


async def talk(node: Node) -> None:
    """One client with two calls, whatever comes of it."""
    with trio.move_on_after(5):
        try:
            async with calling(node.neighbour, PARAMETERS.geometry, client_context()) as caller:
                for _ in range(2):
                    await caller.call(CallBody(ServiceId.ECHO, SizeClass.LARGE, b"hello"))
        except UnreachableError:
            return


def assert_idle(node: Node) -> None:
    statistics = node.switch.statistics()
    assert (0, 0, 0, 0) == (
        statistics.links, statistics.in_flight, statistics.queued_bytes, statistics.waiting,
    )  # fmt: skip
    assert not node.gate._open
    assert node.links is not None
    assert not node.links._wires
    assert not node.links._dirty
    assert 0 == node.links._dialled


@pytest.mark.parametrize("side", ["accepting", "dialling"])
async def test_links_are_gone_wherever_their_relay_is_cancelled(tmp_path: Path, side: str) -> None:
    nodes: list[Node] = []
    other = Node(tmp_path / "other")
    async with trio.open_nursery() as background:
        await background.start(other.serve)
        before = open_files()

        async def accept(nursery: trio.Nursery) -> None:
            await nursery.start(nodes[-1].serve)
            await talk(nodes[-1])

        async def dial(nursery: trio.Nursery) -> None:
            node = nodes[-1]
            await nursery.start(node.serve)
            assert node.links is not None
            assert other.links is not None
            node.links.use_network({other.relay_id: other.neighbour})
            other.links.use_network({node.relay_id: node.neighbour})
            nursery.start_soon(node.links._dial, other.relay_id)
            await until(lambda: node.switch._links.to(other.relay_id))

        async def work(nursery: trio.Nursery) -> None:
            nodes.append(Node(tmp_path / f"node-{len(nodes)}"))
            await (accept if side == "accepting" else dial)(nursery)

        async def then() -> None:
            node = nodes[-1]
            node.close()
            if node.links is not None:
                assert_idle(node)
            await until(lambda: open_files() <= before)
            await until(lambda: not other.switch.statistics().links)

        steps = await cancelled_at_each_step_of_all(work, then=then)
        background.cancel_scope.cancel()
    assert 10 < steps
    assert_idle(other)


# What keeps a relay in its network.


async def test_no_half_file_is_left_wherever_publishing_and_fetching_are_cancelled(tmp_path: Path) -> None:
    authority = AuthorityNode(tmp_path / "authority", relays=1)
    relay = RelayNode(tmp_path / "relay", authority.root)
    async with trio.open_nursery() as background:
        await background.start(authority.serve)
        await background.start(relay.serve)
        before = open_files()
        assert relay.links is not None

        async def work(nursery: trio.Nursery) -> None:
            assert relay.links is not None
            keeper = relay.make_keeper(relay.links)
            keeper.load()
            nursery.start_soon(keeper.run)
            await until(lambda: keeper.directory is not None)

        async def then() -> None:
            snapshot = relay.folder / "directory"
            assert {"certificate.pem", "key.pem"} >= {file.name for file in relay.folder.iterdir()} - {
                snapshot.name
            }
            if snapshot.exists():
                keeper = relay.make_keeper(relay.links)  # type: ignore[arg-type]
                keeper.load()
                assert keeper.directory is not None
                snapshot.unlink()
            await until(lambda: open_files() <= before)

        steps = await cancelled_at_each_step_of_all(work, then=then)
        background.cancel_scope.cancel()
    assert 10 < steps


# Siblings.


class Poisoned:
    """Raises for one body, and answers all others once it is let go."""

    limits = Limits(any_depth=True)

    def __init__(self) -> None:
        self.asked = 0
        self.let_go = trio.Event()

    async def answer(self, call: Call) -> Reply:
        self.asked += 1
        if call.body == b"poison":
            raise ZeroDivisionError
        await self.let_go.wait()
        return Reply(call.body)


async def test_one_poisoned_and_one_cancelled_call_leave_fifty_siblings_alone(tmp_path: Path) -> None:
    node, service = Node(tmp_path / "node"), Poisoned()
    node.services[7] = service
    answers: dict[int, bytes | int] = {}

    async def ask(connection: Connection, number: int, body: bytes) -> None:
        answer = await connection.call(CallBody(7, SizeClass.SMALL, body))
        answers[number] = answer.body or answer.reason

    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            await nursery.start(node.serve)
            connection = await connect_client(node.neighbour, PARAMETERS.geometry, client_context())
            nursery.start_soon(connection.run)
            cancelled = trio.CancelScope()

            async def ask_in_vain() -> None:
                with cancelled:
                    await ask(connection, 51, b"cancelled")

            async with trio.open_nursery() as callers:
                for number in range(48):
                    callers.start_soon(ask, connection, number, b"%d" % number)
                callers.start_soon(ask, connection, 50, b"poison")
                callers.start_soon(ask_in_vain)
                await until(lambda: service.asked == 50)
                cancelled.cancel()
                service.let_go.set()
            assert 0 == connection.in_flight
            await until(lambda: not node.switch.statistics().in_flight)
            nursery.cancel_scope.cancel()

    assert {number: b"%d" % number for number in range(48)} | {50: Reason.SERVICE_FAILED} == answers
    assert_idle(node)
