"""Calls that Session's own daemons were asked, asked of ours in the same order, and what both have answered."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from onionpath.crypto.identity import is_signed_by
from onionpath.swarm.operations import Deleted, Expiring, Result, Revoked, Shortened, Stored, Version
from onionpath.swarm.parts import statement
from onionpath.swarm.requests import (
    Asked,
    DeleteAllRequest,
    DeleteBeforeRequest,
    DeleteRequest,
    ExpireAllRequest,
    ExpireRequest,
    RevokeRequest,
    StoreRequest,
)
from onionpath.swarm.rpc import read_request
from tests.swarm.members import Members

Call = dict[str, Any]

FOLDER = Path(__file__).parents[1] / "vectors" / "session"
CALLS: list[Call] = json.loads((FOLDER / "live_capture.json").read_text())["rpc"]
NAMES = [call["description"] for call in CALLS]
# What is told of the network instead of messages is in test_network_rpc.
ABOUT_THE_NETWORK = {"batch", "oxend_request get_service_nodes"}
LONG_DATA = {"(b64 of byte 0x78 x76801)": 76_801, "(102400 b64 chars of byte 0x78 x76800)": 76_800}


def request_of(call: Call) -> bytes:
    """The bytes that were sent; the capture abbreviates some."""
    if "raw_request" in call:
        return str(call["raw_request"]).encode()
    request = call["request"]
    if request == "21 x info":
        request = {"method": "batch", "params": {"requests": [{"method": "info", "params": {}}] * 21}}
    data = request["params"].get("data")
    if data in LONG_DATA:
        request["params"]["data"] = b64encode(b"x" * LONG_DATA[data]).decode()
    return json.dumps(request).encode()


@cache
def answers() -> dict[str, tuple[int, Any]]:
    """Status and body of our reply to each call, in the order of the capture."""
    members, now_ms, found = Members(), 1_795_318_536_524, {}
    for call in CALLS:
        now_ms = time_of(call, now_ms)
        reply = members.ask(request_of(call), now_ms=now_ms)
        body = json.loads(reply.body) if reply.is_json else reply.body.decode()
        found[call["description"]] = (reply.status, body)
    return found


def time_of(call: Call, before_ms: int) -> int:
    response = call["response"]
    return int(response.get("t", before_ms)) if isinstance(response, dict) else before_ms


def shape(body: Any) -> Any:
    """A reply without what differs between two runs: times, members' names, signatures, versions of programs."""
    if not isinstance(body, dict):
        return body
    shaped = {name: value for name, value in body.items() if name not in {"t", "timestamp", "height"}}
    if "swarm" in shaped:
        shaped["swarm"] = [part_shape(part) for part in shaped["swarm"].values()]
    if "version" in shaped or "v" in shaped:
        shaped |= {name: len(shaped[name]) for name in ("version", "v") if name in shaped}
    if "results" in shaped:
        shaped["results"] = [shape(each) for each in shaped["results"]]
    for name in ("body", "result"):
        if name in shaped:
            shaped[name] = shape(shaped[name])
    return shaped


def part_shape(part: dict[str, Any]) -> dict[str, Any]:
    """The original writes a time into its own entry, which no client needs, and true as 1 into others."""
    shaped = {name: value for name, value in part.items() if name != "t"}
    assert 64 == len(b64decode(shaped.pop("signature")))
    return {**shaped, **({"already": True} if "already" in shaped else {})}


@pytest.mark.parametrize("call", CALLS, ids=NAMES)
def test_a_captured_call_gets_the_captured_status_and_shape(call: Call) -> None:
    if call["description"] in ABOUT_THE_NETWORK:
        pytest.skip("it is told of the network")
    status, body = answers()[call["description"]]

    assert (call["http_status"], shape(call["response"])) == (status, shape(body))


def test_a_batch_answers_each_of_its_requests() -> None:
    status, body = answers()["batch"]

    assert (200, [200, 401, 200]) == (status, [each["code"] for each in body["results"]])


SIGNED = [call for call in CALLS if isinstance(call["response"], dict) and "swarm" in call["response"]]


@pytest.mark.parametrize("call", SIGNED, ids=[call["description"] for call in SIGNED])
def test_members_of_the_original_have_signed_what_ours_would_sign(call: Call) -> None:
    asked = read_request(request_of(call))
    assert isinstance(asked, Asked)
    for member, part in call["response"]["swarm"].items():
        said = statement(asked.request, result_of(asked, part), judged_at_ms=call["response"]["t"])  # type: ignore[arg-type]

        assert said is not None
        fields, signed = said
        assert is_signed_by(bytes.fromhex(member), b64decode(part["signature"]), signed)
        assert json.loads(json.dumps(fields)) == part_shape(part)


def result_of(asked: Asked, part: dict[str, Any]) -> Result:
    """What a store must have answered for a member to say this."""
    match asked.request:
        case StoreRequest():
            return Stored("already" in part, part["expiry"], Version(1))
        case DeleteRequest():
            return Deleted({0: tuple(part["deleted"])})
        case DeleteAllRequest() | DeleteBeforeRequest():
            return Deleted(by_namespace(part["deleted"]))
        case ExpireAllRequest():
            return Shortened(by_namespace(part["updated"]))
        case ExpireRequest():
            return Expiring(dict.fromkeys(part["updated"], part["expiry"]), part.get("unchanged", {}))
        case RevokeRequest():
            return Revoked(part.get("count", 0))
    raise AssertionError("a question has no part")


def by_namespace(hashes: Any) -> dict[int, tuple[str, ...]]:
    if isinstance(hashes, list):
        return {0: tuple(hashes)}
    return {int(name): tuple(some) for name, some in hashes.items()}


STRINGS = [call for call in CALLS if "signed_string" in call or "signed_bytes_hex" in call]


@pytest.mark.parametrize("call", STRINGS, ids=[call["description"] for call in STRINGS])
def test_a_request_signs_the_captured_string(call: Call) -> None:
    asked = read_request(request_of(call))
    assert isinstance(asked, Asked)

    captured = bytes.fromhex(call["signed_bytes_hex"]) if "signed_bytes_hex" in call else None
    assert (captured or call["signed_string"].encode()) == asked.request.signed
