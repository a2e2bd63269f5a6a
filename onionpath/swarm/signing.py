"""Requests as their sender makes them: signed by the account's owner, and written as ``rpc`` reads them.

Spec: docs/specs/storage.md §2.3, §3.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from onionpath.errors import UsageError
from onionpath.swarm.fields import MAX_HASHES
from onionpath.swarm.hashes import is_hash
from onionpath.swarm.methods import MAX_DATA_SIZE
from onionpath.swarm.namespaces import is_public_inbox
from onionpath.swarm.operations import ACCOUNT_SIZE, AccountId, ExpiryRule
from onionpath.swarm.owner import Owner
from onionpath.swarm.replies import encode_json
from onionpath.swarm.requests import (
    Credentials,
    DeleteAllRequest,
    DeleteRequest,
    ExpireRequest,
    RetrieveRequest,
    StorageRequest,
    StoreRequest,
)

# Takes the place of a signature that is about to be made; no request leaves with it.
_UNSIGNED = Credentials(bytes(64))

R = TypeVar("R", StoreRequest, RetrieveRequest, DeleteRequest, DeleteAllRequest, ExpireRequest)


def store_request(
    to: AccountId | Owner, data: bytes, *, namespace: int = 0, now_ms: int, ttl_ms: int
) -> StoreRequest:
    """Store ``data`` for an account: anybody may in a public inbox, and its owner everywhere.

    Raises:
        UsageError: too long a message, or only the owner may store there.
    """
    if len(data) > MAX_DATA_SIZE:
        raise UsageError(f"a message has at most {MAX_DATA_SIZE} bytes, not {len(data)}")
    account = to.account if isinstance(to, Owner) else to
    if len(account) != ACCOUNT_SIZE:
        raise UsageError(f"an account has {ACCOUNT_SIZE} bytes, not {len(account)}")
    request = StoreRequest(account, namespace, now_ms, now_ms + ttl_ms, data, now_ms, None)
    if isinstance(to, Owner):
        return _signed(request, to)
    if not is_public_inbox(namespace):
        raise UsageError(f"only an account's owner stores in its namespace {namespace}")
    return request


def retrieve_request(
    owner: Owner, *, namespace: int = 0, after: str | None = None, max_size: int | None = None, now_ms: int
) -> RetrieveRequest:
    """Give the messages of a namespace that come after one that is known."""
    return _signed(RetrieveRequest(owner.account, namespace, after, None, max_size, now_ms, None), owner)


def delete_request(owner: Owner, hashes: Sequence[str]) -> DeleteRequest:
    """Delete these messages.

    Raises:
        UsageError: no hashes, too many, or something else.
    """
    return _signed(DeleteRequest(owner.account, _checked(hashes), False, _UNSIGNED), owner)


def delete_all_request(owner: Owner, *, namespace: int | None = 0, now_ms: int) -> DeleteAllRequest:
    """Delete everything in a namespace, or in all if None."""
    return _signed(DeleteAllRequest(owner.account, namespace, now_ms, _UNSIGNED), owner)


def expire_request(
    owner: Owner, hashes: Sequence[str], expiry_ms: int, rule: ExpiryRule = ExpiryRule.SET
) -> ExpireRequest:
    """Have these messages expire at another time.

    Raises:
        UsageError: as ``delete_request``.
    """
    return _signed(ExpireRequest(owner.account, _checked(hashes), (expiry_ms,), rule, _UNSIGNED), owner)


def encode_request(request: StorageRequest, *, document: int | None = None) -> bytes:
    """The JSON of method and params.

    Args:
        document: only whoever knows the directory's document of this number, or a later one, shall answer.
    """
    params = {"pubkey": request.account.hex(), **_credential_fields(request.credentials), **_fields(request)}
    asked: dict[str, object] = {"method": request.method, "params": params}
    if document is not None:
        asked = {"method": "ifelse", "params": {"if": {"height_at_least": document}, "then": asked}}
    return encode_json(asked)


def _signed(request: R, owner: Owner) -> R:
    return replace(request, credentials=owner.sign(request.signed))


def _checked(hashes: Sequence[str]) -> tuple[str, ...]:
    if not 1 <= len(hashes) <= MAX_HASHES or not all(map(is_hash, hashes)):
        raise UsageError(f"expected 1 to {MAX_HASHES} hashes of messages")
    return tuple(hashes)


def _credential_fields(credentials: Credentials | None) -> Mapping[str, object]:
    if credentials is None:
        return {}
    fields: dict[str, object] = {"signature": b64encode(credentials.signature).decode()}
    if credentials.signing_key is not None:
        fields["pubkey_ed25519"] = credentials.signing_key.hex()
    if credentials.subaccount is not None:
        fields["subaccount"] = b64encode(credentials.subaccount.token).decode()
        fields["subaccount_sig"] = b64encode(credentials.subaccount.signature).decode()
    return fields


def _fields(request: StorageRequest) -> Mapping[str, object]:
    match request:
        case StoreRequest():
            when = {"timestamp": request.timestamp_ms, "expiry": request.expiry_ms}
            signed_at = {} if request.credentials is None else {"sig_timestamp": request.signed_at_ms}
            what = {"namespace": request.namespace, "data": b64encode(request.data).decode()}
            return {**what, **when, **signed_at}
        case RetrieveRequest():
            asked = {"last_hash": request.after, "max_count": request.most, "max_size": request.max_size}
            limits = {name: value for name, value in asked.items() if value is not None}
            return {"namespace": request.namespace, "timestamp": request.signed_at_ms, **limits}
        case DeleteRequest():
            required = {"required": True} if request.is_required else {}
            return {"messages": request.hashes, **required}
        case DeleteAllRequest():
            namespace = "all" if request.namespace is None else request.namespace
            return {"namespace": namespace, "timestamp": request.signed_at_ms}
        case ExpireRequest():
            rule = {} if request.rule is ExpiryRule.SET else {request.rule.value: True}
            return {"messages": request.hashes, "expiry": _one_or_all(request.expiries_ms), **rule}
    raise UsageError(f"{request.method} is not written by clients of ours")


def _one_or_all(times: Sequence[int]) -> int | Sequence[int]:
    return times[0] if len(times) == 1 else times
