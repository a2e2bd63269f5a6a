"""What each change does to the rows: the rules by which the later one wins, whatever comes first.

Nothing here asks what time it is or which replica this is, but for what has ended by ``now_ms``.
Spec: docs/specs/store.md §1.4, §1.5 and §2.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace

from onionpath.swarm.hashes import is_hash
from onionpath.swarm.namespaces import is_public_inbox, is_public_outbox
from onionpath.swarm.operations import (
    Change,
    Delete,
    Deleted,
    DeleteWhere,
    Expire,
    ExpireWhere,
    Expiring,
    ExpiryRule,
    NotDone,
    Outdone,
    Put,
    Result,
    Revoke,
    Revoked,
    Shortened,
    Stored,
    Version,
)
from onionpath.swarm.reconciliation import Key, Kind, Row, Standing
from relay.store import statements
from relay.store.ledger import Holder, Ledger
from relay.store.room import (
    MOST_STRANGE_TRACES,
    TOKENS_KEPT,
    Limits,
    refusal_of_account,
    refusal_of_disk,
    refusal_of_source,
)
from relay.store.rows import (
    LONGEST_LIFE_MS,
    MARGIN_MS,
    ROW_OVERHEAD,
    TOKEN_LIFE_MS,
    Held,
    live_row,
    tombstone,
)

ANY_TIME_MS = 2**63 - 1
LAST_SEQUENCE = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Scene:
    """What changes are judged by.

    Args:
        free_size: bytes that new rows may take in all, before this caller's.
    """

    now_ms: int
    limits: Limits
    free_size: int


@dataclass(frozen=True, slots=True)
class Within:
    """A change by namespace, but only of messages whose sequence numbers are from ``first`` to ``last``."""

    change: DeleteWhere | ExpireWhere
    first: int = 0
    last: int = LAST_SEQUENCE


def carry_out(change: Change | Within, ledger: Ledger, scene: Scene) -> Result:
    """Make one change."""
    match change:
        case Put():
            return _put(change, ledger, scene)
        case Delete():
            return _delete(change, ledger, scene)
        case DeleteWhere() | ExpireWhere():
            return _carry_out_within(Within(change), ledger, scene)
        case Within():
            return _carry_out_within(change, ledger, scene)
        case Expire():
            return _expire(change, ledger, scene)
        case Revoke():
            return _revoke(change, ledger, scene)


def _carry_out_within(within: Within, ledger: Ledger, scene: Scene) -> Result:
    match within.change:
        case DeleteWhere():
            return _delete_where(within.change, within, ledger, scene)
        case ExpireWhere():
            return _expire_where(within.change, within, ledger, scene)


def _put(put: Put, ledger: Ledger, scene: Scene) -> Result:
    message = put.message
    holder = ledger.holder_or_new(message.account)
    held = ledger.find(holder, message.hash)
    if held is not None and held.is_served(scene.now_ms):
        return _put_again(put, held, holder, ledger)
    if held is not None and held.standing.version >= put.version:
        return Outdone(held.standing.version)
    rivals = rivals_of(message.namespace, message.hash, holder, ledger, now_ms=scene.now_ms)
    latest = max((rank_in_outbox(rival) for rival in rivals), default=None)
    if latest is not None and latest > (put.version, message.hash):
        _bury_stranger(Key(message.account, message.hash), Version(latest[0]), held, holder, ledger, scene)
        return Outdone(Version(latest[0]))
    refusal = _refusal(put, rivals, holder, ledger, scene)
    if refusal is not None:
        return refusal
    bury(rivals, put.version, holder, ledger)
    _add_message(put, held, holder, ledger)
    return Stored(False, message.expiry_ms, put.version)


def _put_again(put: Put, held: Held, holder: Holder, ledger: Ledger) -> Stored:
    standing = held.standing
    if put.version < standing.version:
        return Stored(True, standing.expiry_ms, standing.version)
    if put.version >= standing.expiry_version:
        expiry_ms = max(standing.expiry_ms, put.message.expiry_ms)
        renewed = standing._replace(version=put.version, expiry_version=put.version, expiry_ms=expiry_ms)
    else:
        renewed = standing._replace(version=put.version)
    if renewed != standing:
        _change_standing(held, renewed, holder, ledger)
    return Stored(True, renewed.expiry_ms, put.version)


def _add_message(put: Put, held: Held | None, holder: Holder, ledger: Ledger) -> None:
    row = live_row(put.message, put.version)
    if held is None:
        ledger.put(holder, None, row, source=put.source)
    else:
        row = replace(row, until_ms=max(row.until_ms, held.until_ms))
        ledger.renew(holder, held, row, source=put.source)


def _refusal(put: Put, rivals: list[Held], holder: Holder, ledger: Ledger, scene: Scene) -> NotDone | None:
    size = ROW_OVERHEAD + len(put.message.data)
    free_size = scene.free_size - ledger.grown
    if (refusal := refusal_of_disk(size, free_size)) is not None:
        return refusal
    # What it takes the place of makes room for it.
    left = replace(
        holder.usage,
        size=holder.usage.size - sum(each.data_size for each in rivals),
        messages=holder.usage.messages - len(rivals),
    )
    is_public = is_public_inbox(put.message.namespace)
    if (refusal := refusal_of_account(left, size, is_public=is_public, limits=scene.limits)) is not None:
        return refusal
    if not put.source:
        return None
    return refusal_of_source(size, source_size=ledger.source_size(put.source), free_size=free_size)


def rivals_of(namespace: int, name: str, holder: Holder, ledger: Ledger, *, now_ms: int) -> list[Held]:
    """The other messages of a namespace that holds one alone."""
    if not is_public_outbox(namespace):
        return []
    held = ledger.select(holder, statements.LIVE_OF_NAMESPACE, (namespace, ANY_TIME_MS, 0, LAST_SEQUENCE))
    return [each for each in held if each.standing.key.name != name and each.is_served(now_ms)]


def rank_in_outbox(held: Held) -> tuple[int, str]:
    """Of two messages in an outbox the one with the higher rank stays."""
    return held.standing.version, held.standing.key.name


def bury(dead: Iterable[Held], version: Version, holder: Holder, ledger: Ledger) -> None:
    """Leave tombstones of messages."""
    for held in dead:
        row = tombstone(
            held.standing.key,
            version,
            namespace=held.namespace,
            until_ms=max(held.until_ms, version + MARGIN_MS),
        )
        ledger.put(holder, held, row)


def _delete(delete: Delete, ledger: Ledger, scene: Scene) -> Deleted:
    holder = ledger.holder_or_new(delete.account)
    found, unmarked = list[Held](), set[str]()
    # Only hashes: a token's name must not find the token, whose revocation a deletion would undo.
    for name in filter(is_hash, dict.fromkeys(delete.hashes)):
        held = ledger.find(holder, name)
        if held is not None:
            found.append(held)
        elif not _bury_stranger(Key(delete.account, name), delete.version, None, holder, ledger, scene):
            unmarked.add(name)
    deleted = _delete_found(found, delete.version, holder, ledger, scene)
    return replace(deleted, unmarked=frozenset(unmarked))


def _bury_stranger(
    key: Key, version: Version, held: Held | None, holder: Holder, ledger: Ledger, scene: Scene
) -> bool:
    """A message that isn't live here may be on its way from elsewhere, and must find its tombstone; whether it will."""
    if held is not None:
        bury([held], version, holder, ledger)
    elif holder.usage.traces < MOST_STRANGE_TRACES and ROW_OVERHEAD <= scene.free_size - ledger.grown:
        until_ms = version + LONGEST_LIFE_MS + MARGIN_MS
        ledger.put(holder, None, tombstone(key, version, namespace=0, until_ms=until_ms))
    else:
        return False
    return True


