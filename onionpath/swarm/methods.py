"""Reads the fields of each method of the storage RPC. Spec: docs/specs/storage.md §2.3."""

from __future__ import annotations

from collections.abc import Callable

from onionpath.swarm.fields import MAX_INTEGER, Fields, decode_base64, refuse_request, required
from onionpath.swarm.namespaces import is_open_to_all
from onionpath.swarm.operations import AccountId, ExpiryRule
from onionpath.swarm.requests import (
    Credentials,
    DeleteAllRequest,
    DeleteBeforeRequest,
    DeleteRequest,
    ExpireAllRequest,
    ExpireRequest,
    ExpiriesRequest,
    RetrieveRequest,
    RevokeRequest,
    StorageRequest,
    StoreRequest,
    Subaccount,
)

MAX_DATA_SIZE = 76_800  # bytes
_MAX_INT32 = 2**31 - 1

# Thirteen digits: a shorter time would give a digit to the namespace that stands before it (§3.5).
_MIN_BEFORE_MS = 10**12


def _store(fields: Fields) -> StoreRequest:
    timestamp_ms = required(fields.integer_or_decimal("timestamp"), "timestamp")
    credentials = None
    account = fields.account(or_alias=True)
    if fields.text("signature") is not None:
        credentials = _credentials(fields, account)
    signed_at_ms = fields.signed_time_ms("sig_timestamp")
    return StoreRequest(
        account,
        fields.namespace(),
        timestamp_ms,
        _expiry_ms(fields, timestamp_ms),
        _data(fields),
        timestamp_ms if signed_at_ms is None else signed_at_ms,
        credentials,
    )


def _expiry_ms(fields: Fields, timestamp_ms: int) -> int:
    expiry_ms, ttl_ms = fields.integer("expiry", 0, MAX_INTEGER), fields.integer_or_decimal("ttl")
    if expiry_ms is not None and ttl_ms is not None:
        raise refuse_request("Cannot specify both 'expiry' and 'ttl'")
    if expiry_ms is None and ttl_ms is None:
        raise refuse_request("Required field 'expiry' or 'ttl' missing")
    return timestamp_ms + (ttl_ms or 0) if expiry_ms is None else expiry_ms


def _data(fields: Fields) -> bytes:
    text = required(fields.text("data"), "data")
    # The most that is allowed needs no padding.
    if len(text) > MAX_DATA_SIZE * 4 // 3:
        raise refuse_request(f"Message body exceeds maximum allowed length of {MAX_DATA_SIZE} bytes")
    return decode_base64(text, "data")


def _retrieve(fields: Fields) -> RetrieveRequest:
    account = fields.account(or_alias=True)
    named = fields.get("namespace") is not None
    namespace = fields.namespace()
    says_who = any(fields.get(name) is not None for name in ("pubkey_ed25519", "signature", "timestamp"))
    is_signed = says_who or (named and not is_open_to_all(namespace))
    return RetrieveRequest(
        account,
        namespace,
        fields.last_hash(),
        fields.integer("max_count", 0, _MAX_INT32) or None,
        fields.integer("max_size", -_MAX_INT32 - 1, _MAX_INT32) or None,
        _time_ms(fields, "timestamp") if is_signed else None,
        _credentials(fields, account) if is_signed else None,
    )


def _get_expiries(fields: Fields) -> ExpiriesRequest:
    account = fields.account()
    return ExpiriesRequest(
        account, fields.hashes(), _time_ms(fields, "timestamp"), _credentials(fields, account)
    )


def _delete(fields: Fields) -> DeleteRequest:
    account = fields.account()
    return DeleteRequest(account, fields.hashes(), fields.flag("required"), _credentials(fields, account))


def _delete_all(fields: Fields) -> DeleteAllRequest:
    account = fields.account()
    namespace = fields.namespace_or_all()
    return DeleteAllRequest(account, namespace, _time_ms(fields, "timestamp"), _credentials(fields, account))


def _delete_before(fields: Fields) -> DeleteBeforeRequest:
    account = fields.account()
    before_ms = required(fields.signed_time_ms("before", low=_MIN_BEFORE_MS), "before")
    return DeleteBeforeRequest(account, fields.namespace_or_all(), before_ms, _credentials(fields, account))


def _expire(fields: Fields) -> ExpireRequest:
    account = fields.account()
    hashes, expiries_ms = fields.hashes(), fields.signed_times_ms("expiry")
    if len(expiries_ms) not in (1, len(hashes)):
        raise refuse_request("'expiry' must be a single expiry, or the same length as 'messages'")
    # Two expiries for one message would leave open which of them counts.
    if len(expiries_ms) > 1 and len(set(zip(hashes, expiries_ms, strict=True))) != len(set(hashes)):
        raise refuse_request("one message has two expiries")
    return ExpireRequest(account, hashes, expiries_ms, _rule(fields), _credentials(fields, account))


def _rule(fields: Fields) -> ExpiryRule:
    shortens, extends = fields.flag("shorten"), fields.flag("extend")
    if shortens and extends:
        raise refuse_request("cannot specify both 'shorten' and 'extend'")
    return ExpiryRule.SHORTEN if shortens else ExpiryRule.EXTEND if extends else ExpiryRule.SET


def _expire_all(fields: Fields) -> ExpireAllRequest:
    account = fields.account()
    namespace = fields.namespace_or_all()
    return ExpireAllRequest(account, namespace, _time_ms(fields, "expiry"), _credentials(fields, account))


def _revoke(fields: Fields) -> RevokeRequest:
    return _revocation(fields, "revoke", is_revoked=True)


def _unrevoke(fields: Fields) -> RevokeRequest:
    return _revocation(fields, "unrevoke", is_revoked=False)


def _revocation(fields: Fields, name: str, *, is_revoked: bool) -> RevokeRequest:
    account = fields.account()
    # No subaccount may do this, so that none is read.
    credentials = Credentials(
        required(fields.signature("signature"), "signature"), fields.signing_key(account)
    )
    return RevokeRequest(account, fields.tokens(name), is_revoked, _time_ms(fields, "timestamp"), credentials)


def _time_ms(fields: Fields, name: str) -> int:
    return required(fields.signed_time_ms(name), name)


def _credentials(fields: Fields, account: AccountId) -> Credentials:
    signature = required(fields.signature("signature"), "signature")
    token = fields.token("subaccount")
    subaccount = None
    if token is not None:
        subaccount = Subaccount(token, required(fields.signature("subaccount_sig"), "subaccount_sig"))
    return Credentials(signature, fields.signing_key(account), subaccount)


METHODS: dict[str, Callable[[Fields], StorageRequest]] = {
    "store": _store,
    "retrieve": _retrieve,
    "get_expiries": _get_expiries,
    "delete": _delete,
    "delete_all": _delete_all,
    "delete_before": _delete_before,
    "expire": _expire,
    "expire_all": _expire_all,
    "revoke_subaccount": _revoke,
    "unrevoke_subaccount": _unrevoke,
}
