"""A receipt counts members that signed, and nobody else's word."""

from __future__ import annotations

import json
from typing import Any

import pytest

from onionpath.crypto.identity import IdentityKey, RelayId
from onionpath.errors import MalformedError
from onionpath.swarm.operations import ExpiryRule
from onionpath.swarm.owner import Owner
from onionpath.swarm.receipts import Receipt, ReceiptedRequest, read_receipt
from onionpath.swarm.signing import delete_request, encode_request, expire_request, store_request
from tests.swarm.accounts import DAY_MS, T
from tests.swarm.members import Members

OWNER = Owner(IdentityKey(bytes([9]) * 32))


def relays_of(members: Members) -> list[RelayId]:
    return [member.key.relay_id for member in members.all]


def asked(members: Members, request: ReceiptedRequest) -> dict[str, Any]:
    return members.json(encode_request(request), now_ms=T)


def receipt_of(request: ReceiptedRequest, reply: object, members: Members) -> Receipt:
    return read_receipt(request, json.dumps(reply).encode(), relays_of(members))


def test_every_write_of_ours_is_receipted_by_each_member() -> None:
    members = Members()
    store = store_request(OWNER, b"hello", now_ms=T, ttl_ms=DAY_MS)

    receipts = [receipt_of(store, asked(members, store), members)]
    for rule in ExpiryRule:
        expire = expire_request(OWNER, [store.hash, "A" * 43], T + 2 * DAY_MS, rule)
        receipts.append(receipt_of(expire, asked(members, expire), members))
    delete = delete_request(OWNER, [store.hash, "A" * 43])
    receipts.append(receipt_of(delete, asked(members, delete), members))

    assert [frozenset(relays_of(members))] * 5 == [receipt.holders for receipt in receipts]
    assert all(receipt.is_durable for receipt in receipts)


def test_a_signature_of_another_member_or_message_proves_nothing() -> None:
    members = Members()
    store = store_request(OWNER, b"hello", now_ms=T, ttl_ms=DAY_MS)
    other = store_request(OWNER, b"other", now_ms=T, ttl_ms=DAY_MS)
    reply, replied = asked(members, store)["swarm"], asked(members, other)["swarm"]
    one, two, three, four, five = relays_of(members)
    reply[one.hex()] = reply[two.hex()]
    reply[two.hex()] = replied[two.hex()]
    reply[three.hex()]["signature"] = "A" * 87 + "!"
    del reply[four.hex()]

    receipt = receipt_of(store, {"swarm": reply}, members)

    assert frozenset({five}) == receipt.holders
    assert {
        one: "its signature does not hold",
        two: "says something else",
        three: "its signature does not hold",
        four: "not mentioned",
    } == receipt.failed
    assert not receipt.is_durable


def test_relays_outside_of_the_swarm_make_nothing_durable() -> None:
    """Whoever was asked could run a thousand of them."""
    strangers, members = Members(), Members.of(7)
    store = store_request(OWNER, b"hello", now_ms=T, ttl_ms=DAY_MS)
    reply = asked(strangers, store)

    receipt = read_receipt(store, json.dumps(reply).encode(), relays_of(members)[5:])

    assert frozenset() == receipt.holders


def test_a_member_that_says_that_it_failed_has_failed_whatever_it_signs() -> None:
    members = Members()
    store = store_request(OWNER, b"hello", now_ms=T, ttl_ms=DAY_MS)
    reply = asked(members, store)
    for number, entry in enumerate(reply["swarm"].values()):
        entry["failed"] = 1  # as members of the original say True to each other
        entry["timeout"] = bool(number)

    receipt = receipt_of(store, reply, members)

    assert ["did not do it"] + ["no answer in time"] * 4 == sorted(receipt.failed.values())


def test_two_replies_prove_together_what_either_proves() -> None:
    one, two, three = (RelayId(bytes([name]) * 32) for name in range(3))
    early = Receipt(frozenset({one}), {two: "no answer in time", three: "no answer in time"})
    late = Receipt(frozenset({two}), {one: "no answer in time", three: "did not do it"})

    assert Receipt(frozenset({one, two}), {three: "did not do it"}) == early.joined(late)
    assert early.joined(late).is_durable


@pytest.mark.parametrize(
    "reply", [b"", b"{}", b'{"swarm":[]}', b'{"swarm":{"a":1}}', b"[" * 10_000, bytes(11 * 2**20)]
)
def test_what_is_no_reply_is_refused(reply: bytes) -> None:
    store = store_request(OWNER, b"hello", now_ms=T, ttl_ms=DAY_MS)

    with pytest.raises(MalformedError):
        read_receipt(store, reply, relays_of(Members()))
