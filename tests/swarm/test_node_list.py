"""The list of nodes: what a question gets of it, and what is read of a stranger's."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onionpath.errors import MalformedError
from onionpath.swarm.node_list import encode_nodes, parse_nodes
from onionpath.swarm.node_question import NodesQuestion, answer_nodes
from tests.directory.networks import door, identity
from tests.swarm.rosters import roster_of

ROSTER = roster_of({1: 0, 2: 2**63, 3: None})
STATE: dict[str, Any] = {
    "pubkey_ed25519": identity(1).relay_id.hex(),
    "pubkey_x25519": door(1).key.encoded.hex(),
    "public_ip": "20.1.0.1",
    "storage_port": 22_021,
}
OTHER: dict[str, Any] = {
    "pubkey_ed25519": identity(2).relay_id.hex(),
    "pubkey_x25519": door(2).key.encoded.hex(),
    "public_ip": "20.2.0.1",
    "storage_port": 22_021,
}


def asked(lot: bytes = b"", **params: object) -> dict[str, Any]:
    return answer_nodes(NodesQuestion.parse(params), ROSTER, lot=lot)


def states(**params: object) -> list[dict[str, Any]]:
    return list(asked(**params)["service_node_states"])


def listed(*nodes: object) -> bytes:
    return json.dumps({"service_node_states": nodes}).encode()


def test_a_client_gets_exactly_the_fields_that_it_names() -> None:
    """session-desktop's own question."""
    fields = {**dict.fromkeys(STATE, True), "storage_server_version": True}

    first = next(each for each in states(active_only=True, fields=fields) if each["public_ip"] == "20.1.0.1")

    assert {**STATE, "storage_server_version": (2, 8, 0)} == first


def test_beside_the_list_stands_only_what_was_asked_for() -> None:
    assert {"service_node_states", "status"} == asked(fields=["public_ip"]).keys()
    assert ROSTER.number == asked(fields=["height"])["height"]
    assert ROSTER.digest.hex() == asked()["block_hash"]


def test_all_fields_do_not_include_one_that_session_has_not() -> None:
    assert "certificate_hash" not in states()[0]
    assert "certificate_hash" not in states(fields={"all": True})[0]
    assert "certificate_hash" in states(fields=["all", "certificate_hash"])[0]


def test_a_field_can_be_taken_away_from_all() -> None:
    assert "public_ip" not in states(fields=["all", "-public_ip"])[0]


def test_a_relay_that_stores_nothing_is_in_the_swarm_that_none_is() -> None:
    found = {(each["swarm_id"], each["swarm"]) for each in states()}

    assert {(0, "0"), (2**63, "8000000000000000"), (2**64 - 1, "f" * 16)} == found


def test_a_limit_draws_other_nodes_each_time() -> None:
    drawn = {
        asked(lot, limit=1)["service_node_states"][0]["public_ip"]
        for lot in map(bytes, ([n] for n in range(40)))
    }

    assert {"20.1.0.1", "20.2.0.1", "20.3.0.1"} == drawn


@pytest.mark.parametrize("limit", [0, -1, 3, 100])
def test_a_limit_that_is_none_leaves_all(limit: int) -> None:
    assert 3 == len(states(limit=limit))


def test_nodes_can_be_asked_for_by_key() -> None:
    key = identity(2).relay_id.hex()

    assert [key] == [
        each["pubkey_ed25519"] for each in states(service_node_pubkeys=[key.upper(), "nonsense"])
    ]


@pytest.mark.parametrize(
    "params", [{"limit": "1"}, {"limit": True}, {"fields": 1}, {"fields": {"a": 1}}, [], "x"]
)
def test_parameters_of_another_type_are_refused(params: object) -> None:
    with pytest.raises(MalformedError):
        NodesQuestion.parse(params)


def test_whatever_is_written_is_read() -> None:
    read = parse_nodes(encode_nodes(ROSTER.nodes))

    assert (ROSTER.nodes, 0) == (read.nodes, read.dropped)


def test_a_list_is_read_as_a_seed_answers_it_and_by_itself() -> None:
    answer = json.dumps({"jsonrpc": "2.0", "id": 0, "result": asked()}).encode()

    assert 3 == len(parse_nodes(answer).nodes)
    assert parse_nodes(answer).nodes == parse_nodes(json.dumps(asked()).encode()).nodes


def test_of_a_stranger_s_node_only_what_is_known_is_looked_at() -> None:
    assert 1 == len(parse_nodes(listed({**STATE, "operator": {"any": ["thing"]}})).nodes)


@pytest.mark.parametrize(
    "change",
    [
        {"pubkey_ed25519": "00" * 32},
        {"pubkey_ed25519": "ab"},
        {"pubkey_x25519": "00" * 32},
        {"pubkey_x25519": "ff" * 32},
        {"public_ip": "0.0.0.0"},  # noqa: S104  # as nodes stand in lists that never said where they are
        {"public_ip": "::1"},
        {"public_ip": "example.org"},
        {"public_ip": "1.2.3.04"},
        {"storage_port": 0},
        {"storage_port": 65_536},
        {"storage_port": "22021"},
        {"storage_port": True},
        {"swarm_id": -1},
        {"swarm_id": 2**64},
        {"certificate_hash": ""},
        {"certificate_hash": "ab"},
        {"certificate_hash": "no hex"},
        {"pubkey_ed25519": OTHER["pubkey_ed25519"]},
        {"pubkey_x25519": OTHER["pubkey_x25519"]},
        {"public_ip": OTHER["public_ip"]},
    ],
    ids=str,
)
def test_a_bad_node_is_left_out_and_counted(change: dict[str, object]) -> None:
    read = parse_nodes(listed(OTHER, {**STATE, **change}))

    assert ([OTHER["public_ip"]], 1) == ([node.host for node in read.nodes], read.dropped)


@pytest.mark.parametrize("missing", STATE)
def test_a_node_without_what_a_path_needs_is_left_out(missing: str) -> None:
    state = {name: value for name, value in STATE.items() if name != missing}

    assert ((), 1) == (parse_nodes(listed(state)).nodes, parse_nodes(listed(state)).dropped)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"{}",
        b'{"service_node_states":1}',
        b'{"result":[]}',
        b'{"service_node_states":[],"service_node_states":[]}',
        b'{"service_node_states":[],"x":0.5}',
        b'{"service_node_states":' + 8 * b"[" + 8 * b"]" + b"}",
        listed(*[{}] * 20_001),
    ],
    ids=lambda text: text[:40].decode(),
)
def test_what_is_no_list_is_refused(text: bytes) -> None:
    with pytest.raises(MalformedError):
        parse_nodes(text)


def test_text_of_quotes_and_backslashes_costs_no_more_than_its_length() -> None:
    """Looking for a string's end again and again would take minutes for a list of this size."""
    started = time.process_time()

    with pytest.raises(MalformedError):
        parse_nodes(b'"' + b'\\"' * 500_000)

    assert time.process_time() - started < 2


@given(st.binary(max_size=200))
def test_any_bytes_raise_nothing_but_our_error(data: bytes) -> None:
    with pytest.raises(MalformedError):
        parse_nodes(data)
