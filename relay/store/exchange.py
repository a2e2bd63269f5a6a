"""Rows of peers merged, rows that others have now let go, rows that have ended removed.

Spec: docs/specs/store.md §1.2 to §1.6, §3.4, §3.5, §4.3.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from onionpath.swarm.hashes import is_hash, message_hash
from onionpath.swarm.namespaces import HIGHEST, LOWEST
from onionpath.swarm.operations import AccountId
from onionpath.swarm.reconciliation import Key, Kind, LetGo, Purge, Removed, Row, Take, Taken
from relay.store import statements
from relay.store.changes import Scene, bury, keep_latest_tokens, rank_in_outbox, rivals_of
from relay.store.ledger import Holder, Ledger
from relay.store.room import refusal_of_account
from relay.store.rows import (
    LONGEST_LIFE_MS,
    MARGIN_MS,
    ROW_OVERHEAD,
    TOKEN_LIFE_MS,
    Held,
    has_ended,
    held_of,
    tombstone,
)

MAX_DATA_SIZE = 76_800  # bytes, by the RPC
ACCOUNT_SIZE = 33
TOKEN_LENGTH = 72


def take(asked: Take, ledger: Ledger, scene: Scene) -> Taken:
    """Merge a peer's rows."""
    changed, wrong, refused = 0, list[Key](), list[Key]()
    for row in asked.rows:
        if is_wrong(row, scene.now_ms):
            wrong.append(row.standing.key)
            continue
        if has_ended(row, scene.now_ms) or row.standing.newest > scene.now_ms + MARGIN_MS:
            continue
        outcome = _merge(row, ledger, scene)
        if outcome is None:
            refused.append(row.standing.key)
        else:
            changed += outcome
    return Taken(changed, tuple(wrong), tuple(refused))


def is_wrong(row: Row, now_ms: int) -> bool:
    """Whether no honest peer gives such a row."""
    standing, key = row.standing, row.standing.key
    versions = (standing.version, standing.expiry_version)
    numbers = (*versions, standing.expiry_ms, standing.timestamp_ms, row.until_ms)
    if len(key.account) != ACCOUNT_SIZE or not all(0 <= number < 2**53 for number in numbers):
        return True
    if not LOWEST <= row.namespace <= HIGHEST:
        return True
    if standing.kind is Kind.LIVE:
        return (
            row.data is None
            or standing.expiry_version < standing.version
            or len(row.data) > MAX_DATA_SIZE
            or standing.expiry_ms > now_ms + LONGEST_LIFE_MS + MARGIN_MS
            or message_hash(key.account, row.namespace, row.data) != key.name
        )
    if row.data is not None or standing.expiry_version or standing.expiry_ms or standing.timestamp_ms:
        return True
    return not (is_hash(key.name) if standing.kind is Kind.DELETED else is_token(key.name))


def is_token(name: str) -> bool:
    """Whether a token could have this name."""
    return len(name) == TOKEN_LENGTH and set(name) <= set("0123456789abcdef")


def _merge(row: Row, ledger: Ledger, scene: Scene) -> bool | None:
    """Whether the row changed anything; None if there is no room for it."""
    standing = row.standing
    holder = ledger.holder_or_new(standing.key.account)
    held = ledger.find(holder, standing.key.name)
    longest_ms = TOKEN_LIFE_MS if is_token(standing.key.name) else LONGEST_LIFE_MS + MARGIN_MS
    latest_until_ms = scene.now_ms + longest_ms + MARGIN_MS
    row = replace(row, until_ms=min(max(row.until_ms, held.until_ms if held else 0), latest_until_ms))
    if held is not None and held.standing.rank >= standing.rank:
        if held.standing == standing and row.until_ms > held.until_ms:
            ledger.put(holder, held, row)
        return False
    if not _has_room(row, held, holder, ledger, scene):
        return None
    ledger.put(holder, held, row)
    _settle_outbox(row, holder, ledger, now_ms=scene.now_ms)
    if standing.kind in {Kind.ACCEPTED, Kind.REVOKED}:
        keep_latest_tokens(holder, ledger)
    return True


def _has_room(row: Row, held: Held | None, holder: Holder, ledger: Ledger, scene: Scene) -> bool:
    """Whether a peer's row may come: changes of what is here always, new ones up to twice an account's limits."""
    size = ROW_OVERHEAD + len(row.data or b"")
    grows = held is None or size > held.size
    if not grows:
        return True
    limits = scene.limits
    twice = replace(
        limits,
        account_size=2 * limits.account_size,
        account_messages=2 * limits.account_messages,
        public_part=1.0,
    )
    return (
        size <= scene.free_size - ledger.grown
        and refusal_of_account(holder.usage, size, is_public=False, limits=twice) is None
    )


def _settle_outbox(row: Row, holder: Holder, ledger: Ledger, *, now_ms: int) -> None:
    """Of several messages in an outbox only the latest stays."""
    if row.standing.kind is not Kind.LIVE:
        return
    rivals = rivals_of(row.namespace, row.standing.key.name, holder, ledger, now_ms=now_ms)
    if not rivals:
        return
    here = ledger.find(holder, row.standing.key.name)
    everyone = rivals if here is None else [*rivals, here]
    latest = max(everyone, key=rank_in_outbox)
    bury([each for each in everyone if each is not latest], latest.standing.version, holder, ledger)


def let_go(asked: LetGo, ledger: Ledger) -> Removed:
    """Forget rows that stand exactly so."""
    count = 0
    for standing in asked.standings:
        holder = ledger.holder(standing.key.account)
        held = ledger.find(holder, standing.key.name) if holder is not None else None
        if holder is not None and held is not None and held.standing == standing:
            ledger.erase(holder, held)
            count += 1
    return Removed(count)


def purge(asked: Purge, ledger: Ledger, scene: Scene) -> Removed:
    """Remove what has ended. A message whose expiry was once later leaves a tombstone until then, and a revoked token
    stays while its account has messages."""
    ended: Any = ledger.connection.execute(statements.ENDED, (scene.now_ms, asked.most)).fetchall()
    for account, *columns in ended:
        held = held_of(AccountId(account), tuple(columns))
        holder = ledger.holder_or_new(AccountId(account))
        if held.standing.kind is Kind.REVOKED and holder.usage.messages:
            ledger.put(holder, held, Row(held.standing, held.namespace, scene.now_ms + TOKEN_LIFE_MS, None))
        elif held.is_live and held.until_ms > max(scene.now_ms, held.standing.expiry_ms + MARGIN_MS):
            key, version = held.standing.key, held.standing.version
            ledger.put(
                holder,
                held,
                tombstone(key, version, namespace=held.namespace, until_ms=held.until_ms),
            )
        else:
            ledger.erase(holder, held)
    return Removed(len(ended))
