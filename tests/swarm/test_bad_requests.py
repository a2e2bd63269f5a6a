"""What requests get that cannot be read: the documented status, and nothing is stored, deleted or even judged."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onionpath.swarm.fields import MAX_HASHES
from onionpath.swarm.rpc import MAX_REQUEST_SIZE
from tests.swarm.accounts import DAY_MS, GROUP, OTHER, PERSON, Json, T, base64, several
from tests.swarm.members import Members, held

HASH = "a" * 42 + "A"
SIGNATURE = base64(bytes(64))
INFO = {"method": "info", "params": {}}

Changes = dict[str, Any]


def refused(request: object) -> str:
    """The text of the reply to a request that must be 400 and leave everything as it was."""
    members = Members.of(1)
    members.ask(PERSON.store(b"stays"), now_ms=T)
    before = held(members, now_ms=T)

    reply = members.ask(request, now_ms=T)

    assert (400, False, before) == (reply.status, reply.is_json, held(members, now_ms=T))
    return reply.body.decode()


def changed(request: Json, changes: Changes) -> Json:
    return {**request, "params": {**request["params"], **changes}}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "invalid json"),
        (b"\xff", "invalid json"),
        (b"[]", "invalid json"),
        (b'"info"', "invalid json"),
        (b'{"method":"info","params":{}}{}', "invalid json"),
        (b'{"method":"info","method":"info","params":{}}', "invalid json"),
        (b'{"method":"info","params":{"a":1,"a":1}}', "invalid json"),
        (b'{"method":"info","params":{"a":1.5}}', "invalid json"),
        (b'{"method":"info","params":{"a":NaN}}', "invalid json"),
        (b'{"method":"info","params":{"a":1' + b"0" * 5000 + b"}}", "invalid json"),
        (b"[" * 100_000, "invalid json"),
        (b'{"method":"info","params":{"a":' + b"[" * 511 + b"]" * 511 + b"}}", "invalid json"),
        (b"{}" + b" " * MAX_REQUEST_SIZE, "invalid json"),
        (b'{"method":"info","params":{"a":' + b"1" * 400 + b"}}", "invalid json"),
        (b'{"method":"info","params":{"a":[1' + b",1" * 150_000 + b"]}}", "invalid json"),
        (b'{"method":"info","params":{"a":"' + b":" * 5_000 + b'"}}', "invalid json"),
        (b"{}", "invalid json: no `method` field"),
        (b'{"method":1,"params":{}}', "invalid json: no `method` field"),
        (b'{"method":"info"}', "invalid json: no `params` field"),
        (b'{"method":"info","params":[]}', "invalid json: no `params` field"),
        (b'{"method":"nope","params":{}}', "no method nope"),
        (b'{"method":"\\ud800","params":{}}', "no method "),
        (b'{"method":"' + b"a" * 65 + b'","params":{}}', "no method "),
    ],
)
def test_an_envelope_that_cannot_be_read_is_refused(text: bytes, why: str) -> None:
    assert why == refused(text)


NO_INTEGERS = [True, 1.0, "x", "", "-1", "1e3", " 1", "٣", [], {}, [T], -1, 2**53, 2**63, 2**64, 10**400]
NO_TIMES = [*NO_INTEGERS, str(T), 0, 1, 10**9 - 1, 10**13]
NO_TIMES_OR_LISTS = [each for each in NO_TIMES if each != [T]]
NO_HASHES = [
    "",
    "a" * 42,
    "a" * 44,
    "a" * 42 + "=",
    "'" + "a" * 42,
    "a" * 42 + "\0",
    "a" * 42 + "%",
    1,
    None,
    [],
]
NO_SIGNATURES = [
    "",
    "x",
    1,
    [],
    "A" * 85,
    "A" * 87,
    "A" * 87 + "=",
    "A" * 88,
    "A" * 85 + "B",
    "A" * 86 + "=",
    "é" * 86,
]
NO_ACCOUNTS = [
    "",
    "05",
    "05" + "0" * 63,
    "05" + "0" * 65,
    "05" + "g" * 64,
    5,
    [],
    " " + "0" * 65,
    "05" * 33 + "\n",
]
NO_NAMESPACES = [True, 0.0, "0", "all", -(2**15) - 1, 2**15, [0], {}]
NO_TOKENS = ["A" * 47, "A" * 49, "g" * 72, "0" * 71, "=" * 48, 1, [[]]]

BAD: list[tuple[Json, str, list[Any]]] = [
    (PERSON.store(), "pubkey", [*NO_ACCOUNTS, None]),
    (PERSON.store(), "timestamp", [*NO_INTEGERS, None]),
    (PERSON.store(), "ttl", [*NO_INTEGERS, None]),
    (PERSON.store(ttl=None), "expiry", [*NO_INTEGERS, None]),
    (PERSON.store(), "expiry", [T + DAY_MS]),
    (PERSON.store(), "namespace", NO_NAMESPACES),
    (PERSON.store(), "data", [None, 1, [], "A", "AAAAA", "AAA=A", "AB==", "AA=", "A A=", "é", "A" * 102_401]),
    (PERSON.store(), "signature", NO_SIGNATURES),
    (PERSON.store(signature=SIGNATURE), "sig_timestamp", NO_TIMES),
    (PERSON.store(signature=SIGNATURE), "pubkey_ed25519", ["", "0" * 63, "g" * 64, 1, "\0" * 32]),
    (GROUP.store(signature=SIGNATURE), "pubkey_ed25519", ["0" * 64]),
    (PERSON.store(signature=SIGNATURE, subaccount_sig=SIGNATURE), "subaccount", NO_TOKENS),
    (PERSON.store(signature=SIGNATURE), "subaccount", ["A" * 48]),
    (PERSON.store(), "pubKey", [PERSON.account.hex(), OTHER.account.hex()]),
    (PERSON.retrieve(), "timestamp", [*NO_TIMES, None]),
    (PERSON.retrieve(), "signature", [*NO_SIGNATURES, None]),
    (PERSON.retrieve(), "last_hash", [each for each in NO_HASHES if each not in ("", None)]),
    (PERSON.retrieve(last_hash=HASH), "lastHash", [HASH]),
    (PERSON.retrieve(), "max_count", [-1, 2**31, True, "1", 1.0]),
    (PERSON.retrieve(), "max_size", [-(2**31) - 1, 2**31, True, "1", 1.0]),
    (
        PERSON.delete(HASH),
        "messages",
        [None, [], {}, *([each] for each in NO_HASHES), [HASH] * (MAX_HASHES + 1)],
    ),
    (PERSON.delete(HASH), "required", [1, 0, "true", []]),
    (PERSON.delete(HASH), "pubKey", [PERSON.account.hex()]),
    (PERSON.delete_all(), "namespace", ["ALL", "", "0", True, 2**15]),
    (PERSON.delete_all(), "timestamp", [*NO_TIMES, None]),
    (PERSON.delete_before(), "before", [*NO_TIMES, None, 10**12 - 1]),
    (PERSON.expire([HASH], T), "expiry", [*NO_TIMES_OR_LISTS, None, [T, T], [[T]]]),
    (PERSON.expire([HASH, HASH], [T, T]), "expiry", [[T, T + 1]]),
    (PERSON.expire([HASH], T, "shorten"), "extend", [True, 1]),
    (PERSON.expire_all(T), "expiry", [*NO_TIMES, None]),
    (PERSON.get_expiries(HASH), "messages", [None, [], *([each] for each in NO_HASHES)]),
    (PERSON.revoke(bytes(36)), "revoke", [None, [], [""], *([each] for each in NO_TOKENS), ["A" * 48] * 51]),
]
CASES = [(request, {name: value}) for request, name, values in BAD for value in values]


def test_every_wrong_value_of_a_field_is_refused_alone_and_in_a_batch() -> None:
    accepted = [
        (request["method"], changes)
        for request, changes in CASES
        if not is_refused(changed(request, changes))
        or not is_refused(several("batch", changed(request, changes)))
    ]

    assert [] == accepted


def is_refused(request: Json) -> bool:
    """JSON of Python writes a number that no double holds as it is, so that even this one arrives."""
    reply = Members.of(1).ask(request, now_ms=T)
    return reply.status == 400 and reply.body.startswith(b"invalid ")


def test_each_of_these_requests_is_accepted_before_one_field_is_changed() -> None:
    members = Members.of(1)
    statuses = {members.ask(request, now_ms=T).status for request, name, _ in BAD if name != "expiry"}

    # Some have signatures of zeros, in an inbox that doesn't ask for any.
    assert {200} == statuses


def test_one_bad_request_of_a_batch_keeps_all_of_it_from_being_begun() -> None:
    bad = changed(OTHER.store(), {"ttl": True})

    assert "invalid request: Invalid value given for 'ttl': expected integer" == refused(
        several("batch", PERSON.store(b"new"), bad)
    )


@pytest.mark.parametrize(
    "request_",
    [
        several("batch"),
        several("batch", *[INFO] * 21),
        several("sequence", several("batch", INFO)),
        several("batch", {"method": "ifelse", "params": {"if": {"hf_before": 1}, "then": INFO}}),
        several("batch", {"method": "nope", "params": {}}),
        several("batch", {"method": "info"}),
        {"method": "batch", "params": {"requests": {"0": INFO}}},
        {"method": "batch", "params": {"requests": [1]}},
        {"method": "ifelse", "params": {"if": {}, "then": INFO}},
        {"method": "ifelse", "params": {"then": INFO}},
        {"method": "ifelse", "params": {"if": {"hf_before": 1}}},
        {"method": "ifelse", "params": {"if": {"hf_before": True}, "then": INFO}},
        {"method": "ifelse", "params": {"if": {"hf_before": ["19"]}, "then": INFO}},
        {"method": "ifelse", "params": {"if": {"hf_before": 1}, "then": "info"}},
        {"method": "ifelse", "params": {"if": {"hf_before": 1}, "then": {"method": "nope", "params": {}}}},
    ],
)
def test_requests_within_requests_follow_the_rules_of_nesting(request_: Json) -> None:
    assert refused(request_).startswith("invalid request: ")


def test_no_more_than_eight_conditions_stand_within_each_other() -> None:
    request = INFO
    for _ in range(8):
        request = {"method": "ifelse", "params": {"if": {"height_at_least": 0}, "then": request}}
    assert 200 == Members.of(1).ask(request, now_ms=T).status

    deeper = {"method": "ifelse", "params": {"if": {"height_at_least": 0}, "then": request}}

    assert "too many within each other" in refused(deeper)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
NAMES = sorted(
    {name for request, _, _ in BAD for name in request["params"]} | {"requests", "if", "then", "else"}
)
METHODS = sorted(
    {request["method"] for request, _, _ in BAD} | {"batch", "sequence", "ifelse", "info", "get_swarm"}
)


@settings(max_examples=50)
@given(st.sampled_from(METHODS), st.dictionaries(st.sampled_from(NAMES), JSON))
def test_whatever_fields_a_request_has_it_gets_a_reply(method: str, params: Json) -> None:
    reply = Members.of(1).ask(json.dumps({"method": method, "params": params}).encode(), now_ms=T)

    assert reply.status in {200, 400, 401, 403, 406}


@given(st.binary())
def test_bytes_that_are_no_request_are_invalid_json(text: bytes) -> None:
    assert refused(text).startswith("invalid json")
