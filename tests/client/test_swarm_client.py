"""Storing on and reading from swarms of which some members are down, behind, or lie."""

from __future__ import annotations

import json
import time
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from onionpath.client import swarm_reading
from onionpath.client.swarm_client import StorageNetwork, SwarmClient
from onionpath.client.swarm_writing import REFUSALS_BELIEVED
from onionpath.crypto.identity import IdentityKey, RelayId
from onionpath.errors import NotDurableError, RefusedError, UnreachableError, UsageError
from onionpath.onion.session_packets import SessionReply
from onionpath.swarm.changes import change_of
from onionpath.swarm.hashes import message_hash
from onionpath.swarm.nodes import Roster
from onionpath.swarm.operations import Put, Version
from onionpath.swarm.owner import Owner
from onionpath.swarm.parts import Failed, Part
from onionpath.swarm.plans import Write
from onionpath.swarm.signing import store_request
from onionpath.swarm.view import CONVERGENCE_MS, View
from tests.swarm.members import Member, Members

OWNER = Owner(IdentityKey(bytes([9]) * 32))
Lie = Callable[[SessionReply], SessionReply]


@dataclass
class Reached(Members):
    """Members of whom some do not hear what the one that was asked tells them."""

    down: frozenset[RelayId] = frozenset()

    def _part(self, member: Member, write: Write, version: Version, now_ms: int) -> Part | Failed:
        if member.key.relay_id in self.down:
            return Failed.TIMEOUT
        return super()._part(member, write, version, now_ms)


@dataclass
class Swarm(StorageNetwork):
    """A swarm's members over model stores, each asked directly; those that are down answer nobody."""

    members: tuple[Member, ...]
    down: set[RelayId] = field(default_factory=set)
    unlucky: set[RelayId] = field(default_factory=set)  # the next path to them fails
    lies: dict[RelayId, Lie] = field(default_factory=dict)
    asked: list[tuple[RelayId, str]] = field(default_factory=list)
    rosters: dict[RelayId, Roster] = field(default_factory=dict)

    @classmethod
    def of(cls, count: int) -> Swarm:
        return cls(Members.of(count).all)

    @property
    def relays(self) -> list[RelayId]:
        return [member.key.relay_id for member in self.members]

    @property
    def document_number(self) -> int:
        return Members().roster.number

    def swarm_of(self, account: bytes) -> tuple[RelayId, ...]:
        return tuple(self.relays)

    async def ask_storage(
        self, member: RelayId, request: bytes, *, deadline_s: float, isolation: str, large_reply: bool
    ) -> SessionReply:
        self.asked.append((member, isolation))
        if member in self.down:
            raise UnreachableError("hop 3 could not be reached")
        if member in self.unlucky:
            self.unlucky.remove(member)
            raise UnreachableError("hop 2 fell silent")
        index = self.relays.index(member)
        first = (self.members[index], *self.members[:index], *self.members[index + 1 :])
        # What a majority is, the model leaves to whoever reads the parts.
        roster = self.rosters.get(member, Members().roster)
        reply = Reached(first, roster, down=frozenset(self.down)).ask(request, now_ms=now_ms())
        return self.lies.get(member, lambda same: same)(reply)

    def put_at(self, member: int, data: bytes, *, age_ms: int = 0) -> str:
        """A message that one member has and the others don't."""
        request = store_request(OWNER.account, data, now_ms=now_ms() - age_ms, ttl_ms=3_600_000)
        change = change_of(request, Version(now_ms()), judged_at_ms=now_ms())
        assert isinstance(change, Put)
        self.members[member].store.apply([change], now_ms=now_ms())
        return request.hash


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@pytest.mark.parametrize("count", [5, 7])
async def test_what_is_stored_is_read_by_its_owner(count: int) -> None:
    swarm = Swarm.of(count)
    client = SwarmClient(swarm)

    stored = await client.store(OWNER.account, b"hello")
    reading = await client.read(OWNER)

    assert frozenset(swarm.relays) == stored.receipt.holders
    assert [b"hello"] == [message.data for message in reading.messages]
    assert () == (await client.read(OWNER, reading.view)).messages


@pytest.mark.parametrize(("count", "down"), [(5, 2), (7, 3)])
async def test_a_minority_that_is_down_keeps_nobody_from_storing_and_reading(count: int, down: int) -> None:
    swarm = Swarm.of(count)
    swarm.down.update(swarm.relays[:down])
    client = SwarmClient(swarm)

    stored = await client.store(OWNER.account, b"hello")
    reading = await client.read(OWNER)

    assert frozenset(swarm.relays[down:]) == stored.receipt.holders
    assert [b"hello"] == [message.data for message in reading.messages]


