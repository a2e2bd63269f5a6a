"""Each line of the table of refusals, at the door of a first relay: docs/specs/session-onion.md §9.1."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from onionpath.crypto.session_channels import SessionPublicKey
from onionpath.onion.replay import MemoryTables, slot_at
from onionpath.onion.session_answers import HopAnswer
from onionpath.onion.session_framing import encode_framing
from onionpath.onion.session_http import MAX_BODY_SIZE
from onionpath.onion.session_lsrpc import LsrpcServer
from onionpath.onion.session_messages import encode_post
from onionpath.onion.session_packets import ServerCall, SessionCall, SessionHop, SessionPacket
from onionpath.onion.session_v4 import V4Request
from onionpath.onion.statuses import Reason
from tests.onion.session_paths import ONION, entropy, hop_key, hops_of, packet_to, wrap
from tests.session.doors import CertificateFiles, ask, open_door
from tests.session.relays import NOW, SLOT_S, Exit, World

FIRST, SECOND, THIRD = (hop_key(number).relay_id for number in range(3))


def nothing(world: World) -> None:
    pass


@dataclass(frozen=True)
class Case:
    """A packet, what is the matter with the network, and what the client is told."""

    status: int
    body: bytes
    packet: Callable[[], SessionPacket] = lambda: wrap().packet
    harm: Callable[[World], None] = nothing
    lost_memories: tuple[int, ...] = ()


def harm(relay: int, reason: Reason) -> Callable[[World], None]:
    return lambda world: world.neighbours.reasons.update({hop_key(relay).relay_id: reason})


def answers(relay: int, data: bytes) -> Callable[[World], None]:
    return lambda world: world.neighbours.answers.update({hop_key(relay).relay_id: data})


def with_wrong_key_at_the_second() -> SessionPacket:
    hops = hops_of(range(3))
    wrong: SessionPublicKey = hop_key(9).private.public
    return ONION.wrap(
        [hops[0], SessionHop(SECOND, wrong), hops[2]], SessionCall(b"hello"), entropy=entropy(1)
    ).packet


def to_server() -> SessionPacket:
    call = ServerCall(LsrpcServer("example.org"), hop_key(7).private.public, V4Request("GET", "/"))
    return ONION.wrap(hops_of(range(2)), call, entropy=entropy(1)).packet


def exit_says(answer: HopAnswer) -> Callable[[World], None]:
    def tell(world: World) -> None:
        assert world.exit_ is not None
        world.exit_.answer = answer

    return tell


INVALID = b"Invalid ciphertext"
TOO_LONG = b"onion request max path length exceeded"
TABLE = {
    "the first relay cannot open it": Case(
        400, INVALID, lambda: wrap().packet._replace(ephemeral=hop_key(9).private.public)
    ),
    "a later relay cannot open it": Case(400, INVALID, with_wrong_key_at_the_second),
    "what was sealed is no JSON": Case(400, INVALID, lambda: packet_to(0, b"\4\0\0\0blob{")),
    "what was sealed makes no sense": Case(
        400, INVALID, lambda: packet_to(0, encode_framing(b"blob", {"host": "127.1"}))
    ),
    "too many layers": Case(400, TOO_LONG, lambda: wrap().packet._replace(depth=5)),
    "the fifth layer leads on": Case(400, INVALID, lambda: wrap(hops=3).packet._replace(depth=3)),
    "the first relay knows no such relay": Case(
        502, b"Next node not found: " + SECOND.hex().encode(), harm=harm(1, Reason.NEXT_UNKNOWN)
    ),
    "a later relay knows no such relay": Case(
        502, b"Next node not found: " + THIRD.hex().encode(), harm=harm(2, Reason.NEXT_UNKNOWN)
    ),
    "the next relay is silent": Case(504, b"Request time out", harm=harm(1, Reason.NEXT_TIMED_OUT)),
    "a later relay is silent": Case(504, b"Request time out", harm=harm(3, Reason.NEXT_TIMED_OUT)),
    "the next relay answers nonsense": Case(500, b"Invalid response from snode", harm=answers(1, b"\0")),
    # The second relay says 500, which no relay passes on as another one's word; the text stays.
    "a later relay answers nonsense": Case(500, b"Invalid response from snode", harm=answers(2, b"\0")),
    "the next relay is overloaded": Case(
        503, b"Server busy, try again later", harm=harm(1, Reason.SERVICE_BUSY)
    ),
    "the first relay is not ready": Case(
        503, b"Snode not ready: " + FIRST.hex().encode(), lost_memories=(0,)
    ),
    "a later relay is not ready": Case(503, b"Snode not ready: " + THIRD.hex().encode(), lost_memories=(2,)),
    "the server is not reached": Case(
        502, b"Server unreachable", to_server, exit_says(HopAnswer(502, b"Server unreachable"))
    ),
    "the server is silent": Case(
        504, b"Server time out", to_server, exit_says(HopAnswer(504, b"Server time out"))
    ),
}


@pytest.mark.parametrize("case", TABLE.values(), ids=TABLE.keys())
async def test_each_refusal_reaches_the_client_as_the_table_has_it(
    case: Case, certificate: CertificateFiles
) -> None:
    floor = slot_at(NOW, SLOT_S) + 1
    world = World(exit_=Exit(), tables={relay: MemoryTables(floor=floor) for relay in case.lost_memories})
    case.harm(world)
    async with open_door(world, certificate) as door:
        answer = await ask(door.port, "/onion_req/v2", encode_post(case.packet()))

    assert (case.status, case.body) == (answer.status, answer.body)
    assert "text/plain" == answer.headers["content-type"]


async def test_the_longest_body_is_read_and_a_byte_more_is_not(certificate: CertificateFiles) -> None:
    async with open_door(World(), certificate) as door:
        longest = await ask(door.port, "/onion_req/v2", bytes(MAX_BODY_SIZE))
        longer = await ask(door.port, "/onion_req/v2", bytes(MAX_BODY_SIZE + 1))

    assert (400, INVALID) == (longest.status, longest.body)
    assert (413, b"Request body too large") == (longer.status, longer.body)
