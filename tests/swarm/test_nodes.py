"""Which relays Session's clients are told of, and which of them store for whom."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from onionpath.swarm.nodes import Roster, SessionNode, session_nodes
from tests.directory.networks import descriptor, door, identity, network
from tests.swarm.rosters import directory_of, roster_of, session_relay, with_swarms

FOLDER = Path(__file__).parents[1] / "vectors" / "session"
SPACES: list[dict[str, Any]] = json.loads((FOLDER / "swarm_space.json").read_text())["vectors"]


def test_a_node_is_what_its_relay_has_signed_and_the_swarm_that_authorities_gave_it() -> None:
    directory = directory_of({1: 7})

    key = door(1).key
    certificate = door(1).certificate_hash
    assert (SessionNode(identity(1).relay_id, key, "20.1.0.1", 22_021, certificate, 7),) == session_nodes(
        directory
    )


def test_a_relay_without_a_session_door_is_no_node() -> None:
    directory = network([session_relay(1), descriptor(2)]).directory()

    assert [identity(1).relay_id] == [node.relay_id for node in session_nodes(directory)]


def test_a_swarm_whose_members_are_no_nodes_still_has_its_part_of_the_ring() -> None:
    """Otherwise its accounts would move to a swarm that doesn't store for them."""
    with_door, without = session_relay(1), descriptor(2)
    swarms = {with_door.relay_id: 0, without.relay_id: 2**63}
    directory = with_swarms([with_door, without], swarms)

    roster = Roster.of(directory)

    assert 2**63 == roster.swarm_of((2**63 + 5).to_bytes(32, "big"))
    assert () == roster.swarms[2**63]


def test_where_nobody_stores_an_account_has_no_swarm() -> None:
    assert roster_of({1: None}).swarm_of(bytes(32)) is None


@pytest.mark.parametrize("vector", SPACES, ids=lambda vector: f"{vector['pubkey'][:8]}-{vector['swarm_id']}")
def test_an_account_is_stored_where_sessions_own_code_looks_for_it(vector: dict[str, Any]) -> None:
    swarms = dict.fromkeys(sorted(vector["swarm_ids"]), ())
    roster = Roster((), swarms, 1, bytes(32))

    assert vector["swarm_id"] == roster.swarm_of(bytes.fromhex(vector["pubkey"])[1:])
