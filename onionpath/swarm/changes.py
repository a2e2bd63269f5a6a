"""What requests are to a store. Spec: docs/specs/storage.md §4.5, §4.6."""

from __future__ import annotations

from typing import TypeVar

from onionpath.swarm.authority import may_delete
from onionpath.swarm.judging import MAX_TTL_MS
from onionpath.swarm.namespaces import is_public_outbox
from onionpath.swarm.operations import (
    Change,
    Delete,
    DeleteWhere,
    Expire,
    ExpireWhere,
    ExpiryRule,
    Message,
    Put,
    Retrieve,
    Revoke,
    Version,
)
from onionpath.swarm.requests import (
    DeleteAllRequest,
    DeleteBeforeRequest,
    DeleteRequest,
    ExpireAllRequest,
    ExpireRequest,
    RetrieveRequest,
    RevokeRequest,
    StoreRequest,
    WriteRequest,
)

# Fixed by the format: bytes of messages in one reply, as it counts them, and the share if nothing is asked for.
MAX_RETRIEVED_SIZE = 7_800_000
_USUAL_SHARE = 5

T = TypeVar("T")


def change_of(request: WriteRequest, version: Version, *, judged_at_ms: int) -> Change:
    """What every member's store is told to do.

    Args:
        judged_at_ms: now of the member that was asked first, so that all count the longest expiry from one time.
    """
    match request:
        case StoreRequest():
            return _put(request, version)
        case DeleteRequest():
            return Delete(request.account, _unique(request.hashes), version)
        case DeleteAllRequest():
            return DeleteWhere(request.account, request.namespace, None, version)
        case DeleteBeforeRequest():
            return DeleteWhere(request.account, request.namespace, request.before_ms, version)
        case ExpireRequest():
            return _expire(request, version, judged_at_ms)
        case ExpireAllRequest():
            return ExpireWhere(request.account, request.namespace, request.expiry_ms, version)
        case RevokeRequest():
            return Revoke(request.account, _unique(request.tokens), request.is_revoked, version)


def retrieve_of(request: RetrieveRequest, *, max_size: int) -> Retrieve:
    """What the store is asked.

    Args:
        max_size: bytes that the reply's way back leaves for messages.
    """
    size = min(_asked_size(request), MAX_RETRIEVED_SIZE, max_size)
    return Retrieve(request.account, request.namespace, request.after, request.most, size)


def applied_expiries_ms(request: ExpireRequest, *, judged_at_ms: int) -> tuple[int, ...]:
    """The expiries asked for, none beyond the longest life of a message."""
    return tuple(min(expiry_ms, judged_at_ms + MAX_TTL_MS) for expiry_ms in request.expiries_ms)


def _put(request: StoreRequest, version: Version) -> Put:
    message = Message(
        request.account,
        request.namespace,
        request.hash,
        request.timestamp_ms,
        request.expiry_ms,
        request.data,
    )
    return Put(message, version, is_alone=is_public_outbox(request.namespace))


def _expire(request: ExpireRequest, version: Version, judged_at_ms: int) -> Expire:
    expiries_ms = applied_expiries_ms(request, judged_at_ms=judged_at_ms)
    if len(expiries_ms) == 1:
        expiries_ms *= len(request.hashes)
    by_hash = dict(zip(request.hashes, expiries_ms, strict=True))
    rule = request.rule if may_delete(request) else ExpiryRule.EXTEND
    return Expire(request.account, tuple(by_hash), tuple(by_hash.values()), rule, version)


def _asked_size(request: RetrieveRequest) -> int:
    if request.max_size is None:
        return MAX_RETRIEVED_SIZE if request.most else MAX_RETRIEVED_SIZE // _USUAL_SHARE
    return request.max_size if request.max_size > 0 else MAX_RETRIEVED_SIZE // -request.max_size


def _unique(values: tuple[T, ...]) -> tuple[T, ...]:
    return tuple(dict.fromkeys(values))
