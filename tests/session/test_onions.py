"""What relays do with Session's layers, from the first to the last."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onionpath.crypto.session_channels import Cipher
from onionpath.injected import UnixTime
from onionpath.onion.replay import MemoryTables, slot_at
from onionpath.onion.session_answers import HopAnswer, decode_hop_answer, encode_hop_answer
from onionpath.onion.session_framing import encode_framing
from onionpath.onion.session_lsrpc import LsrpcServer
from onionpath.onion.session_messages import encode_hop_message, encode_post
from onionpath.onion.session_packets import ServerCall, SessionCall, SessionPacket, SessionReply
from onionpath.onion.session_refusals import Refusal
from onionpath.onion.session_v4 import V4Request
from onionpath.onion.statuses import Reason
from relay.session.budget import BYTES_PER_OPENING, BudgetLimits
from relay.session.onions import MAX_REPLY_SIZE
from relay.session.routes import Route
from tests.onion.session_paths import ONION, entropy, hop_key, hops_of, packet_to, wrap
from tests.session.relays import NOW, SLOT_S, Exit, World

UNREADABLE = HopAnswer(400, b"Invalid ciphertext")
BUSY = HopAnswer(503, b"Server busy, try again later")
EPHEMERAL = hop_key(9).private.public.encoded.hex()


async def post(world: World, packet: SessionPacket) -> HopAnswer:
    return await world.guard.onions.answer_post(encode_post(packet))


@pytest.mark.parametrize("cipher", Cipher)
@pytest.mark.parametrize("hops", [1, 2, 3, 4, 5])
async def test_a_call_reaches_the_last_relay_and_its_reply_the_client(hops: int, cipher: Cipher) -> None:
    world = World(relays=hops)
    wrapped = ONION.wrap(hops_of(range(hops), cipher), SessionCall(b"hello"), entropy=entropy(1))

    answer = await post(world, wrapped.packet)

    assert 200 == answer.status
    assert SessionReply(200, b"asked: hello") == ONION.open_reply(wrapped.opener, answer.body)
    assert [hop_key(number).relay_id for number in range(1, hops)] == world.neighbours.asked


async def test_a_request_to_a_server_is_posted_by_the_last_relay_only() -> None:
    exit_ = Exit()
    world = World(relays=3, exit_=exit_)
    server = LsrpcServer("example.org")
    call = ServerCall(server, hop_key(7).private.public, V4Request("GET", "/room"))
    wrapped = ONION.wrap(hops_of(range(3)), call, entropy=entropy(1))

    answer = await post(world, wrapped.packet)

    assert [server] == [asked for asked, _ in exit_.posted]
    assert HopAnswer(500, b"from the server") == answer  # 207 is none of the statuses that relays pass on
    alone = ONION.wrap(hops_of([0]), call, entropy=entropy(2))
    assert HopAnswer(207, b"from the server") == await post(world, alone.packet)


async def test_a_relay_that_is_no_exit_says_no_more_than_an_exit_that_reached_nothing() -> None:
    call = ServerCall(LsrpcServer("example.org"), hop_key(7).private.public, V4Request("GET", "/"))
    wrapped = ONION.wrap(hops_of([0]), call, entropy=entropy(1))

    assert HopAnswer(502, b"Server unreachable") == await post(World(), wrapped.packet)


def instruction(fields: dict[str, object]) -> SessionPacket:
    return packet_to(0, encode_framing(b"blob", fields))


TO_SERVER = {"host": "example.org", "target": "/oxen/v4/lsrpc", "ephemeral_key": EPHEMERAL}
BAD_INSTRUCTIONS: dict[str, dict[str, object]] = {
    "no instruction": {},
    "two instructions": {"headers": "", "destination": "11" * 32, "ephemeral_key": EPHEMERAL},
    "a destination that is no key": {"destination": "zz" * 32, "ephemeral_key": EPHEMERAL},
    "a next ephemeral key of small order": {"destination": "11" * 32, "ephemeral_key": "00" * 32},
    "itself as the next relay": {
        "destination": hop_key(0).relay_id.hex(), "ephemeral_key": EPHEMERAL,
    },
    "a query in the target": TO_SERVER | {"target": "/oxen/v4/lsrpc?x=1"},
    "dot segments": TO_SERVER | {"target": "/oxen/../x/lsrpc"},
    "encoded dots": TO_SERVER | {"target": "/oxen/%2e%2e/x/lsrpc"},
    "an empty segment": TO_SERVER | {"target": "/oxen//lsrpc"},
    "a host with a port": TO_SERVER | {"host": "example.org:80"},
    "a host with a user": TO_SERVER | {"host": "user@example.org"},
    "a short IPv4 address": TO_SERVER | {"host": "127.1"},
    "a decimal IPv4 address": TO_SERVER | {"host": "2130706433"},
    "an octal IPv4 address": TO_SERVER | {"host": "0177.0.0.1"},
    "an IPv6 address": TO_SERVER | {"host": "[::1]"},
    "a port below one": TO_SERVER | {"port": 0},
    "a port above all": TO_SERVER | {"port": 65_536},
    "another protocol": TO_SERVER | {"protocol": "gopher"},
    "another method": TO_SERVER | {"method": "GET"},
    "AES-CBC for the next layer": TO_SERVER | {"enc_type": "aes-cbc"},
}  # fmt: skip


@pytest.mark.parametrize("fields", BAD_INSTRUCTIONS.values(), ids=BAD_INSTRUCTIONS.keys())
async def test_a_layer_that_asks_for_nonsense_gets_the_one_answer_and_nobody_is_asked(
    fields: dict[str, object],
) -> None:
    exit_ = Exit()
    world = World(exit_=exit_)

    assert UNREADABLE == await post(world, instruction(fields))
    assert ([], []) == (world.neighbours.asked, exit_.posted)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"{",
        b'{"headers":""} x',
        b'{"headers":"","headers":""}',
        b'{"headers":' + b"[" * 1000 + b"]" * 1000 + b"}",
        b'{"headers":"' + b"x" * 4000 + b'"}',
        b'{"headers":1.5}',
        b'{"headers":NaN}',
        b'{"headers":"\xff"}',
    ],
)
async def test_json_of_any_shape_depth_or_size_gets_the_one_answer(text: bytes) -> None:
    world = World()
    plaintext = (4).to_bytes(4, "little") + b"blob" + text

    assert UNREADABLE == await post(world, packet_to(0, plaintext))
    assert [] == world.neighbours.asked


@given(length=st.integers(0, 2**32 - 1), rest=st.binary(max_size=64))
async def test_no_length_makes_a_relay_do_more_than_refuse(length: int, rest: bytes) -> None:
    world = World(relays=1)
    framing = length.to_bytes(4, "little") + rest

    assert UNREADABLE == await world.guard.onions.answer_post(framing)
    assert UNREADABLE == await post(world, packet_to(0, framing))


async def test_every_damaged_bit_of_a_layer_gets_the_one_answer() -> None:
    world = World()
    packet = wrap().packet
    for bit in range(0, len(packet.layer) * 8, 101):
        layer = bytearray(packet.layer)
        layer[bit // 8] ^= 1 << bit % 8
        assert UNREADABLE == await post(world, packet._replace(layer=bytes(layer)))
    assert [] == world.neighbours.asked


async def test_a_layer_beyond_the_fifth_is_refused_by_name() -> None:
    too_long = HopAnswer(400, b"onion request max path length exceeded")
    world = World()

    assert too_long == await post(world, wrap().packet._replace(depth=5))
    assert UNREADABLE == await post(world, wrap().packet._replace(depth=4))
    assert [] == world.neighbours.asked


# Replay.


async def test_the_same_packet_works_once() -> None:
    world = World()
    packet = wrap().packet

    assert 200 == (await post(world, packet)).status
    asked = len(world.neighbours.asked)
    assert UNREADABLE == await post(world, packet)
    assert asked == len(world.neighbours.asked)


async def test_a_posted_packet_is_a_replay_as_a_message_of_a_relay_too() -> None:
    world = World(relays=1)
    packet = wrap(hops=1).packet
    message = encode_hop_message(packet._replace(depth=1))

    assert 200 == (await post(world, packet)).status
    assert UNREADABLE == await world.guard.onions.answer_hop_message(message)


async def test_a_replay_is_refused_for_a_whole_slot_and_works_once_it_is_forgotten() -> None:
    """No time stands in the packet; the second half says what the format cannot give."""
    world = World(relays=1)
    packet = wrap(hops=1).packet
    await post(world, packet)

    end_of_next_slot = (slot_at(NOW, SLOT_S) + 2) * SLOT_S
    world.clock.now = UnixTime(end_of_next_slot - 0.1)
    assert UNREADABLE == await post(world, packet)
    world.clock.now = UnixTime(end_of_next_slot + SLOT_S)
    assert 200 == (await post(world, packet)).status


async def test_a_relay_that_lost_its_memory_opens_nothing_until_the_lost_layers_would_be_forgotten() -> None:
    floor = slot_at(NOW, SLOT_S) + 1
    world = World(relays=1, tables={0: MemoryTables(floor=floor)})
    not_ready = HopAnswer(503, b"Snode not ready: " + hop_key(0).relay_id.hex().encode())

    assert not_ready == await post(world, wrap(hops=1).packet)
    assert not_ready == await world.guard.onions.answer_post(b"garbage")
    world.clock.now = UnixTime((floor + 1) * SLOT_S)
    assert 200 == (await post(world, wrap(hops=1).packet)).status


async def test_a_relay_without_room_to_remember_sheds() -> None:
    world = World(relays=1, tables={0: MemoryTables(capacity=8)})
    answers = [await post(world, wrap(hops=1, seed=seed).packet) for seed in range(8)]

    assert {200, 503} == {answer.status for answer in answers}
    assert BUSY == answers[-1]


# The next relay.


@pytest.mark.parametrize(
    ("reason", "refusal"),
    [
        (Reason.NEXT_UNKNOWN, Refusal.NEXT_UNKNOWN),
        (Reason.SERVICE_UNKNOWN, Refusal.NEXT_UNKNOWN),
        (Reason.WRONG_DEPTH, Refusal.NEXT_UNKNOWN),
        (Reason.NEXT_UNREACHABLE, Refusal.NEXT_TIMED_OUT),
        (Reason.NEXT_TIMED_OUT, Refusal.NEXT_TIMED_OUT),
        (Reason.NEXT_CLOSED, Refusal.NEXT_TIMED_OUT),
        (Reason.SERVICE_TIMED_OUT, Refusal.NEXT_TIMED_OUT),
        (Reason.NEXT_MALFORMED, Refusal.NEXT_MALFORMED),
        (Reason.SERVICE_FAILED, Refusal.NEXT_MALFORMED),
        (Reason.BAD_CALL, Refusal.NEXT_MALFORMED),
        (Reason.NEXT_CONGESTED, Refusal.BUSY),
        (Reason.SERVICE_BUSY, Refusal.BUSY),
        (Reason.HOP_BUSY, Refusal.BUSY),
    ],
)
async def test_each_failure_of_the_next_relay_has_its_refusal(reason: Reason, refusal: Refusal) -> None:
    world = World()
    next_relay = hop_key(1).relay_id
    world.neighbours.reasons[next_relay] = reason

    answer = await post(world, wrap().packet)

    assert refusal.status == answer.status
    assert refusal.text.replace("{}", next_relay.hex()).encode() == answer.body


@pytest.mark.parametrize("heard", [b"", b"\0", b"\0\x63body", b"\2\x58body", b"\xff\xffbody"])
async def test_an_answer_of_another_form_is_the_next_relays_fault(heard: bytes) -> None:
    world = World()
    world.neighbours.answers[hop_key(1).relay_id] = heard

    assert HopAnswer(500, b"Invalid response from snode") == await post(world, wrap().packet)


@given(status=st.integers(100, 599), body=st.binary(max_size=100))
def test_an_answer_between_relays_is_read_as_it_was_written(status: int, body: bytes) -> None:
    assert HopAnswer(status, body) == decode_hop_answer(encode_hop_answer(HopAnswer(status, body)))


# The destination.


async def test_a_failing_destination_is_answered_under_the_seal() -> None:
    class Failing:
        async def answer(self, request: bytes, *, max_reply: int) -> SessionReply:
            raise ZeroDivisionError

    world = World(relays=1, destination=Failing())
    wrapped = wrap(hops=1)
    answer = await post(world, wrapped.packet)

    assert SessionReply(500, b"request failed") == ONION.open_reply(wrapped.opener, answer.body)
    assert {"ZeroDivisionError": 1} == world.guard.onions.failed
    assert {"failed_ZeroDivisionError": 1} == world.guard.requests.counts()


async def test_a_reply_that_grows_too_long_within_its_seal_is_refused() -> None:
    """A text within a text has each quotation mark twice."""

    class Quoting:
        async def answer(self, request: bytes, *, max_reply: int) -> SessionReply:
            return SessionReply(200, b'"' * max_reply)

    assert HopAnswer(500, b"Invalid response from snode") == await post(
        World(relays=1, destination=Quoting()), wrap(hops=1).packet
    )


async def test_the_destination_is_told_how_long_a_reply_may_be() -> None:
    class Telling:
        async def answer(self, request: bytes, *, max_reply: int) -> SessionReply:
            return SessionReply(200, json.dumps({"most": max_reply}).encode(), is_json=True)

    world = World(relays=1, destination=Telling())
    wrapped = wrap(hops=1)
    reply = ONION.open_reply(wrapped.opener, (await post(world, wrapped.packet)).body)

    assert isinstance(reply, SessionReply)
    assert {"most": MAX_REPLY_SIZE} == json.loads(reply.body)


# Budgets.


async def test_clients_and_relays_have_budgets_of_their_own() -> None:
    two = BudgetLimits(source_per_second=0.1, source_burst=2, per_second=1, burst=3)
    world = World(relays=1, peers=two)
    message = encode_hop_message(wrap(hops=1).packet._replace(depth=1))
    first, second = hop_key(1).relay_id, hop_key(2).relay_id

    heard = [await world.guard.hop_messages.answer(first, message) for _ in range(3)]
    others = [await world.guard.hop_messages.answer(second, message) for _ in range(2)]

    assert Reason.SERVICE_BUSY == heard[2]
    assert [False, True] == [other == Reason.SERVICE_BUSY for other in others]
    assert 200 == (await post(world, wrap(hops=1, seed=2).packet)).status


class Long:
    """A destination with much to say."""

    async def answer(self, request: bytes, *, max_reply: int) -> SessionReply:
        return SessionReply(200, b"x" * 20 * BYTES_PER_OPENING)


async def test_a_long_answer_costs_whoever_asked_as_much_as_long_layers_do() -> None:
    ten = BudgetLimits(source_per_second=0.1, source_burst=10, per_second=100, burst=100)
    world = World(relays=1, destination=Long(), clients=ten, peers=ten)
    asking, other = hop_key(1).relay_id, hop_key(2).relay_id
    message = encode_hop_message(wrap(hops=1).packet._replace(depth=1))

    posted = [await world.guard.requests.answer(Route.STORAGE, b"", source="192.0.2.1") for _ in range(2)]
    heard = [await world.guard.hop_messages.answer(peer, message) for peer in (asking, asking, other)]

    assert [200, 503] == [answer.status for answer in posted]
    assert [False, True, False] == [answer is Reason.SERVICE_BUSY for answer in heard]
