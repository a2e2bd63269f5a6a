"""An exception in any of a relay's handlers: what is logged has its type, and nothing that it carried."""

from __future__ import annotations

import io
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog
import trio

from onionpath.crypto.identity import IdentityKey, RelayId
from onionpath.crypto.tags import TagKey
from onionpath.directory.address import Address
from onionpath.directory.descriptor import Descriptor
from onionpath.errors import MalformedError, RefusedError, UnreachableError
from onionpath.injected import UnixTime
from onionpath.link.frames import CallBody, Kind
from onionpath.link.tls import client_context
from onionpath.onion.geometry import SizeClass
from onionpath.onion.native import NativeOnion
from onionpath.onion.replay import MemoryTables, ReplayMemory
from onionpath.onion.statuses import Reason
from onionpath.service.calls import Call, Limits, Reply, ServiceId
from onionpath.service.directory import DirectoryService
from onionpath.service.directory_wire import check_published, publish_calls
from onionpath.service.registry import Registry
from onionpath.service.stream import RequestFlags, StreamRequest
from relay.authority.probing import Prober
from relay.authority.reachability import Contact
from relay.authority.visiting import Visitor
from relay.authority.votes_service import VotesService
from relay.caller import calling
from relay.cli import _explain
from relay.limits import SwitchLimits
from relay.links import Links
from relay.listener import accept_forever
from relay.logs import configure_logs
from relay.network_keeper import NetworkKeeper
from relay.switch import Switch
from tests.exit.servers import local_exit
from tests.leaks.canaries import hits
from tests.relay.nodes import NETWORK_ID, PARAMETERS, AuthorityNode, Node, until, with_deadline

CANARY = random.Random(2).randbytes(24)
CANARIES = {"the argument": CANARY, "the argument as text": CANARY.hex().encode()}


class ASpecialError(Exception):
    """Carries the canary in every place where an exception can carry something."""

    def __init__(self) -> None:
        super().__init__(CANARY, CANARY.hex())
        self.held = CANARY
        self.add_note(CANARY.hex())


def fail(*arguments: object, **more: object) -> object:
    """For a dependency that is called; the caller's argument is in our frame, too."""
    canary = CANARY.hex()
    try:
        raise KeyError(canary)
    except KeyError as error:
        raise ASpecialError from error


async def fail_async(*arguments: object, **more: object) -> object:
    return fail(*arguments)


