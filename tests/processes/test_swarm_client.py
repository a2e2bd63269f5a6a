"""``SwarmClient`` over relays that are processes, in both formats, while members of the swarm are killed and return."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import anyio
import pytest

from onionpath.client.client import Client
from onionpath.client.swarm_client import SwarmClient
from onionpath.crypto.identity import RelayId
from onionpath.directory.swarms import swarm_of as swarm_for
from onionpath.errors import NotDurableError, UnreachableError
from onionpath.path.constraints import Constraints
from onionpath.path.roles import NO_CONSTRAINTS
from onionpath.swarm.owner import Owner
from onionpath.swarm.pages import read_page
from onionpath.swarm.signing import encode_request, retrieve_request
from onionpath.swarm.view import decode_view, encode_view
from simulations.local.network import LocalNetwork
from simulations.local.nodes import LocalRelay

pytestmark = pytest.mark.processes

AGREE_S = 60.0
FORMATS = ["native", "session"]


@pytest.fixture(scope="module")
def network() -> Iterator[LocalNetwork]:
    """Ten relays make two swarms of five, so that paths are left when members are killed."""
    with LocalNetwork(relays=10, website=False, session=True, storage=True) as network:
        yield network


@pytest.fixture
def owner() -> Owner:
    return Owner.generate(os.urandom)


def client_of(network: LocalNetwork, format: str, *, constraints: Constraints = NO_CONSTRAINTS) -> Client:
    file = network.nodes_file if format == "session" else network.trust_root_file
    return Client(file, format=format, constraints=constraints)


def around(network: LocalNetwork, owner: Owner) -> Constraints:
    """Paths on which no member of the owner's swarm stands before the one that is asked."""
    nodes = network.nodes
    swarm = swarm_for(owner.account[1:], sorted({node.swarm for node in nodes if node.swarm is not None}))
    others = [node.relay_id for node in nodes if node.swarm != swarm]
    return Constraints(guards=frozenset(others[:2]), middles=frozenset(others[2:]))


def swarm_of(network: LocalNetwork, client: Client, owner: Owner) -> list[LocalRelay]:
    return [network.relay(member) for member in client.swarm_of(owner.account)]


@contextmanager
def killed(network: LocalNetwork, relays: list[LocalRelay]) -> Iterator[None]:
    for relay in relays:
        relay.kill()
    try:
        yield
    finally:
        for relay in relays:
            relay.restart()
        for relay in relays:
            network.processes.wait_for(
                relay.answers_for_accounts, timeout_s=AGREE_S, what=f"{relay.name} to answer for accounts"
            )


@contextmanager
def hanging(network: LocalNetwork, relays: list[LocalRelay]) -> Iterator[None]:
    """Their processes are there, and do nothing."""
    for relay in relays:
        network.processes.signal(relay.name, signal.SIGSTOP)
    try:
        yield
    finally:
        for relay in relays:
            network.processes.signal(relay.name, signal.SIGCONT)


@pytest.fixture
def anyio_backend() -> str:
    """One is enough here; tests/client runs on both."""
    return "trio"


@pytest.mark.parametrize("format", FORMATS)
async def test_messages_are_stored_read_kept_longer_and_deleted(
    network: LocalNetwork, owner: Owner, format: str
) -> None:
    async with client_of(network, format) as client:
        swarm = SwarmClient(client)
        one = await swarm.store(owner.account, b"one")
        two = await swarm.store(owner.account, b"two")
        in_20_days_ms = round((time.time() + 20 * 86_400) * 1000)
        later = await swarm.expire(owner, [two.hash], in_20_days_ms)
        gone = await swarm.delete(owner, [one.hash])
        reading = await swarm.read(owner)

    assert [True, True, True] == [receipt.is_durable for receipt in (one.receipt, later, gone)]
    assert [(two.hash, b"two", in_20_days_ms)] == [
        (message.hash, message.data, message.expiry_ms) for message in reading.messages
    ]


