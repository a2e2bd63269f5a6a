"""What members pass on to each other: read and judged again, and the same change in the end."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onionpath.errors import MalformedError
from onionpath.onion.session_bencode import decode_dict, encode_dict
from onionpath.swarm.forwarding import decode_forwarded, forward, plan_forwarded
from onionpath.swarm.operations import Expire, Version
from onionpath.swarm.plans import Done, Write
from tests.swarm import members
from tests.swarm.accounts import DAY_MS, GROUP, PERSON, Json, T
from tests.swarm.members import Members, held

HASH = "a" * 42 + "A"
WRITES: list[Json] = [
    PERSON.store(pubkey=PERSON.account.hex().upper(), timestamp=str(T), unknown="x" * 1000),
    PERSON.store(pubkey=None, pubKey=PERSON.account.hex(), ttl=None, expiry=T + DAY_MS),
    GROUP.signed_store(b"new", 11, by=GROUP.subkey(15)),
    PERSON.delete(HASH, required=True),
    PERSON.delete_all("all"),
    PERSON.delete_before(),
    PERSON.expire([HASH], T + DAY_MS, "extend"),
    PERSON.expire([HASH, HASH[::-1].replace("A", "B")], [T, T + 1]),
    PERSON.expire_all(T, 3),
    PERSON.revoke(bytes(36)),
]
VERSION = Version(T + 7)


def write_of(request: Json) -> Write:
    return members.write_of(request, now_ms=T)


@pytest.mark.parametrize("request_", WRITES, ids=[each["method"] for each in WRITES])
def test_the_others_make_the_same_change(request_: Json) -> None:
    write = write_of(request_)

    forwarded = decode_forwarded(forward(write, VERSION))
    theirs = plan_forwarded(forwarded, now_ms=T + 100)

    assert isinstance(theirs, Write)
    assert (VERSION, write) == (forwarded.version, theirs)
    assert write.change(VERSION) == theirs.change(VERSION)


def test_what_the_first_member_has_not_read_is_not_passed_on() -> None:
    assert 900 > len(forward(write_of(WRITES[0]), VERSION))


def test_the_longest_expiry_is_counted_from_the_first_members_clock() -> None:
    forwarded = decode_forwarded(forward(write_of(PERSON.expire([HASH], T + 40 * DAY_MS)), VERSION))
    theirs = plan_forwarded(forwarded, now_ms=T + 5000)
    assert isinstance(theirs, Write)

    change = theirs.change(VERSION)

    assert isinstance(change, Expire)
    assert (T + 30 * DAY_MS,) == change.expiries_ms


@pytest.mark.parametrize(
    ("late_ms", "kind"), [(70_000, Write), (70_001, Done), (-70_000, Write), (-70_001, Done)]
)
def test_the_others_are_ten_seconds_more_patient(late_ms: int, kind: type) -> None:
    forwarded = decode_forwarded(forward(write_of(PERSON.delete_all()), VERSION))

    assert isinstance(plan_forwarded(forwarded, now_ms=T + late_ms), kind)


def test_a_member_does_not_believe_another_one_about_a_signature() -> None:
    fields = decode_dict(forward(write_of(PERSON.delete(HASH)), VERSION), at_most=4)
    params = json.loads(bytes(fields[b"p"]))  # type: ignore[arg-type]
    forged = encode_dict({**fields, b"p": json.dumps({**params, "messages": [HASH, HASH]}).encode()})

    refusal = plan_forwarded(decode_forwarded(forged), now_ms=T)

    assert isinstance(refusal, Done)
    assert 401 == refusal.reply.status


GOOD = {b"m": b"delete_all", b"p": json.dumps(PERSON.delete_all()["params"]).encode(), b"t": T, b"v": T}


@pytest.mark.parametrize(
    "change",
    [
        {b"m": b"batch"},
        {b"m": b"retrieve"},
        {b"m": b"info"},
        {b"m": b"nope"},
        {b"m": b"\xff"},
        {b"m": 1},
        {b"p": b"{}"},
        {b"p": b"[]"},
        {b"p": b"{" * 100},
        {b"t": -1},
        {b"t": 2**53},
        {b"v": -1},
        {b"v": 2**53},
        {b"v": b"1"},
        {b"x": 1},
    ],
    ids=str,
)
def test_what_no_member_passes_on_is_refused(change: dict[bytes, bytes | int]) -> None:
    with pytest.raises(MalformedError):
        plan_forwarded(decode_forwarded(encode_dict({**GOOD, **change})), now_ms=T)

    assert isinstance(plan_forwarded(decode_forwarded(encode_dict(GOOD)), now_ms=T), Write)


@pytest.mark.parametrize("missing", sorted(GOOD))
def test_what_is_passed_on_is_whole(missing: bytes) -> None:
    rest = {name: value for name, value in GOOD.items() if name != missing}

    with pytest.raises(MalformedError):
        decode_forwarded(encode_dict(rest))


@given(st.binary())
def test_bytes_that_no_member_sends_are_malformed(data: bytes) -> None:
    with pytest.raises(MalformedError):
        decode_forwarded(data)


@settings(max_examples=30)
@given(st.lists(st.sampled_from(WRITES), max_size=4))
def test_all_members_hold_the_same_after_the_same_changes(requests: list[Json]) -> None:
    swarm = Members.of(3)
    for request in requests:
        assert swarm.ask(request, now_ms=T).status in {200, 404}

    assert held(swarm, now_ms=T)[:1] * 3 == held(swarm, now_ms=T)