@pytest.fixture(params=["json", "text"])
def log(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    """What the relay's own set-up writes at its loudest."""
    stream = io.StringIO()
    configure_logs("debug", request.param, stream=stream)
    yield stream
    structlog.reset_defaults()


@pytest.fixture(autouse=True)
def _nothing_printed(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    yield
    printed = capfd.readouterr()
    assert [] == hits((printed.out + printed.err).encode(), CANARIES)


def assert_silent(log: io.StringIO, *, told: str | None = None) -> None:
    """Nothing of the canary; with ``told``, a line that has this."""
    assert [] == hits(log.getvalue().encode(), CANARIES)
    if told is not None:
        assert told in log.getvalue()


class Failing:
    """A service, and a recorder, with a bug."""

    limits = Limits(any_depth=True)

    async def answer(self, call: Call) -> Reply:
        fail(call)
        raise AssertionError

    def saw(self, link_id: int, *, sent: bool, kind: Kind, size: int) -> None:
        fail()

    def linked(self, link_id: int, *, address: str, called: RelayId | None) -> None:
        fail()

    def proven(self, link_id: int, peer: RelayId) -> None:
        fail()


def a_call(body: bytes = CANARY, *, service: int = 7) -> Call:
    return Call(service, body, CANARY[:16], 8_000, 1, UnixTime(0.0))


async def test_in_a_service(log: io.StringIO) -> None:
    registry = Registry({7: Failing()}, with_deadline)
    reply = await registry.answer(a_call(), from_client=True, last_depth=True)

    assert Reason.SERVICE_FAILED is reply.reason
    assert {"ASpecialError": 1} == registry.statistics().failed
    assert_silent(log)


async def test_in_what_the_registry_waits_with(log: io.StringIO) -> None:
    registry = Registry({7: Failing()}, fail_async)  # type: ignore[arg-type]
    reply = await registry.answer(a_call(), from_client=True, last_depth=True)

    assert Reason.SERVICE_FAILED is reply.reason
    assert {7: 0} == registry.statistics().running
    assert_silent(log)


async def test_in_a_dial_and_so_in_a_streams_task(log: io.StringIO) -> None:
    with trio.fail_after(5):
        async with local_exit(connect=fail_async) as service:  # type: ignore[arg-type]
            request = StreamRequest(token=CANARY[:16], flags=RequestFlags.OPEN, host=b"127.0.0.1", port=9)
            call = Call(ServiceId.STREAM, request.encode(), CANARY[:16], 8_000, 1, UnixTime(0.0))
            reply = await service.answer(call)
            statistics = service.statistics()

    assert Reason.NONE is not reply.reason
    assert ({"ASpecialError": 1}, 0, 0) == (statistics.failed, statistics.held, statistics.running)
    assert [] == hits(repr(statistics).encode(), CANARIES)
    assert_silent(log)


async def test_in_what_collects_descriptors(log: io.StringIO) -> None:
    service = DirectoryService(collector=fail)  # type: ignore[arg-type]
    registry = Registry({7: service}, with_deadline)
    (body,) = publish_calls(CANARY, capacity=4_000)
    reply = await registry.answer(a_call(body), from_client=True, last_depth=True)

    assert Reason.SERVICE_FAILED is reply.reason
    assert_silent(log)


async def call_node(node: Node) -> None:
    """Have a client talk to it; whatever comes of it."""
    with trio.move_on_after(5):
        try:
            async with calling(node.neighbour, PARAMETERS.geometry, client_context()) as caller:
                await caller.call(CallBody(ServiceId.ECHO, SizeClass.SMALL, CANARY))
        except UnreachableError:
            pass


async def serve_with(node: Node, make: Callable[[trio.Nursery], Links]) -> dict[str, int]:
    """Accept for these links, have one client call, and give their counts; the relay must outlive it."""
    async with trio.open_nursery() as nursery:
        links = make(nursery)

        async def accept() -> None:
            await accept_forever(node.socket, node.gate, links.accepted, nursery, clock=node.clock)

        nursery.start_soon(accept)
        await call_node(node)
        await until(lambda: not node.gate._open)
        nursery.cancel_scope.cancel()
    node.close()
    return links.counts()


def links_of(
    node: Node,
    nursery: trio.Nursery,
    *,
    switch: Switch | None = None,
    clock: Callable[[], UnixTime] | None = None,
    recorder: object = None,
) -> Links:
    return Links(
        switch or node.switch,
        Registry(node.services, with_deadline),
        nursery,
        server_tls=node.server_tls(),
        client_tls=client_context(),
        clock=clock or node.clock,
        recorder=recorder,  # type: ignore[arg-type]
    )


async def test_in_the_recorder(tmp_path: Path, log: io.StringIO) -> None:
    node = Node(tmp_path / "node")
    await serve_with(node, lambda nursery: links_of(node, nursery, recorder=Failing()))

    assert "ASpecialError" in log.getvalue()
    assert_silent(log, told="link_failed")


async def test_in_a_switch_that_reads_a_link(tmp_path: Path, log: io.StringIO) -> None:
    node = Node(tmp_path / "node")
    switch = Switch(
        NativeOnion(PARAMETERS.geometry, NETWORK_ID), node.identity, network_id=NETWORK_ID,
        link_key_hash=node.key_hash, replay=ReplayMemory(MemoryTables(), TagKey(os.urandom(32))),
        limits=SwitchLimits(), entropy=os.urandom, watch=Failing(),
    )  # fmt: skip
    await serve_with(node, lambda nursery: links_of(node, nursery, switch=switch))

    assert_silent(log, told="link_failed")
    assert "ASpecialError" in log.getvalue()


async def test_in_what_accepts(tmp_path: Path, log: io.StringIO) -> None:
    """The clock is read before anything is caught for one link alone, and again when the link is closed."""
    node = Node(tmp_path / "node")
    counts = await serve_with(node, lambda nursery: links_of(node, nursery, clock=fail))  # type: ignore[arg-type]

    assert {"bug_accepted": 1} == counts
    assert_silent(log, told="connection_failed")
    assert "ASpecialError" in log.getvalue()


async def test_in_a_dial_to_another_relay(tmp_path: Path, log: io.StringIO) -> None:
    node, other = Node(tmp_path / "node"), Node(tmp_path / "other")
    # The first reading is for the link, the second for its end; what fails there, the dial's own border catches.
    readings: Iterator[Callable[[], object]] = iter([fail, fail])
    async with trio.open_nursery() as nursery:
        await nursery.start(other.serve)
        links = links_of(node, nursery, clock=lambda: next(readings, node.clock)())  # type: ignore[arg-type,return-value]
        links.use_network({other.relay_id: other.neighbour})
        await links._dial(other.relay_id)
        nursery.cancel_scope.cancel()
    node.close()

    assert {"bug_dialled": 1} == links.counts()
    assert_silent(log, told="ASpecialError")


async def test_in_what_an_authority_takes(tmp_path: Path, log: io.StringIO) -> None:
    """What somebody publishes is his own, but a line in a log is ours."""
    authority = AuthorityNode(tmp_path / "authority", relays=1)

    def refuse(envelope: bytes, caller: int) -> None:
        try:
            authority.office.enrolment.collect(envelope, now=authority.clock())
        except MalformedError as error:
            structlog.get_logger().warning("descriptor_refused", reason=str(error))
            raise

    service = DirectoryService(collector=refuse)
    for envelope in (CANARY, CANARY.hex().encode(), b'{"payload":"' + CANARY.hex().encode() + b'"}'):
        for body in publish_calls(envelope, capacity=4_000):
            reply = await service.answer(a_call(body))
            with pytest.raises(RefusedError):
                check_published(reply.body)
    authority.close()

    assert_silent(log, told="descriptor_refused")


class BadAddresses(tuple[Address, ...]):
    """A bug that somebody's descriptor reaches."""

    def __iter__(self) -> Iterator[Address]:
        fail()
        raise AssertionError


async def test_in_what_dials_relays_for_an_authority(tmp_path: Path, log: io.StringIO) -> None:
    authority = AuthorityNode(tmp_path / "authority", relays=1)
    prober = Prober(
        authority.office.enrolment, PARAMETERS.geometry, context=client_context(), clock=authority.clock
    )

    assert not await prober._reaches(Contact(authority.relay_id, BadAddresses(), bytes(32)))
    authority.close()

    assert_silent(log, told="probe_failed")
    assert "ASpecialError" in log.getvalue()


async def test_in_what_visits_other_authorities(tmp_path: Path, log: io.StringIO) -> None:
    authority = AuthorityNode(tmp_path / "authority", relays=1)
    authority.services[ServiceId.VOTES] = VotesService(authority.office.agreement, Limits(any_depth=True))
    visitor = Visitor(
        authority.root.authorities[0],
        authority.office.agreement,
        PARAMETERS.geometry,
        context=client_context(),
        clock=fail,  # type: ignore[arg-type]
        carry_out=lambda actions: None,
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(authority.serve)
        assert "fault-of-ours" == await visitor._visit_while_it_works()
        nursery.cancel_scope.cancel()

    assert_silent(log, told="visit_failed")
    assert "ASpecialError" in log.getvalue()


async def test_in_what_keeps_a_relay_in_its_network(tmp_path: Path, log: io.StringIO) -> None:
    """A relay's own description that fails is a bug that ends it; its last line has a type and a place."""
    authority = AuthorityNode(tmp_path / "authority", relays=1)
    node = Node(tmp_path / "node")
    error: BaseException | None = None
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(authority.serve)
            keeper = NetworkKeeper(
                authority.root, IdentityKey(os.urandom(32)), describe=_describe_badly, file=tmp_path / "directory",
                links=links_of(node, nursery), service=DirectoryService(), client_tls=client_context(),
                clock=node.clock, choice=random.Random(1),
            )  # fmt: skip
            await keeper.run()
    except BaseExceptionGroup as group:
        error = group
    node.close()

    assert error is not None
    explained = _explain(error)
    assert "ASpecialError at relay/publisher.py" in str(explained)
    assert [] == hits(str(explained).encode(), CANARIES)
    assert_silent(log)


def _describe_badly() -> Descriptor:
    fail()
    raise AssertionError