async def test_an_acknowledged_message_is_read_when_others_have_died_since() -> None:
    """Two of five did not hear of it, and of the three that did two are lost afterwards."""
    swarm = Swarm.of(5)
    client = SwarmClient(swarm)
    swarm.down.update(swarm.relays[:2])
    await client.store(OWNER.account, b"hello")

    swarm.down = set(swarm.relays[2:4])
    reading = await client.read(OWNER)

    assert [b"hello"] == [message.data for message in reading.messages]


async def test_a_majority_that_is_down_is_told_with_those_that_have_it() -> None:
    swarm = Swarm.of(5)
    swarm.down.update(swarm.relays[:3])
    client = SwarmClient(swarm)

    with pytest.raises(NotDurableError, match="2 of 5 members of the swarm have signed") as raised:
        await client.store(OWNER.account, b"hello")
    with pytest.raises(UnreachableError, match="2 of 5 members answered and 3 must"):
        await client.read(OWNER)

    assert frozenset(swarm.relays[3:]) == raised.value.holders
    assert set(swarm.relays[:3]) == raised.value.failed.keys()
    # Those that a path did not reach are asked a second time.
    assert 5 == len({member for member, _ in swarm.asked[:8]})


async def test_storing_again_stores_nothing_twice() -> None:
    swarm = Swarm.of(5)
    client = SwarmClient(swarm)

    one = await client.store(OWNER.account, b"hello")
    two = await client.store(OWNER.account, b"hello")

    assert one.hash == two.hash
    assert 1 == len((await client.read(OWNER)).messages)


async def test_a_member_that_makes_up_that_others_have_it_is_not_believed() -> None:
    swarm = Swarm.of(5)
    swarm.down.update(swarm.relays[2:])

    def all_have_it(reply: SessionReply) -> SessionReply:
        body = json.loads(reply.body)
        entries = body["swarm"]
        body["swarm"] = {name.hex(): entries[swarm.relays[0].hex()] for name in swarm.relays}
        return SessionReply(200, json.dumps(body).encode(), is_json=True)

    swarm.lies = dict.fromkeys(swarm.relays, all_have_it)

    with pytest.raises(NotDurableError) as raised:
        await SwarmClient(swarm).store(OWNER.account, b"hello")

    assert {swarm.relays[0]} == raised.value.holders


async def test_one_member_that_refuses_without_reason_is_passed_over() -> None:
    swarm = Swarm.of(5)
    liar = swarm.relays[0]
    swarm.lies = {liar: lambda _: SessionReply(401, b"store: signature verification failed")}

    # Whom a client asks is its own choice; each of these stores succeeds, the last one after the liar was asked.
    while liar not in {member for member, _ in swarm.asked}:
        await SwarmClient(swarm).store(OWNER.account, b"hello")


async def test_what_members_refuse_together_is_refused() -> None:
    swarm = Swarm.of(5)

    with pytest.raises(
        RefusedError, match="the swarm answered 403 Provided expiry/TTL is not valid"
    ) as raised:
        await SwarmClient(swarm).store(OWNER.account, b"hello", ttl_s=1)

    assert "status 403" == raised.value.reason
    assert REFUSALS_BELIEVED == len(swarm.asked)


async def test_a_member_that_withholds_is_named_and_changes_nothing() -> None:
    swarm = Swarm.of(5)
    client = SwarmClient(swarm)
    swarm.lies = {swarm.relays[4]: _without_messages}
    stored = await client.store(OWNER.account, b"hello")

    # Each reading draws three of the five anew.
    view, shown = View(), 0
    while len(view.cursors) < 5:
        reading = await client.read(OWNER, view)
        view, shown = _a_minute_older(reading.view), shown + len(reading.messages)

    assert 1 == shown
    assert {swarm.relays[4]: frozenset({stored.hash})} == view.withheld()


def _a_minute_older(view: View) -> View:
    """The same view, had everything in it happened a minute earlier."""
    seen = {name: replace(each, since_ms=each.since_ms - CONVERGENCE_MS) for name, each in view.seen.items()}
    return replace(view, seen=seen)


def _without_messages(reply: SessionReply) -> SessionReply:
    return page_reply() if "result" in json.loads(reply.body) else reply


def page_reply(*messages: object, more: bool = False) -> SessionReply:
    """As a member answers to a read that names a document."""
    page = {"messages": messages, "more": more}
    return SessionReply(200, json.dumps({"result": {"code": 200, "body": page}}).encode())


async def test_altered_messages_are_shown_to_nobody_and_counted() -> None:
    swarm = Swarm.of(1)
    client = SwarmClient(swarm)
    await client.store(OWNER.account, b"hello")

    def altered(reply: SessionReply) -> SessionReply:
        return SessionReply(200, reply.body.replace(b'"data":"aGVsbG8="', b'"data":"aGVsbG9v"'))

    swarm.lies = {swarm.relays[0]: altered}
    reading = await client.read(OWNER)

    assert ((), {swarm.relays[0]: 1}) == (reading.messages, reading.altered)


