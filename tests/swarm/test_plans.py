"""How plans are carried out and replies put together: batches, sequences, conditions, sizes, what members say."""

from __future__ import annotations

import json
from base64 import b64decode
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onionpath.crypto.identity import IdentityKey, RelayId, is_signed_by
from onionpath.onion.session_packets import SessionReply
from onionpath.swarm.hashes import message_hash
from onionpath.swarm.operations import (
    AccountId,
    Deleted,
    NotDone,
    Outdone,
    Retrieved,
    Revoked,
    Stored,
    Version,
)
from onionpath.swarm.parts import Failed, Part, decode_part, encode_part
from onionpath.swarm.planning import Jurisdiction, plan
from onionpath.swarm.plans import Done, Gate, Plan, Read, Write, carry_out
from tests.swarm import members as swarm_members
from tests.swarm.accounts import DAY_MS, GROUP, OTHER, PERSON, Json, T, several
from tests.swarm.members import MAX_REPLY, Members

HELLO = message_hash(AccountId(PERSON.account), 0, b"hello")
KEY = IdentityKey(bytes(32))
INFO = {"method": "info", "params": {}}


def planned(request: Json, *, max_reply: int = MAX_REPLY) -> Plan:
    jurisdiction = Jurisdiction(Members.of(1).roster, lambda _: True)
    return plan(json.dumps(request).encode(), jurisdiction, now_ms=T, max_reply=max_reply)


def write_of(request: Json) -> Write:
    return swarm_members.write_of(request, now_ms=T)


def results(members: Members, request: Json) -> list[tuple[int, Any]]:
    return [(each["code"], each["body"]) for each in members.json(request, now_ms=T)["results"]]


# Several requests.


def test_what_one_request_of_a_batch_is_refused_changes_nothing_for_the_others() -> None:
    members = Members.of(3)
    wrong = OTHER.delete_all()
    wrong["params"] |= {"pubkey": PERSON.account.hex()}

    codes = [code for code, _ in results(members, several("batch", PERSON.store(), wrong, PERSON.retrieve()))]

    assert [200, 401, 200] == codes
    assert [HELLO] == [each["hash"] for each in members.json(PERSON.retrieve(), now_ms=T)["messages"]]


def test_a_sequence_ends_with_the_first_request_that_is_refused() -> None:
    members = Members.of(3)

    sequence = several(
        "sequence", PERSON.store(b"1"), PERSON.signed_store(b"2", 11), PERSON.retrieve(13, by=None)
    )
    refused = several("sequence", PERSON.store(b"3"), OTHER.store(b"4", 11), PERSON.store(b"5"))

    assert [200, 200, 200] == [code for code, _ in results(members, sequence)]
    assert [200, 401] == [code for code, _ in results(members, refused)]
    assert ["MQ==", "Mw=="] == [
        each["data"] for each in members.json(PERSON.retrieve(), now_ms=T)["messages"]
    ]


def test_requests_of_a_sequence_begin_one_after_the_other_and_those_of_a_batch_together() -> None:
    requests = [PERSON.store(), INFO, PERSON.retrieve()]
    done = SessionReply(200, b"{}", is_json=True)

    batch = carry_out(planned(several("batch", *requests)), max_reply=MAX_REPLY)
    assert [Write, Read] == [type(step) for step in next(batch)]
    sequence = carry_out(planned(several("sequence", *requests)), max_reply=MAX_REPLY)
    assert [Write] == [type(step) for step in next(sequence)]
    assert [Read] == [type(step) for step in sequence.send((done,))]


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ({"hf_at_least": [19, 4]}, True),
        ({"hf_at_least": [19, 5]}, False),
        ({"hf_at_least": 19}, True),
        ({"hf_at_least": [19, 4, 99]}, True),
        ({"hf_before": [19, 4]}, False),
        ({"hf_before": [20]}, True),
        ({"v_at_least": [2], "v_before": [3]}, True),
        ({"v_at_least": [2], "v_before": [2, 1]}, False),
        ({"height_at_least": 0}, True),
        ({"height_before": 0}, False),
        ({"height_before": 2**40, "hf_before": 1}, False),
    ],
)
def test_a_condition_holds_if_all_of_its_bounds_do(condition: Json, holds: bool) -> None:
    request = {"method": "ifelse", "params": {"if": condition, "then": PERSON.store(), "else": INFO}}
    members = Members.of(1)

    body = members.json(request, now_ms=T)

    assert (holds, holds) == (body["condition"], "swarm" in body["result"]["body"])
    assert {"hf", "v", "height", "condition", "result"} == body.keys()


