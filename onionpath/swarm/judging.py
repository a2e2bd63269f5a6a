"""Whether a request that was read is carried out: its time, and who made it, in the order of the specification.

Spec: docs/specs/storage.md §4.3, §4.4.
"""

from __future__ import annotations

from dataclasses import dataclass

from onionpath.onion.session_packets import SessionReply
from onionpath.swarm.authority import is_authorised, may_delete
from onionpath.swarm.namespaces import is_open_to_all, is_public_inbox
from onionpath.swarm.operations import ExpiryRule
from onionpath.swarm.replies import text_reply
from onionpath.swarm.requests import (
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
)

# Fixed by the format.
MIN_TTL_MS = 10 * 1000
MAX_TTL_MS = 30 * 24 * 3600 * 1000
_MAX_INBOX_TTL_MS = 14 * 24 * 3600 * 1000


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far clocks may be apart.

    Args:
        signed_ms: the time in a signature, and now.
        message_ms: a message's time, and now.
    """

    signed_ms: int
    message_ms: int


FROM_CLIENT = Tolerance(signed_ms=60_000, message_ms=10_000)
# What one member has accepted at the edge of its time must not be too late for the next.
FROM_MEMBER = Tolerance(signed_ms=70_000, message_ms=20_000)


def judge(request: StorageRequest, *, now_ms: int, tolerance: Tolerance) -> SessionReply | None:
    """The refusal, or None if the request is to be carried out unless its subaccount was revoked."""
    refusal = _judge_time(request, now_ms=now_ms, tolerance=tolerance)
    if refusal is not None or not _needs_credentials(request):
        return refusal
    if not is_authorised(request):
        return signature_refusal(request)
    if isinstance(request, ExpireRequest) and request.rule is ExpiryRule.SHORTEN and not may_delete(request):
        return text_reply(
            400,
            "expire: shorten parameter cannot be used with this subaccount token (missing delete access)",
        )
    return None


def signature_refusal(request: StorageRequest) -> SessionReply:
    """One answer to everything that is wrong with a signature or a subaccount."""
    # Two methods are spelled in their own way here.
    spelled = {"expire": "expire:", "delete": "delete_msgs"}
    return text_reply(401, f"{spelled.get(request.method, request.method)} signature verification failed")


def _needs_credentials(request: StorageRequest) -> bool:
    """Whether there must be a signature; where there need not be one, it counts if it is there and not in an inbox."""
    if isinstance(request, StoreRequest):
        return not is_public_inbox(request.namespace)
    return request.credentials is not None


def _judge_time(request: StorageRequest, *, now_ms: int, tolerance: Tolerance) -> SessionReply | None:
    match request:
        case StoreRequest():
            return _judge_store(request, now_ms, tolerance)
        case RetrieveRequest():
            return _judge_retrieve(request, now_ms, tolerance)
        case ExpiriesRequest() | DeleteAllRequest() | RevokeRequest():
            return _judge_signed_at(request, request.signed_at_ms, now_ms, tolerance)
        case DeleteBeforeRequest() if request.before_ms > now_ms + tolerance.signed_ms:
            return text_reply(401, "delete_before timestamp too far in the future")
        case ExpireRequest() if min(request.expiries_ms) < now_ms - tolerance.signed_ms:
            return text_reply(401, "expire: timestamp should be >= current time")
        case ExpireAllRequest() if request.expiry_ms < now_ms - tolerance.signed_ms:
            return text_reply(406, "expire_all timestamp should be >= current time")
        case DeleteRequest() | DeleteBeforeRequest() | ExpireRequest() | ExpireAllRequest():
            return None


def _judge_store(request: StoreRequest, now_ms: int, tolerance: Tolerance) -> SessionReply | None:
    is_open = is_public_inbox(request.namespace)
    most_ms = _MAX_INBOX_TTL_MS if is_open else MAX_TTL_MS
    if not MIN_TTL_MS <= request.expiry_ms - request.timestamp_ms <= most_ms:
        return text_reply(403, "Provided expiry/TTL is not valid.")
    if (
        request.timestamp_ms > now_ms + tolerance.message_ms
        or request.expiry_ms < now_ms - tolerance.message_ms
    ):
        return text_reply(406, "Timestamp error: check your clock")
    if is_open:
        return None
    if request.credentials is None:
        return text_reply(401, f"store: signature required to store to namespace {request.namespace}")
    if abs(request.signed_at_ms - now_ms) > tolerance.signed_ms:
        return text_reply(406, "store signature timestamp too far from current time")
    return None


def _judge_retrieve(request: RetrieveRequest, now_ms: int, tolerance: Tolerance) -> SessionReply | None:
    if request.signed_at_ms is None:
        return None if is_open_to_all(request.namespace) else _RETRIEVE_UNSIGNED
    return _judge_signed_at(request, request.signed_at_ms, now_ms, tolerance)


def _judge_signed_at(
    request: StorageRequest, signed_at_ms: int, now_ms: int, tolerance: Tolerance
) -> SessionReply | None:
    if abs(signed_at_ms - now_ms) > tolerance.signed_ms:
        return text_reply(406, f"{request.method} timestamp too far from current time")
    return None


_RETRIEVE_UNSIGNED = text_reply(401, "retrieve: request signature required")