async def test_a_namespace_longer_than_a_reply_is_read_to_its_end() -> None:
    swarm = Swarm.of(1)
    for number in range(30):
        swarm.put_at(0, bytes([number]) * 70_000)

    reading = await SwarmClient(swarm).read(OWNER)

    assert 30 == len(reading.messages)
    assert 1 < len(swarm.asked)


async def test_a_member_that_is_reached_by_the_second_path_counts() -> None:
    """Two of five are down, so that nobody could stand in for it."""
    swarm = Swarm.of(5)
    swarm.down.update(swarm.relays[:2])
    swarm.unlucky.update(swarm.relays[2:])

    reading = await SwarmClient(swarm).read(OWNER)

    assert (set(swarm.relays[2:]), set()) == (
        set(reading.answered),
        reading.failed.keys() - set(swarm.relays[:2]),
    )


async def test_a_namespace_longer_than_a_reading_holds_is_read_in_parts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing is lost by it: the next reading goes on where this one ended."""
    monkeypatch.setattr(swarm_reading, "MAX_READING_SIZE", 200_000)
    swarm = Swarm.of(1)
    for number in range(30):
        swarm.put_at(0, bytes([number]) * 70_000)
    client = SwarmClient(swarm)

    readings = [await client.read(OWNER)]
    while readings[-1].unfinished:
        readings.append(await client.read(OWNER, readings[-1].view))

    assert 1 < len(readings)
    assert 30 == sum(len(reading.messages) for reading in readings)


async def test_a_member_that_makes_up_messages_without_end_leaves_the_others_their_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(swarm_reading, "MAX_READING_SIZE", 300_000)
    swarm = Swarm.of(3)
    # With three of them two are asked, so that the honest one that is left always is.
    liar, honest, swarm.down = swarm.relays[0], swarm.relays[1], {swarm.relays[2]}
    hello = swarm.put_at(1, b"hello")
    made_up = 0

    def more(reply: SessionReply) -> SessionReply:
        nonlocal made_up
        made_up += 1
        data = bytes([made_up]) * 60_000
        entry = {
            "hash": message_hash(OWNER.account, 0, data),
            "timestamp": now_ms(),
            "expiration": now_ms() + 3_600_000,
            "data": b64encode(data).decode(),
        }
        return page_reply(entry, more=True)

    swarm.lies = {liar: more}
    reading = await SwarmClient(swarm).read(OWNER)

    assert (2, {liar}) == (made_up, reading.unfinished)
    assert honest in reading.answered
    assert hello in {message.hash for message in reading.messages}


async def test_what_is_deleted_is_gone_and_what_expires_later_is_kept() -> None:
    client = SwarmClient(Swarm.of(5))
    one = await client.store(OWNER, b"one", namespace=2)
    two = await client.store(OWNER, b"two", namespace=2)

    later = await client.expire(OWNER, [two.hash], now_ms() + 20 * 86_400_000)
    gone = await client.delete(OWNER, [one.hash])
    reading = await client.read(OWNER, namespace=2)

    assert later.is_durable
    assert gone.is_durable
    assert [two.hash] == [message.hash for message in reading.messages]
    assert now_ms() + 19 * 86_400_000 < reading.messages[0].expiry_ms


async def test_accounts_never_share_a_path() -> None:
    swarm = Swarm.of(5)
    client = SwarmClient(swarm)
    other = Owner(IdentityKey(bytes([10]) * 32))

    await client.store(OWNER.account, b"hello")
    await client.store(other.account, b"hello")

    assert 2 == len({isolation for _, isolation in swarm.asked})


async def test_what_only_the_owner_may_store_is_refused_before_anybody_is_asked() -> None:
    swarm = Swarm.of(5)

    with pytest.raises(UsageError):
        await SwarmClient(swarm).store(OWNER.account, b"hello", namespace=2)

    assert [] == swarm.asked


async def test_a_member_that_goes_by_an_older_document_does_not_count() -> None:
    """It may not have been told what was acknowledged since; two such members and one that knows are not enough."""
    swarm = Swarm.of(5)
    swarm.down.update(swarm.relays[:2])
    client = SwarmClient(swarm)
    await client.store(OWNER.account, b"hello")
    behind = replace(Members().roster, number=swarm.document_number - 1)
    swarm.rosters = {swarm.relays[2]: behind}

    with pytest.raises(UnreachableError, match="does not know the newest document yet"):
        await client.read(OWNER)

    swarm.down.clear()
    assert [b"hello"] == [message.data for message in (await client.read(OWNER)).messages]


async def test_where_lists_have_no_number_members_are_asked_without_one() -> None:
    """Nodes of Session's own network count blocks and not our documents."""

    @dataclass
    class Unnumbered(Swarm):
        @property
        def document_number(self) -> None:  # type: ignore[override]  # as a list of Session nodes has it
            return None

    client = SwarmClient(Unnumbered(Members.of(5).all))
    await client.store(OWNER.account, b"hello")

    assert [b"hello"] == [message.data for message in (await client.read(OWNER)).messages]
