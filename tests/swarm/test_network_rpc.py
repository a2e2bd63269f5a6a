"""What a relay answers about the network, compared with what Session's own daemons have answered."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onionpath.crypto.identity import RelayId
from onionpath.crypto.session_channels import SessionPublicKey
from onionpath.onion.session_packets import SessionReply
from onionpath.swarm.network_rpc import answer_network, answer_seed, wrong_swarm
from onionpath.swarm.nodes import Roster, SessionNode
from tests.directory.networks import NOW
from tests.swarm.rosters import roster_of

FOLDER = Path(__file__).parents[1] / "vectors" / "session"
CAPTURED: list[dict[str, Any]] = json.loads((FOLDER / "live_capture.json").read_text())["rpc"]
BATCH = next(each for each in CAPTURED if each["description"] == "batch")["response"]["results"]
WRONG_SWARM: list[dict[str, Any]] = json.loads((FOLDER / "live_wrong_swarm_421.json").read_text())["vectors"]
MOVED = [each for each in WRONG_SWARM if each.get("http_status") == 421]
SWARM_IDS = json.loads((FOLDER / "live_wrong_swarm_421.json").read_text())["meta"]["swarms"]

ROSTER = roster_of({1: 0, 2: 2**63})
ACCOUNT = "05" + "00" * 32
T = int(NOW * 1000)
# What the original tells of transports that we have not.
OTHER_TRANSPORTS = {"port_omq", "port_quic"}


def call(method: str, roster: Roster = ROSTER, **params: object) -> SessionReply:
    reply = answer_network(method, params, roster, now_ms=T)
    assert reply is not None
    return reply


def answered(method: str, roster: Roster = ROSTER, **params: object) -> dict[str, Any]:
    reply = call(method, roster, **params)
    assert (200, True) == (reply.status, reply.is_json)
    return dict(json.loads(reply.body))


def captured_roster(snodes: list[dict[str, Any]], swarm: int, *, name: str = "pubkey_ed25519") -> Roster:
    """The swarm that the original has told of."""
    nodes = tuple(
        SessionNode(
            RelayId(bytes.fromhex(each[name])),
            SessionPublicKey(bytes.fromhex(each["pubkey_x25519"])),
            each["ip"],
            each["port_https"],
            swarm=swarm,
        )
        for each in snodes
    )
    return Roster(nodes, {each: nodes if each == swarm else () for each in SWARM_IDS}, 1, bytes(32))


def test_info_has_the_shape_of_the_original_s() -> None:
    expected = {**BATCH[0]["body"], "t": T, "timestamp": T, "version": [2, 8, 0]}

    assert expected == answered("info")


@pytest.mark.parametrize("vector", MOVED, ids=lambda vector: vector["pubkey"][:10])
def test_an_account_of_another_swarm_gets_the_original_s_body(vector: dict[str, Any]) -> None:
    body = vector["body"]
    roster = captured_roster(body["snodes"], int(body["swarm"], 16))
    # The original's older name of a node is another key; ours has one only.
    same = OTHER_TRANSPORTS | {"address", "pubkey_legacy"}
    snodes = [{key: each[key] for key in each.keys() - same} for each in body["snodes"]]

    reply = wrong_swarm(bytes.fromhex(vector["pubkey"]), roster, now_ms=T)
    ours = json.loads(reply.body)
    ours["snodes"] = [{key: each[key] for key in each.keys() - same} for each in ours["snodes"]]

    assert 421 == reply.status
    assert {**body, "snodes": snodes, "t": T} == ours


def test_a_node_has_the_fields_and_the_address_of_the_original() -> None:
    told = BATCH[2]["body"]["snodes"]
    roster = captured_roster(told, SWARM_IDS[0], name="pubkey_legacy")
    account = f"05{SWARM_IDS[0]:064x}"

    ours = answered("get_swarm", roster, pubkey=account)["snodes"]

    assert [each["address"] for each in told] == [each["address"] for each in ours]
    assert told[0].keys() - OTHER_TRANSPORTS == ours[0].keys()


@pytest.mark.parametrize("method", ["get_swarm", "get_snodes_for_pubkey"])
@pytest.mark.parametrize("name", ["pubkey", "pubKey"])
def test_a_swarm_is_told_under_each_name_of_the_call(method: str, name: str) -> None:
    told = answered(method, **{name: ACCOUNT})

    assert ("0", ["20.1.0.1"]) == (told["swarm"], [each["ip"] for each in told["snodes"]])


def test_where_nobody_stores_the_swarm_is_empty() -> None:
    told = answered("get_swarm", roster_of({1: None}), pubkey=ACCOUNT)

    assert ("f" * 16, []) == (told["swarm"], told["snodes"])


@pytest.mark.parametrize("account", ["05aa", "", 5, None, "05" + "zz" * 32, ACCOUNT + "\n", ["05"]])
def test_an_account_of_another_form_is_refused_as_the_original_does(account: object) -> None:
    refusal = next(each for each in CAPTURED if each["description"] == "store bad pubkey")

    reply = call("get_swarm", pubkey=account)

    assert (refusal["http_status"], refusal["response"]) == (reply.status, reply.body.decode())


def test_an_endpoint_that_is_not_about_nodes_is_refused_as_the_original_does() -> None:
    refusal = next(each for each in CAPTURED if each["description"] == "oxend_request not allowed")

    reply = call("oxend_request", endpoint="get_info")

    assert (refusal["http_status"], refusal["response"]) == (reply.status, reply.body.decode())


@pytest.mark.parametrize("endpoint", [None, 5, "\ud800", "x" * 65, "a\nb"])
def test_what_is_no_name_of_an_endpoint_does_not_come_back(endpoint: object) -> None:
    assert b"invalid request: Invalid oxend endpoint ''" == call("oxend_request", endpoint=endpoint).body


def test_the_list_comes_by_a_storage_call_too() -> None:
    told = answered("oxend_request", endpoint="get_service_nodes", params={"fields": {"public_ip": True}})

    assert {"result", "t", "hf"} == told.keys()
    assert {"20.1.0.1", "20.2.0.1"} == {each["public_ip"] for each in told["result"]["service_node_states"]}


def test_parameters_may_be_missing_or_null() -> None:
    assert 2 == len(answered("oxend_request", endpoint="get_service_nodes")["result"]["service_node_states"])
    assert answered("oxend_request", endpoint="get_service_nodes", params=None)["result"]


def test_the_list_is_refused_to_a_question_of_another_type() -> None:
    assert 400 == call("oxend_request", endpoint="get_service_nodes", params={"limit": "many"}).status


@pytest.mark.parametrize("method", ["store", "batch", "", "INFO"])
def test_other_calls_are_left_to_the_store(method: str) -> None:
    assert answer_network(method, {}, ROSTER, now_ms=T) is None


def seed(request: object) -> tuple[int, dict[str, Any]]:
    status, body = answer_seed(json.dumps(request).encode(), ROSTER, now_ms=T)
    return status, json.loads(body)


def test_a_seed_answers_session_desktop() -> None:
    """It sends no id."""
    fields = dict.fromkeys(("public_ip", "storage_port", "pubkey_x25519", "pubkey_ed25519"), True)
    params = {"active_only": True, "fields": fields}

    status, answer = seed({"jsonrpc": "2.0", "method": "get_n_service_nodes", "params": params})

    assert (200, "2.0", None) == (status, answer["jsonrpc"], answer["id"])
    assert fields.keys() == answer["result"]["service_node_states"][0].keys()


@pytest.mark.parametrize("request_id", [0, "0", -7])
def test_a_seed_gives_the_id_back(request_id: object) -> None:
    assert request_id == seed({"method": "get_service_nodes", "id": request_id})[1]["id"]


@pytest.mark.parametrize(
    ("status", "code", "request_"),
    [
        (200, -32_601, {"method": "get_info"}),
        (200, -32_602, {"method": "get_n_service_nodes", "params": {"limit": "x"}}),
        (200, -32_602, {"method": "get_n_service_nodes", "params": []}),
        (400, -32_700, {"params": {}}),
        (400, -32_700, []),
        (400, -32_700, {"method": "get_n_service_nodes", "id": 2**64}),
        (400, -32_700, {"method": "get_n_service_nodes", "id": "\ud800"}),
        (400, -32_700, {"method": "get_n_service_nodes", "params": [[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]}),
        (400, -32_700, {"method": "get_n_service_nodes", "x": "x" * 16_384}),
    ],
    ids=str,
)
def test_a_seed_refuses_everything_else(status: int, code: int, request_: object) -> None:
    assert (status, code) == (seed(request_)[0], seed(request_)[1]["error"]["code"])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=9,
)


@given(
    st.sampled_from(["info", "get_swarm", "oxend_request"]),
    st.dictionaries(st.text(max_size=9), JSON, max_size=3),
    JSON,
)
def test_no_parameters_break_a_call(method: str, params: dict[str, object], value: object) -> None:
    for given_ in (params, {"pubkey": value}, {"endpoint": "get_service_nodes", "params": value}):
        reply = answer_network(method, given_, ROSTER, now_ms=T)

        assert reply is not None
        assert reply.status in (200, 400)


@given(
    st.binary(max_size=200)
    | JSON.map(lambda value: json.dumps({"method": "get_service_nodes", "params": value}).encode())
)
def test_no_bytes_break_a_seed(request_: bytes) -> None:
    status, body = answer_seed(request_, ROSTER, now_ms=T)

    assert (status, "2.0") in {(200, json.loads(body)["jsonrpc"]), (400, json.loads(body)["jsonrpc"])}