def test_a_condition_without_a_branch_to_take_has_no_result() -> None:
    request = {"method": "ifelse", "params": {"if": {"hf_before": 1}, "then": PERSON.store()}}

    assert "result" not in Members.of(1).json(request, now_ms=T)


def test_a_branch_may_be_a_batch() -> None:
    branch = several("batch", PERSON.store(), PERSON.retrieve())
    request = {"method": "ifelse", "params": {"if": {"hf_at_least": 1}, "then": branch}}

    result = Members.of(1).json(request, now_ms=T)["result"]

    assert (200, [200, 200]) == (result["code"], [each["code"] for each in result["body"]["results"]])


# Sizes.


def most(request: Json, *, max_reply: int = MAX_REPLY) -> int:
    read = planned(request, max_reply=max_reply)
    assert isinstance(read, Read)
    return read.question.max_size  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("asked", "size"),
    [
        ({}, 1_560_000),
        ({"max_count": 0, "max_size": 0}, 1_560_000),
        ({"max_count": 7}, 7_800_000),
        ({"max_size": 7}, 7),
        ({"max_size": -1}, 7_800_000),
        ({"max_size": -3}, 2_600_000),
        ({"max_size": -(2**31)}, 0),
        ({"max_size": 2**31 - 1}, 7_800_000),
    ],
)
def test_a_read_is_as_large_as_was_asked(asked: Json, size: int) -> None:
    assert size == most(PERSON.retrieve(**asked))


