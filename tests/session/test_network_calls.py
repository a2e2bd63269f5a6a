"""What a relay that stores nothing answers: everything about the network, and who does store."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from onionpath.injected import UnixTime
from onionpath.onion.session_packets import SessionReply
from onionpath.swarm.nodes import Roster
from onionpath.swarm.rpc import MAX_REQUEST_SIZE
from relay.session.network_destination import NetworkDestination
from relay.session.newest_roster import NewestRoster
from tests.directory.networks import NOW, descriptor, network
from tests.onion.session_paths import hop_key
from tests.session.doors import CertificateFiles, ask, open_door
from tests.session.relays import World
from tests.swarm.accounts import PERSON
from tests.swarm.rosters import roster_of

VECTORS = Path(__file__).parents[1] / "vectors" / "session"
DIRECTORY = network([descriptor(number) for number in range(1, 4)]).directory()
OURS = hop_key(0).relay_id
NOT_READY = f"Snode not ready: {OURS.hex()}".encode()


def clock() -> UnixTime:
    return UnixTime(NOW)


async def ask_node(request: bytes, *, max_reply: int = 10_000, roster: Roster | None = None) -> SessionReply:
    listed = roster or Roster.of(DIRECTORY)
    return await NetworkDestination(OURS, lambda: listed, clock=clock).answer(request, max_reply=max_reply)


async def test_the_network_is_told_in_json() -> None:
    reply = await ask_node(b'{"method":"info","params":{}}')

    assert (200, True) == (reply.status, reply.is_json)
    assert int(NOW * 1000) == json.loads(reply.body)["t"]


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        (b"", b"invalid json"),
        (b"[]", b"invalid json"),
        (b"\xff", b"invalid json"),
        (b"[" * 10_000, b"invalid json"),
        (b'{"method":"info","params":{},"x":' + b"[" * 512 + b"]" * 512 + b"}", b"invalid json"),
        (b" " * MAX_REQUEST_SIZE + b"{}", b"invalid json"),
        (b"{}", b"invalid json: no `method` field"),
        (b'{"method":1,"params":{}}', b"invalid json: no `method` field"),
        (b'{"method":"info"}', b"invalid json: no `params` field"),
        (b'{"method":"info","params":[]}', b"invalid json: no `params` field"),
        (b'{"method":"nope","params":{}}', b"no method nope"),
        (b'{"method":"no\\npe","params":{}}', b"no method "),
        (b'{"method":"' + b"x" * 65 + b'","params":{}}', b"no method "),
        (b'{"method":"store","params":{}}', b"invalid request: Required field 'timestamp' missing"),
    ],
)
async def test_what_it_cannot_answer_it_refuses_in_the_words_of_the_original(
    request_: bytes, text: bytes
) -> None:
    assert SessionReply(400, text) == await ask_node(request_)


async def test_the_refusals_are_those_that_were_captured() -> None:
    captured = json.loads((VECTORS / "live_capture.json").read_text(encoding="utf-8"))["onion"]
    replies = [json.loads(each["plain"]["plaintext_text"]) for each in captured if "plain" in each]
    refused = [each for each in replies if each["status"] == 400]

    assert 2 == len(refused)
    for reply in refused:
        asked = b'{"method":"nope","params":{}}' if "method" in reply["body"] else b"no json"
        ours = await ask_node(asked)
        assert (reply["status"], reply["body"].encode()) == (ours.status, ours.body)


async def test_whoever_stores_or_retrieves_here_is_sent_to_the_right_swarm() -> None:
    """As by any relay of another swarm."""
    roster = roster_of({1: 0, 2: 0})
    for request in (PERSON.store(), PERSON.retrieve()):
        reply = await ask_node(json.dumps(request).encode(), roster=roster)

        assert 421 == reply.status
        assert {node.relay_id.hex() for node in roster.nodes} == {
            node["pubkey_ed25519"] for node in json.loads(reply.body)["snodes"]
        }


async def test_a_reply_that_is_too_long_is_none() -> None:
    assert SessionReply(413, b"reply too large") == await ask_node(
        b'{"method":"info","params":{}}', max_reply=10
    )


async def test_a_relay_without_a_valid_document_is_not_ready(certificate: CertificateFiles) -> None:
    long_after = UnixTime(DIRECTORY.document.valid_until + 86_400)
    expired = NewestRoster(lambda: DIRECTORY, clock=lambda: long_after)
    valid = NewestRoster(lambda: DIRECTORY, clock=clock)
    call = b'{"method":"info","params":{}}'

    assert SessionReply(503, NOT_READY) == await NetworkDestination(OURS, expired, clock=clock).answer(
        call, max_reply=1_000
    )
    assert valid() is valid() is not None
    async with open_door(World(), certificate, is_seed=True) as door:
        answer = await ask(door.port, "/json_rpc", call)
    assert (503, NOT_READY) == (answer.status, answer.body)