def _delete_where(delete: DeleteWhere, within: Within, ledger: Ledger, scene: Scene) -> Deleted:
    holder = ledger.holder(delete.account)
    if holder is None:
        return Deleted({})
    until_ms = ANY_TIME_MS if delete.until_ms is None else delete.until_ms
    held = _live(delete.namespace, until_ms, within, holder, ledger)
    return _delete_found(held, delete.version, holder, ledger, scene)


def _live(namespace: int | None, until_ms: int, within: Within, holder: Holder, ledger: Ledger) -> list[Held]:
    rest = (until_ms, within.first, within.last)
    if namespace is None:
        return ledger.select(holder, statements.LIVE, rest)
    return ledger.select(holder, statements.LIVE_OF_NAMESPACE, (namespace, *rest))


def _delete_found(
    found: list[Held], version: Version, holder: Holder, ledger: Ledger, scene: Scene
) -> Deleted:
    reached = [held for held in found if held.standing.version <= version]
    bury(reached, version, holder, ledger)
    left = [held for held in found if held.standing.version > version and held.is_served(scene.now_ms)]
    return Deleted(_by_namespace(held for held in reached if held.is_served(scene.now_ms)), _highest(left))


def _by_namespace(found: Iterable[Held]) -> dict[int, tuple[str, ...]]:
    names: defaultdict[int, list[str]] = defaultdict(list)
    for held in found:
        names[held.namespace].append(held.standing.key.name)
    return {namespace: tuple(sorted(names[namespace])) for namespace in sorted(names)}