async def test_both_formats_reach_the_same_messages(network: LocalNetwork, owner: Owner) -> None:
    async with client_of(network, "native") as native, client_of(network, "session") as session:
        await SwarmClient(native).store(owner.account, b"native")
        await SwarmClient(session).store(owner.account, b"session")
        readings = [await SwarmClient(client).read(owner) for client in (native, session)]

    assert [{b"native", b"session"}] * 2 == [
        {message.data for message in reading.messages} for reading in readings
    ]


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("count", [pytest.param(1, marks=pytest.mark.slow), 2])
async def test_members_that_are_killed_keep_nobody_from_storing_and_reading(
    network: LocalNetwork, owner: Owner, format: str, count: int
) -> None:
    async with client_of(network, format) as client:
        swarm = SwarmClient(client)
        before = await swarm.store(owner.account, b"before")
        members = swarm_of(network, client, owner)
        with killed(network, members[:count]):
            stored = await swarm.store(owner.account, b"meanwhile")
            reading = await swarm.read(owner)

        assert {before.hash, stored.hash} == {message.hash for message in reading.messages}
        assert stored.receipt.holders <= {relay.relay_id for relay in members[count:]}
        assert stored.receipt.is_durable


async def test_a_member_that_was_killed_gets_from_the_others_what_was_stored_meanwhile(
    network: LocalNetwork, owner: Owner
) -> None:
    async with client_of(network, "native") as client:
        member = client.swarm_of(owner.account)[0]
        with killed(network, [network.relay(member)]):
            stored = await SwarmClient(client).store(owner.account, b"meanwhile")
        with anyio.fail_after(AGREE_S):
            while stored.hash not in await hashes_at(client, member, owner):
                pass  # each question goes through three relays, which is pause enough


async def hashes_at(client: Client, member: RelayId, owner: Owner) -> set[str]:
    """What one member alone gives."""
    asked = encode_request(retrieve_request(owner, now_ms=time.time_ns() // 1_000_000))
    reply = await client.ask_storage(member, asked)
    return {message.hash for message in read_page(reply.body, owner.account, 0).messages}


@pytest.mark.slow
@pytest.mark.parametrize("format", FORMATS)
async def test_members_that_hang_cost_some_seconds_and_not_the_deadline(
    network: LocalNetwork, owner: Owner, format: str
) -> None:
    """Machines that lose their power or network refuse nothing: they fall silent."""
    async with client_of(network, format, constraints=around(network, owner)) as client:
        swarm = SwarmClient(client)
        await swarm.store(owner.account, b"before")
        with hanging(network, swarm_of(network, client, owner)[:2]):
            started_at = time.monotonic()
            await swarm.store(owner.account, b"meanwhile")
            reading = await swarm.read(owner)
            seconds = time.monotonic() - started_at

    assert {b"before", b"meanwhile"} == {message.data for message in reading.messages}
    assert 20 > seconds


@pytest.mark.slow
@pytest.mark.parametrize("format", FORMATS)
async def test_a_majority_that_is_killed_is_told_before_the_deadline(
    network: LocalNetwork, owner: Owner, format: str
) -> None:
    async with client_of(network, format) as client:
        swarm = SwarmClient(client)
        with killed(network, swarm_of(network, client, owner)[:3]):
            started_at = time.monotonic()
            with pytest.raises(NotDurableError):
                await swarm.store(owner.account, b"hello", deadline_s=10)
            with pytest.raises(UnreachableError):
                await swarm.read(owner, deadline_s=10)

    assert 21 > time.monotonic() - started_at


@pytest.mark.slow
@pytest.mark.parametrize("format", FORMATS)
async def test_a_namespace_of_two_megabytes_is_read_whole(
    network: LocalNetwork, owner: Owner, format: str
) -> None:
    async with client_of(network, format) as client:
        swarm = SwarmClient(client)
        stored = {(await swarm.store(owner.account, bytes([number]) * 70_000)).hash for number in range(30)}
        reading = await swarm.read(owner)

    assert stored == {message.hash for message in reading.messages}


@pytest.mark.parametrize("format", FORMATS)
async def test_a_later_run_goes_on_where_the_view_of_an_earlier_one_ended(
    network: LocalNetwork, owner: Owner, format: str
) -> None:
    async with client_of(network, format) as client:
        await SwarmClient(client).store(owner.account, b"old")
        kept = encode_view((await SwarmClient(client).read(owner)).view)
    async with client_of(network, format) as client:
        await SwarmClient(client).store(owner.account, b"new")
        reading = await SwarmClient(client).read(owner, decode_view(kept))

    assert [b"new"] == [message.data for message in reading.messages]
