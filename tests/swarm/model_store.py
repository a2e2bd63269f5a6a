"""A replica's store as docs/specs/store.md §1 and §2 describe it, in a dict: slow, and easy to believe."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from onionpath.swarm.hashes import is_hash
from onionpath.swarm.operations import (
    AccountId,
    Delete,
    Deleted,
    DeleteWhere,
    Expire,
    ExpireWhere,
    Expiries,
    Expiring,
    ExpiryRule,
    IsRevoked,
    Message,
    NewestVersion,
    Operation,
    Outdone,
    Put,
    Result,
    Retrieve,
    Retrieved,
    Revoke,
    Revoked,
    Shortened,
    Stored,
    Version,
    VersionFound,
)

_NEVER = Version(0)


@dataclass
class Row:
    """A message with its versions and its place in the order, or, without a message, a tombstone."""

    version: Version
    message: Message | None
    place: int = 0
    expiry_version: Version = _NEVER

    @property
    def newest(self) -> Version:
        return max(self.version, self.expiry_version)


@dataclass
class Account:
    """What is held for one."""

    rows: dict[str, Row] = field(default_factory=dict)
    # Version and whether it is refused, by token.
    tokens: dict[bytes, tuple[Version, bool]] = field(default_factory=dict)


class ModelStore:
    """Has no limits, and keeps tombstones for ever."""

    def __init__(self) -> None:
        self.accounts: dict[AccountId, Account] = {}
        self._place = 0

    def apply(self, operations: Sequence[Operation], *, now_ms: int) -> list[Result]:
        """Carry out operations in order; one result each."""
        return [self._apply(operation, now_ms) for operation in operations]

    def messages(self, account: AccountId, *, now_ms: int) -> dict[str, Message]:
        """All that has not ended, by hash."""
        return {row.message.hash: row.message for row in self._live(account, now_ms) if row.message}

    def _apply(self, operation: Operation, now_ms: int) -> Result:
        match operation:
            case Put():
                return self._put(operation, now_ms)
            case Delete():
                return self._delete(operation, now_ms)
            case DeleteWhere():
                return self._delete_where(operation, now_ms)
            case Expire():
                return self._expire(operation, now_ms)
            case ExpireWhere():
                return self._expire_where(operation, now_ms)
            case Revoke():
                return self._revoke(operation)
            case Retrieve():
                return self._retrieve(operation, now_ms)
            case Expiries(account, hashes):
                live = self.messages(account, now_ms=now_ms)
                return Expiring({name: live[name].expiry_ms for name in hashes if name in live})
            case IsRevoked(account, token):
                return Revoked(int(self._account(account).tokens.get(token, (0, False))[1]))
            case NewestVersion(account):
                return VersionFound(self._newest(account))

    def _account(self, account: AccountId) -> Account:
        return self.accounts.setdefault(account, Account())

    def _newest(self, account: AccountId) -> Version:
        held = self._account(account)
        versions = [row.newest for row in held.rows.values()]
        return max([*versions, *(version for version, _ in held.tokens.values())], default=Version(0))

    def _live(self, account: AccountId, now_ms: int) -> Iterator[Row]:
        for row in sorted(self._account(account).rows.values(), key=lambda row: row.place):
            if row.message is not None and row.message.expiry_ms > now_ms:
                yield row

    def _put(self, put: Put, now_ms: int) -> Result:
        rows = self._account(put.message.account).rows
        row = rows.get(put.message.hash)
        if row is None or row.message is None or row.message.expiry_ms <= now_ms:
            if row is not None and row.version >= put.version:
                return Outdone(row.version)
            self._place += 1
            row = rows[put.message.hash] = Row(put.version, put.message, self._place, put.version)
            return self._alone(put, now_ms) or Stored(False, put.message.expiry_ms, put.version)
        if put.version > row.version:
            row.version = put.version
        if put.version > row.expiry_version:
            expiry_ms = max(row.message.expiry_ms, put.message.expiry_ms)
            row.expiry_version, row.message = put.version, replace(row.message, expiry_ms=expiry_ms)
        return self._alone(put, now_ms) or Stored(True, row.message.expiry_ms, row.version)

    def _alone(self, put: Put, now_ms: int) -> Outdone | None:
        """Keep one message in an outbox; what this put is outdone by, if it is another."""
        if not put.is_alone:
            return None
        row_of = {
            row.message.hash: row
            for row in self._live(put.message.account, now_ms)
            if row.message and row.message.namespace == put.message.namespace
        }
        last = max(row_of, key=lambda name: (row_of[name].version, name))
        for name in row_of.keys() - {last}:
            row_of[name].message, row_of[name].version = None, row_of[last].version
            row_of[name].expiry_version = Version(0)
        return None if last == put.message.hash else Outdone(row_of[last].version)

    def _delete(self, delete: Delete, now_ms: int) -> Deleted:
        rows = self._account(delete.account).rows
        gone: dict[int, list[str]] = {}
        outdone_by = []
        for name in filter(is_hash, delete.hashes):
            row = rows.get(name)
            if row is not None and row.version > delete.version:
                outdone_by += [row.newest] if row.message and row.message.expiry_ms > now_ms else []
                continue
            if row and row.message and row.message.expiry_ms > now_ms:
                gone.setdefault(row.message.namespace, []).append(name)
            rows[name] = Row(delete.version, None)
        return Deleted(_sorted(gone), max(outdone_by, default=None))

    def _delete_where(self, delete: DeleteWhere, now_ms: int) -> Deleted:
        gone: dict[int, list[str]] = {}
        outdone_by = []
        for row in list(self._live(delete.account, now_ms)):
            message = row.message
            assert message is not None
            until_ms = message.timestamp_ms if delete.until_ms is None else delete.until_ms
            if delete.namespace not in (None, message.namespace) or message.timestamp_ms > until_ms:
                continue
            if row.version > delete.version:
                outdone_by.append(row.newest)
                continue
            gone.setdefault(message.namespace, []).append(message.hash)
            row.version, row.expiry_version, row.message = delete.version, Version(0), None
        return Deleted(_sorted(gone), max(outdone_by, default=None))

    def _expire(self, expire: Expire, now_ms: int) -> Expiring:
        live = {row.message.hash: row for row in self._live(expire.account, now_ms) if row.message}
        updated, unchanged = {}, {}
        outdone_by = []
        for name, expiry_ms in zip(expire.hashes, expire.expiries_ms, strict=True):
            if name not in live:
                continue
            row = live[name]
            assert row.message is not None
            if row.expiry_version >= expire.version:
                outdone_by.append(row.expiry_version)
            elif _leaves(expire.rule, row.message.expiry_ms, expiry_ms):
                unchanged[name] = row.message.expiry_ms
            else:
                updated[name] = expiry_ms
                row.expiry_version, row.message = expire.version, replace(row.message, expiry_ms=expiry_ms)
        return Expiring(updated, unchanged, max(outdone_by, default=None))

    def _expire_where(self, expire: ExpireWhere, now_ms: int) -> Shortened:
        changed: dict[int, list[str]] = {}
        outdone_by = []
        for row in self._live(expire.account, now_ms):
            message = row.message
            assert message is not None
            if expire.namespace not in (None, message.namespace) or message.expiry_ms <= expire.expiry_ms:
                continue
            if row.expiry_version >= expire.version:
                outdone_by.append(row.expiry_version)
                continue
            changed.setdefault(message.namespace, []).append(message.hash)
            row.expiry_version, row.message = expire.version, replace(message, expiry_ms=expire.expiry_ms)
        return Shortened(_sorted(changed), max(outdone_by, default=None))

    def _revoke(self, revoke: Revoke) -> Revoked:
        tokens = self._account(revoke.account).tokens
        count = 0
        outdone_by = []
        for token in revoke.tokens:
            version, is_revoked = tokens.get(token, (Version(0), False))
            if version > revoke.version:
                outdone_by.append(version)
                continue
            count += is_revoked != revoke.is_revoked
            tokens[token] = (revoke.version, revoke.is_revoked)
        return Revoked(count, max(outdone_by, default=None))

    def _retrieve(self, retrieve: Retrieve, now_ms: int) -> Retrieved:
        here = [
            row.message
            for row in self._live(retrieve.account, now_ms)
            if row.message and row.message.namespace == retrieve.namespace
        ]
        names = [message.hash for message in here]
        rest = here[names.index(retrieve.after) + 1 :] if retrieve.after in names else here
        given: list[Message] = []
        size = 0
        for message in rest[: retrieve.most]:
            size += len(message.data) * 4 // 3 + 143
            if given and size > retrieve.max_size:
                break
            given.append(message)
        return Retrieved(tuple(given), len(given) < len(rest))


def _leaves(rule: ExpiryRule, held_ms: int, asked_ms: int) -> bool:
    match rule:
        case ExpiryRule.SET:
            return False
        case ExpiryRule.SHORTEN:
            return asked_ms >= held_ms
        case ExpiryRule.EXTEND:
            return asked_ms <= held_ms


def _sorted(by_namespace: dict[int, list[str]]) -> dict[int, tuple[str, ...]]:
    return {namespace: tuple(sorted(hashes)) for namespace, hashes in by_namespace.items()}