def _highest(outdone_by: Iterable[Held]) -> Version | None:
    return max((held.standing.newest for held in outdone_by), default=None)


def _expire(expire: Expire, ledger: Ledger, scene: Scene) -> Expiring:
    holder = ledger.holder(expire.account)
    updated: dict[str, int] = {}
    unchanged: dict[str, int] = {}
    later: list[Held] = []
    for name, expiry_ms in zip(expire.hashes, expire.expiries_ms, strict=True):
        held = ledger.find(holder, name) if holder is not None else None
        if holder is None or held is None or not held.is_served(scene.now_ms):
            continue
        if _is_later(held, expire.version, expiry_ms):
            later.append(held)
        elif not _applies(expire.rule, held.standing, expire.version, expiry_ms):
            unchanged[name] = held.standing.expiry_ms
        else:
            _set_expiry(held, expiry_ms, expire.version, holder, ledger)
            updated[name] = expiry_ms
    return Expiring(updated, unchanged, _highest(later))


def _is_later(held: Held, version: Version, expiry_ms: int) -> bool:
    """Whether a message has a later expiry than the one that is being set; the same change once more is not later."""
    standing = held.standing
    same = (standing.expiry_version, standing.expiry_ms) == (version, expiry_ms)
    return standing.expiry_version >= version and not same


def _applies(rule: ExpiryRule, standing: Standing, version: Version, expiry_ms: int) -> bool:
    if standing.expiry_version == version:
        return True
    match rule:
        case ExpiryRule.SET:
            return True
        case ExpiryRule.SHORTEN:
            return expiry_ms < standing.expiry_ms
        case ExpiryRule.EXTEND:
            return expiry_ms > standing.expiry_ms


def _set_expiry(held: Held, expiry_ms: int, version: Version, holder: Holder, ledger: Ledger) -> None:
    standing = held.standing._replace(expiry_version=version, expiry_ms=expiry_ms)
    _change_standing(held, standing, holder, ledger)


def _change_standing(held: Held, standing: Standing, holder: Holder, ledger: Ledger) -> None:
    until_ms = max(held.until_ms, standing.expiry_ms + MARGIN_MS)
    ledger.put(holder, held, Row(standing, held.namespace, until_ms, None))


def _expire_where(expire: ExpireWhere, within: Within, ledger: Ledger, scene: Scene) -> Shortened:
    holder = ledger.holder(expire.account)
    if holder is None:
        return Shortened({})
    found = [
        held
        for held in _live(expire.namespace, ANY_TIME_MS, within, holder, ledger)
        if held.is_served(scene.now_ms) and held.standing.expiry_ms > expire.expiry_ms
    ]
    later = [held for held in found if _is_later(held, expire.version, expire.expiry_ms)]
    reached = [held for held in found if not _is_later(held, expire.version, expire.expiry_ms)]
    for held in reached:
        _set_expiry(held, expire.expiry_ms, expire.version, holder, ledger)
    return Shortened(_by_namespace(reached), _highest(later))


def _revoke(revoke: Revoke, ledger: Ledger, scene: Scene) -> Result:
    if ROW_OVERHEAD * len(revoke.tokens) > scene.free_size - ledger.grown:
        return NotDone.DISK_FULL
    holder = ledger.holder_or_new(revoke.account)
    kind = Kind.REVOKED if revoke.is_revoked else Kind.ACCEPTED
    count, later = 0, []
    for token in dict.fromkeys(revoke.tokens):
        key = Key(revoke.account, token.hex())
        held, standing = ledger.find(holder, key.name), Standing(key, kind, revoke.version, Version(0), 0, 0)
        if held is not None and held.standing.rank > standing.rank:
            later.append(held)
            continue
        was_revoked = held is not None and held.standing.kind is Kind.REVOKED
        count += was_revoked != revoke.is_revoked
        ledger.put(holder, held, Row(standing, 0, revoke.version + TOKEN_LIFE_MS, None))
    keep_latest_tokens(holder, ledger)
    return Revoked(count, _highest(later))


def keep_latest_tokens(holder: Holder, ledger: Ledger) -> None:
    """Forget tokens beyond the latest of each kind."""
    for kind in (Kind.ACCEPTED, Kind.REVOKED):
        for held in ledger.select(holder, statements.BEYOND_LATEST, (int(kind), TOKENS_KEPT)):
            ledger.erase(holder, held)
