"""Made-up accounts and messages."""

from __future__ import annotations

from hashlib import sha256

from onionpath.swarm.hashes import message_hash
from onionpath.swarm.operations import AccountId, Message, Put, Retrieve, Version

NOW_MS = 1_800_000_000_000
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
EVERYTHING = 10**9


def account_named(name: str) -> AccountId:
    return AccountId(b"\x05" + sha256(name.encode()).digest())


ALICE, BOB = account_named("alice"), account_named("bob")


def message_of(
    data: bytes,
    *,
    account: AccountId = ALICE,
    namespace: int = 0,
    timestamp_ms: int = NOW_MS,
    expiry_ms: int = NOW_MS + DAY_MS,
) -> Message:
    name = message_hash(account, namespace, data)
    return Message(account, namespace, name, timestamp_ms, expiry_ms, data)


def put(message: Message, version: int = NOW_MS, *, is_alone: bool = False, source: bytes = b"") -> Put:
    return Put(message, Version(version), is_alone, source)


def all_of(account: AccountId = ALICE, *, namespace: int = 0) -> Retrieve:
    return Retrieve(account, namespace, None, None, EVERYTHING)
