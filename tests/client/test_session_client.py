"""A client of Session's format, on asyncio and on trio, against nodes that speak TLS, HTTP and the format's layers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from onionpath.client.client import Client
from onionpath.client.status import State
from onionpath.crypto.identity import RelayId
from onionpath.crypto.session_channels import SessionPrivateKey
from onionpath.errors import (
    FIRST_EDGE,
    DeadlineError,
    MalformedError,
    NoPathError,
    OutcomeUnknownError,
    SettingsError,
    UnreachableError,
    UsageError,
)
from onionpath.onion.session_lsrpc import LsrpcServer
from onionpath.onion.session_packets import SessionReply
from onionpath.onion.session_v4 import V4Request, V4Response
from onionpath.path.constraints import Constraints
from onionpath.service.calls import ServiceId
from onionpath.swarm.node_list import encode_nodes
from onionpath.swarm.nodes import SessionNode
from tests.client.session_nodes import (
    SERVER_KEY,
    Door,
    Reply,
    World,
    certificate,
    changing,
    dying,
    honest,
    ids,
    saying,
    session_world,
    silent,
)
from tests.client.socks import socks_server
from tests.directory.networks import network

SERVER = LsrpcServer("example.org")
ACCOUNT = b"05" + b"ab" * 32
BODY = b'{"method":"retrieve","params":{"pubkey":"' + ACCOUNT + b'"}}'


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with session_world(tmp_path) as world:
        yield world


def client_of(world: World, **options: object) -> Client:
    return Client(world.list, format="session", **options)  # type: ignore[arg-type]


async def ask(client: Client, node: SessionNode, *, deadline_s: float = 10.0) -> SessionReply:
    return await client.call(ServiceId.STORAGE, BODY, to=node, deadline_s=deadline_s)


def no_guard(client: Client) -> SessionNode:
    """A node that all guards may carry calls to."""
    guards = {each.relay_id for each in client.path_report().guards}
    return next(node for node in client.nodes if node.relay_id not in guards)


def down(client: Client) -> set[RelayId]:
    """The guards that are marked."""
    return {each.relay_id for each in client.path_report().guards if each.retry_at}


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(2):
        while not condition():
            await anyio.lowlevel.checkpoint()


async def until_closed(world: World) -> None:
    await until(lambda: not world.connections)


# What it is for.


async def test_a_node_is_asked_and_its_reply_comes_back(world: World) -> None:
    async with client_of(world) as client:
        reply = await ask(client, world.list[3])

        assert SessionReply(200, BODY) == reply
        assert (State.READY, 8) == (client.status().state, client.status().relays)
    assert [BODY] == world.nodes[3].served
    await until_closed(world)


async def test_a_server_reads_what_no_node_can(world: World) -> None:
    async with client_of(world) as client:
        response = await client.request_server(
            SERVER, SERVER_KEY.public, V4Request("POST", "/files", body=b"secret")
        )

    assert V4Response(201, {"x-endpoint": "/files"}, b"secret") == response
    assert not any(b"secret" in posted for each in world.nodes for posted in each.posted)


@pytest.mark.parametrize("status", [401, 404, 406, 421, 425, 500])
async def test_what_a_node_says_under_its_seal_is_the_callers_to_read(world: World, status: int) -> None:
    world.storage = lambda node, body: SessionReply(status, b'{"snodes":[]}')
    async with client_of(world) as client:
        assert SessionReply(status, b'{"snodes":[]}') == await ask(client, world.list[3])
    assert 1 == sum(len(each.posted) for each in world.nodes)


async def test_the_node_that_is_asked_is_never_the_guard_and_the_guard_never_sees_the_account(
    world: World,
) -> None:
    async with client_of(world) as client:
        for node in world.list * 2:
            before = {each.relay_id: len(each.posted) for each in world.nodes}
            await ask(client, node)
            posted_to = [each for each in world.nodes if len(each.posted) > before[each.relay_id]]

            assert node.relay_id not in ids(posted_to)
    guards = world.guards
    assert 2 <= len(guards) <= 3
    assert not any(ACCOUNT in posted for each in guards for posted in each.posted)
    # Nothing was posted but onions, so nobody was tested by asking for the user's own messages.
    assert {b"/onion_req/v2"} == {head.target for each in world.nodes for head in each.heads}


async def test_calls_of_different_isolation_share_no_path(world: World) -> None:
    async with client_of(world) as client:
        for isolation in ("one", "two"):
            await client.call(ServiceId.STORAGE, BODY, to=world.list[3], isolation=isolation)
        assert 2 == client.status().paths


async def test_connections_are_kept_for_the_next_request(world: World) -> None:
    async with client_of(world) as client:
        for _ in range(5):
            await ask(client, world.list[3])
    assert 1 == sum(each.accepted for each in world.nodes)


async def test_many_calls_at_once_go_over_a_few_connections(world: World) -> None:
    replies = []

    async def ask_one(client: Client, number: int) -> None:
        body = b"%d" % number
        replies.append((await client.call(ServiceId.STORAGE, body, to=world.list[number % 8])).body)

    async with client_of(world) as client, anyio.create_task_group() as group:
        for number in range(24):
            group.start_soon(ask_one, client, number)

    assert {b"%d" % number for number in range(24)} == set(replies)
    assert all(each.accepted <= 8 for each in world.nodes)


async def test_a_request_says_of_its_client_what_desktops_say(world: World) -> None:
    async with client_of(world) as client:
        await ask(client, world.list[3])
    ((head,),) = (each.heads for each in world.guards)

    assert (b"POST", b"/onion_req/v2") == (head.method, head.target)
    assert {
        (b"host", f"{world.guards[0].node.host}:{world.guards[0].node.https_port}".encode()),
        (b"user-agent", b"WhatsApp"),
        (b"accept-language", b"en-us"),
        (b"accept", b"*/*"),
        (b"accept-encoding", b"gzip,deflate"),
        (b"content-length", b"%d" % len(world.guards[0].posted[0])),
    } == set(head.headers)


async def test_every_connection_goes_through_the_proxy(
    world: World, closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    dialled: list[int] = []
    connect = anyio.connect_tcp

    async def watched(remote_host: str, remote_port: int, **more: object) -> object:
        dialled.append(remote_port)
        return await connect(remote_host, remote_port, **more)  # type: ignore[call-overload]

    monkeypatch.setattr(anyio, "connect_tcp", watched)
    async with socks_server() as socks:
        async with client_of(world, proxy=f"socks5://127.0.0.1:{socks.port}") as client:
            assert 200 == (await ask(client, world.list[3])).status
    (guard,) = world.guards
    assert [(guard.node.host, guard.node.https_port)] == socks.destinations
    # The proxy runs in this process, so that its own connection is the only one to a node.
    assert 1 == dialled.count(guard.node.https_port)

    async with client_of(world, proxy=f"socks5://127.0.0.1:{closed_port}") as client:
        with pytest.raises(UnreachableError, match="the proxy"):
            await ask(client, no_guard(client))
        # It says nothing of guards.
        assert set() == down(client)


# Other guards take over from one that is not there.


async def test_a_guard_that_falls_silent_and_cannot_be_reached_anew_is_marked(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with client_of(world) as client:
        await ask(client, world.list[3])
        (guard,) = world.guards
        guard.answer = silent
        # Its certificate is another one from now on: somebody else answers in its place.
        monkeypatch.setattr("onionpath.client.https_connection.certificate_key_hash", lambda der: bytes(32))
        with pytest.raises(UnreachableError):
            await ask(client, world.list[3], deadline_s=0.3)
        await until(lambda: guard.relay_id in down(client))


async def test_a_guard_that_is_silent_and_there_is_not_marked(world: World) -> None:
    async with client_of(world) as client:
        await ask(client, world.list[3])
        (guard,) = world.guards
        guard.answer, before = silent, guard.accepted
        assert 200 == (await ask(client, world.list[3], deadline_s=0.3)).status
        await until(lambda: guard.accepted > before)
        assert set() == down(client)


# The list.


async def test_the_list_is_a_file_as_a_seed_gives_it(world: World, tmp_path: Path) -> None:
    file = tmp_path / "nodes.json"
    file.write_bytes(encode_nodes(world.list))
    async with Client(file, format="session") as client:
        assert set(world.list) == set(client.nodes)
        assert 200 == (await ask(client, world.list[0])).status


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff"])
def test_a_file_that_is_no_list_is_the_callers_mistake(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "nodes.json"
    file.write_bytes(content)
    with pytest.raises(SettingsError, match="no list of Session nodes"):
        Client(file, format="session")


def test_a_missing_or_an_empty_list_is_the_callers_mistake(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot read"):
        Client(tmp_path / "missing", format="session")
    with pytest.raises(UsageError, match="no Session nodes"):
        Client([], format="session")


async def test_too_few_nodes_leave_no_path(tmp_path: Path) -> None:
    async with session_world(tmp_path, 3) as world, client_of(world) as client:
        with pytest.raises(NoPathError):
            await ask(client, world.list[0])


async def test_the_applications_wishes_hold(world: World) -> None:
    unwanted = frozenset(node.relay_id for node in world.list[4:7])
    guards = frozenset({world.list[1].relay_id})
    async with client_of(world, constraints=Constraints(excluded_relays=unwanted, guards=guards)) as client:
        report = client.path_report()
        assert unwanted.isdisjoint(report.path)
        await ask(client, world.list[7])
        with pytest.raises(NoPathError):
            await ask(client, world.list[5])
    assert guards == ids(world.guards)


async def test_guards_are_kept_in_the_state_folder(world: World, tmp_path: Path) -> None:
    state, used = tmp_path / "state", set()
    for _ in range(4):
        async with client_of(world, state=state) as client:
            await ask(client, world.list[3])
            (used_now,) = [each.relay_id for each in world.guards if each.connections]
            used.add(used_now)
        await until_closed(world)
    assert 1 == len(used)
    assert ["guards", "guards.lock"] == sorted(each.name for each in (state / "session").iterdir())


async def test_the_status_says_what_is_weaker(world: World) -> None:
    unpinned = [replace(node, certificate_hash=None) for node in world.list[:2]]
    async with Client((*unpinned, *world.list[2:]), format="session") as client:
        warning = client.status().warning
    assert warning == (
        "Session's format: weaker than native; certificates of 2 of 8 nodes are not known and not checked"
    )


# What the other format has.


async def test_what_only_the_native_format_has_is_refused(world: World) -> None:
    async with client_of(world) as client:
        for use in (
            client.open_stream("example.org", 443),
            client.call(ServiceId.ECHO, b""),
            client.call(ServiceId.STORAGE, b"{}", to=world.list[0].relay_id),
            client.call(ServiceId.ECHO, b"", to=world.list[0]),
        ):
            with pytest.raises(UsageError):
                await use
        for read in ("directory", "trust_root"):
            with pytest.raises(UsageError):
                getattr(client, read)


async def test_a_node_that_is_not_listed_is_not_asked(world: World) -> None:
    async with Client(world.list[:6], format="session") as client:
        with pytest.raises(UsageError, match="not in the client's list"):
            await ask(client, world.list[7])


def test_a_network_of_the_other_format_is_refused(tmp_path: Path) -> None:
    root = network().root
    with pytest.raises(UsageError, match="trust root"):
        Client(root, format="session")
    with pytest.raises(UsageError, match="format='session'"):
        Client([], format="native")
    with pytest.raises(UsageError, match="no packet format"):
        Client(root, format="tor")


# Failures.


async def test_a_guard_that_dies_with_a_request_costs_an_attempt_and_is_marked(world: World) -> None:
    world.everybody(dying)
    async with client_of(world) as client:
        with pytest.raises(UnreachableError, match="first hop broke") as caught:
            await ask(client, no_guard(client))
        marked = down(client)
    assert FIRST_EDGE == caught.value.edge
    assert (3, ids(world.guards)) == (len(marked), marked)


@pytest.mark.parametrize(
    "answer",
    [
        saying(502, b"Next node not found: " + b"ab" * 32),
        saying(504, b"Request time out"),
        saying(400, b"Invalid ciphertext"),
        saying(418, b"?"),
        saying(200, b""),
        saying(200, b"YWJj"),
        changing(lambda reply: reply[:-4] + b"AAA="),
        changing(lambda reply: reply[:-1]),
    ],
    ids=["not found", "timed out", "unreadable", "unknown", "empty", "short", "damaged", "cut"],
)
async def test_what_nobody_vouches_for_costs_the_path_and_marks_nobody(world: World, answer: object) -> None:
    async with client_of(world) as client:
        await ask(client, world.list[3])
        (guard,) = world.guards
        guard.answer = answer  # type: ignore[assignment]

        assert 200 == (await ask(client, world.list[3])).status
        report = client.path_report()
    assert set() == {each.relay_id for each in report.guards if each.retry_at}
    # What the guard has lost of others' calls is not counted against it either: nobody can tell that it was it.
    (bias,) = [each.bias for each in report.guards if each.relay_id == guard.relay_id]
    assert 0 == bias.attempts
    assert 2 == len(world.guards)


async def test_a_reply_of_another_call_does_not_open(world: World) -> None:
    replies: list[Reply] = []

    async def replaying(door: Door, body: bytes) -> Reply:
        replies.append(await honest(door, body))
        return replies[0]

    world.everybody(replaying)
    async with client_of(world) as client:
        assert 200 == (await ask(client, world.list[3])).status
        with pytest.raises(UnreachableError, match="does not open"):
            await ask(client, world.list[3])
    assert 4 == len(replies)


async def test_a_request_to_a_server_is_never_sent_twice(world: World) -> None:
    world.everybody(saying(504, b"Request time out"))
    async with client_of(world) as client:
        with pytest.raises(OutcomeUnknownError, match="no answer of the next relay in time"):
            await client.request_server(SERVER, SERVER_KEY.public, V4Request("GET", "/"))
    assert 1 == sum(len(each.posted) for each in world.nodes)


async def test_a_request_to_a_server_that_never_left_is_tried_over_another_guard(world: World) -> None:
    broken, *_, last = world.list
    guards = frozenset(node.relay_id for node in world.list[:2])
    wishes = Constraints(guards=guards, exits=frozenset({last.relay_id}))
    moved = [replace(broken, https_port=1), *world.list[1:]]
    for _ in range(64):
        async with Client(moved, format="session", constraints=wishes) as client:
            if client.path_report().path[0] != broken.relay_id:
                continue
            response = await client.request_server(SERVER, SERVER_KEY.public, V4Request("GET", "/x"))
            assert 201 == response.status
            assert [world.nodes[1]] == world.guards
            return
    raise AssertionError("the broken guard was never the first")


async def test_somebody_elses_certificate_is_an_unreachable_guard(world: World) -> None:
    wrong = [replace(node, certificate_hash=certificate(15).key_hash) for node in world.list]
    async with Client(wrong, format="session") as client:
        with pytest.raises(UnreachableError, match="somebody else answers") as caught:
            await ask(client, no_guard(client))
        marked = down(client)
    assert not caught.value.sent
    assert 3 == len(marked)
    assert [] == [posted for each in world.nodes for posted in each.posted]


async def test_a_certificate_that_nobody_knows_is_taken(tmp_path: Path) -> None:
    async with session_world(tmp_path, is_pinned=False) as world, client_of(world) as client:
        assert 200 == (await ask(client, world.list[3])).status


async def test_a_node_that_seals_something_else_than_a_reply_ends_the_call(world: World) -> None:
    async with client_of(world) as client:
        world.storage = lambda node, body: SessionReply(99, b"")
        world.onion.seal_reply = lambda key, reply, *, entropy: __import__("base64").b64encode(  # type: ignore[method-assign]
            key.use().seal(b"[]", entropy=entropy)
        )
        with pytest.raises(MalformedError):
            await ask(client, world.list[3])
    assert 1 == sum(len(each.posted) for each in world.nodes)


async def test_a_key_that_is_not_the_servers_ends_as_unknown(world: World) -> None:
    async def failing(door: Door, body: bytes) -> Reply:
        return 400, b"Invalid ciphertext"

    world.everybody(failing)
    async with client_of(world) as client:
        with pytest.raises(OutcomeUnknownError, match="could not be read"):
            await client.request_server(SERVER, SessionPrivateKey(b"\x09" * 32).public, V4Request("GET", "/"))


async def test_a_deadline_holds_when_everybody_is_silent(world: World) -> None:
    world.everybody(silent)
    async with client_of(world) as client:
        with pytest.raises(DeadlineError):
            await ask(client, world.list[3], deadline_s=0.06)
    await until_closed(world)


async def test_a_guard_that_drips_its_response_meets_the_deadline(world: World) -> None:
    async def dripping(door: Door, body: bytes) -> Reply:
        await door.stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while True:
            await door.stream.send(b"A")
            await anyio.sleep(0.005)

    world.everybody(dripping)
    async with client_of(world) as client:
        with pytest.raises(DeadlineError):
            await ask(client, world.list[3], deadline_s=0.09)
    await until_closed(world)


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (10 * 1024 * 1024 + 1)
        + bytes(10 * 1024 * 1024 + 1),
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nA",
        b"HTTP/1.1 200 OK\r\nX: " + bytes(100_000),
        b"SSH-2.0\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    ],
    ids=["too long", "compressed", "long head", "no HTTP", "upgrade"],
)
async def test_a_guard_that_breaks_http_is_a_guard_that_is_down(world: World, response: bytes) -> None:
    async def breaking(door: Door, body: bytes) -> Reply:
        await door.stream.send(response)
        await anyio.sleep_forever()
        raise AssertionError

    async with client_of(world) as client:
        await ask(client, world.list[3])
        (guard,) = world.guards
        guard.answer = breaking
        assert 200 == (await ask(client, world.list[3])).status
        marked = down(client)
    assert {guard.relay_id} == marked


async def test_a_connection_that_ends_at_the_moment_of_the_next_request_marks_nobody(world: World) -> None:
    """Nodes end idle connections when they like, and nobody can tell that from a node that dies."""
    async with client_of(world) as client:
        target = no_guard(client)
        await ask(client, target)
        (guard,) = world.guards
        guard.answer = dying

        assert 200 == (await ask(client, target)).status
        assert (2, set()) == (len(guard.posted), down(client))


async def test_a_connection_that_a_node_has_closed_while_idle_is_no_failure(world: World) -> None:
    async with client_of(world) as client:
        await ask(client, world.list[3])
        (guard,) = world.guards
        for connection in list(guard.connections):
            await connection.aclose()
        await until_closed(world)
        for _ in range(20):
            await anyio.lowlevel.checkpoint()
        await ask(client, world.list[3])
        marked = down(client)
    assert set() == marked
    assert [guard] == world.guards


async def test_a_call_that_fits_no_packet_is_the_callers_mistake(world: World) -> None:
    async with client_of(world) as client:
        with pytest.raises(UsageError, match="too long"):
            await client.call(ServiceId.STORAGE, bytes(10 * 1024 * 1024), to=world.list[3])


async def test_a_node_may_refuse_before_it_has_read_all(world: World) -> None:
    text = b"Request body too large"
    for each in world.nodes:
        each.refuses_unread = b"HTTP/1.1 413 X\r\nContent-Length: %d\r\n\r\n%b" % (len(text), text)
    async with client_of(world) as client:
        with pytest.raises(OutcomeUnknownError, match="the packet is too large"):
            await client.request_server(
                SERVER, SERVER_KEY.public, V4Request("POST", "/", body=bytes(8_000_000))
            )
        assert set() == down(client)
        await until(lambda: not client._network.doors.in_flight)  # type: ignore[union-attr]


async def test_a_cancelled_call_leaves_no_connection_busy(world: World) -> None:
    async with client_of(world) as client:
        await ask(client, world.list[3])
        world.everybody(silent)
        with anyio.move_on_after(0.02):
            await ask(client, world.list[3])
        doors = client._network.doors  # type: ignore[union-attr]
        await until(lambda: not doors.in_flight)
        world.everybody(honest)
        assert 200 == (await ask(client, world.list[3])).status
    await until_closed(world)