def test_the_reads_of_one_request_share_what_its_reply_can_carry() -> None:
    alone = most(PERSON.retrieve(max_size=-1), max_reply=130_000)
    batch = planned(several("batch", *[PERSON.retrieve(max_size=-1)] * 4), max_reply=130_000)

    assert 125_904 == alone
    assert [alone // 4] * 4 == [read.question.max_size for read in batch.plans]  # type: ignore[union-attr]


@settings(max_examples=30)
@given(st.lists(st.integers(0, 5000), max_size=20), st.integers(10_000, 100_000))
def test_messages_fit_into_the_reply_that_they_were_counted_for(sizes: list[int], max_reply: int) -> None:
    members = Members.of(1)
    for number, size in enumerate(sizes):
        members.ask(PERSON.store(bytes([number]) * size), now_ms=T)

    reply = members.ask(PERSON.retrieve(max_size=-1), now_ms=T, max_reply=max_reply)

    # The onion writes the body into a string, where each quote takes two characters.
    assert (200, True) == (reply.status, len(json.dumps(reply.body.decode())) <= max_reply)


def test_a_reply_that_its_way_back_cannot_carry_says_so() -> None:
    members = Members.of(1)

    assert (413, b"reply too large") == vars_of(members.ask(PERSON.store(), now_ms=T, max_reply=50))


def vars_of(reply: SessionReply) -> tuple[int, bytes]:
    return reply.status, reply.body


def test_a_client_reads_page_by_page_after_the_last_hash() -> None:
    members = Members.of(1)
    for number in range(5):
        members.ask(PERSON.store(bytes([number])), now_ms=T)
    pages, after = [], ""
    while not pages or pages[-1]["more"]:
        pages.append(members.json(PERSON.retrieve(max_count=2, last_hash=after), now_ms=T))
        after = pages[-1]["messages"][-1]["hash"]

    assert [0, 1, 2, 3, 4] == [b64decode(each["data"])[0] for page in pages for each in page["messages"]]


# What members say.


def reply_of(request: Json, parts: dict[bytes, Part | Failed], *, is_durable: bool) -> tuple[int, Json]:
    named = {RelayId(name): part for name, part in parts.items()}
    reply = write_of(request).reply(named, is_durable=is_durable, now_ms=T)
    return reply.status, json.loads(reply.body)


def test_a_write_that_no_majority_has_says_who_has_it() -> None:
    part = write_of(PERSON.store()).part(Stored(False, T + DAY_MS, Version(1)), KEY)
    parts: dict[bytes, Part | Failed] = {
        b"\1" * 32: part,
        b"\2" * 32: Failed.TIMEOUT,
        b"\3" * 32: Failed.STORE,
    }

    status, body = reply_of(PERSON.store(), parts, is_durable=False)

    assert (503, HELLO) == (status, body["hash"])
    assert {"failed": True, "timeout": True} == body["swarm"]["02" * 32]
    assert {"failed": True, "query_failure": True} == body["swarm"]["03" * 32]
    signature = b64decode(body["swarm"]["01" * 32]["signature"])
    assert is_signed_by(KEY.public, signature, HELLO.encode())


def test_a_deletion_that_was_required_must_have_deleted_something() -> None:
    request = PERSON.delete(HELLO, required=True)
    nothing = write_of(request).part(Deleted({}), KEY)
    something = write_of(request).part(Deleted({0: (HELLO,)}), KEY)

    assert 404 == reply_of(request, {b"1": nothing, b"2": Failed.TIMEOUT}, is_durable=True)[0]
    assert 200 == reply_of(request, {b"1": nothing, b"2": something}, is_durable=True)[0]
    assert 503 == reply_of(request, {b"1": nothing, b"2": something}, is_durable=False)[0]
    assert 200 == reply_of(PERSON.delete(HELLO), {b"1": nothing}, is_durable=True)[0]


def test_a_store_that_could_not_do_it_has_no_part() -> None:
    write = write_of(PERSON.store())

    assert {Failed.STORE} == {
        write.part(result, KEY) for result in (*NotDone, Outdone(Version(5)), Deleted({}))
    }


def test_a_question_that_the_store_cannot_answer_is_not_answered() -> None:
    read = planned(PERSON.retrieve())
    assert isinstance(read, Read)

    assert {503} == {read.reply(result, now_ms=T).status for result in NotDone}
    assert 200 == read.reply(Retrieved((), has_more=False), now_ms=T).status


def test_a_gate_opens_only_for_a_token_that_is_known_not_to_be_revoked() -> None:
    read = planned(GROUP.retrieve(11, by=GROUP.subkey(1)))
    assert isinstance(read, Read)
    assert isinstance(read.gate, Gate)

    assert [False, True, True] == [
        read.gate.refuses(answer) for answer in (Revoked(0), Revoked(1), NotDone.DAMAGED)
    ]


@pytest.mark.parametrize("part", [*Failed, Part(b"")])
def test_a_part_is_read_as_it_was_written(part: Part | Failed) -> None:
    write = write_of(PERSON.store())
    whole = write.part(Stored(True, T, Version(1)), KEY) if isinstance(part, Part) else part

    assert whole == decode_part(encode_part(whole), write.request)


def test_what_no_member_says_is_a_bad_reply() -> None:
    write = write_of(PERSON.store())
    good = write.part(Stored(False, T, Version(1)), KEY)
    assert isinstance(good, Part)
    fields = json.loads(good.json)
    bad: list[object] = [
        {**fields, "extra": 1},
        {**fields, "hash": "'"},
        {**fields, "expiry": True},
        {**fields, "expiry": 2**53},
        {**fields, "signature": "A" * 88},
        {name: fields[name] for name in ("hash", "expiry")},
        {**fields, "failed": True},
        [fields],
    ]

    said = [json.dumps(each).encode() for each in bad] + [b"", b"timeouts", good.json + b"x", b"\xff"]
    assert [Failed.BAD_REPLY] * len(said) == [decode_part(each, write.request) for each in said]
    assert Failed.BAD_REPLY == decode_part(good.json, write_of(PERSON.delete(HELLO)).request)


def test_a_refused_request_is_done_without_a_store() -> None:
    assert isinstance(planned(OTHER.store(b"", 2)), Done)
