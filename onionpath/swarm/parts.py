"""What one member of a swarm says in the reply to a change: that it was made, with its signature, or why not.

Spec: docs/specs/storage.md §5.2, §5.3.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Annotated

import msgspec

from onionpath.crypto.identity import IdentityKey
from onionpath.errors import MalformedError
from onionpath.onion.session_fields import Form, decode_fields, to_form
from onionpath.swarm.changes import applied_expiries_ms
from onionpath.swarm.json_depth import check_depth
from onionpath.swarm.operations import Deleted, Expiring, ExpiryRule, Result, Revoked, Shortened, Stored
from onionpath.swarm.replies import encode_json
from onionpath.swarm.requests import (
    DeleteAllRequest,
    DeleteBeforeRequest,
    DeleteRequest,
    ExpireAllRequest,
    ExpireRequest,
    RevokeRequest,
    StoreRequest,
    WriteRequest,
)

MAX_PART_SIZE = 4 * 1024 * 1024  # bytes
# An account may have messages in every namespace, each of which has a list.
_MAX_BRACKETS = 70_000
_MAX_DEPTH = 3


@dataclass(frozen=True, slots=True)
class Part:
    """A member's word, signed by it.

    Args:
        json: the object that the client gets.
        has_deleted: whether this member deleted anything.
    """

    json: bytes = field(repr=False)
    has_deleted: bool = False


class Failed(Enum):
    """Why a member has no part in a change; the value is the key that stands beside ``failed``."""

    TIMEOUT = "timeout"
    BAD_REPLY = "bad_peer_response"
    STORE = "query_failure"  # its disk is full or damaged
    REFUSED = "refused"  # it judged the request otherwise


def make_part(request: WriteRequest, result: Result, key: IdentityKey, *, judged_at_ms: int) -> Part | Failed:
    """What this member says about its own store.

    Args:
        result: of the change that ``changes.change_of`` made of the request.
        key: the member's identity.
        judged_at_ms: as for ``change_of``.
    """
    said = statement(request, result, judged_at_ms=judged_at_ms)
    if said is None:
        return Failed.STORE
    fields, signed = said
    signature = b64encode(key.sign(signed)).decode()
    return Part(encode_json({**fields, "signature": signature}), bool(fields.get("deleted")))


def encode_part(part: Part | Failed) -> bytes:
    """For the member that was asked."""
    return part.json if isinstance(part, Part) else part.value.encode()


def decode_part(data: bytes, request: WriteRequest) -> Part | Failed:
    """Read what a member said about a request; ``Failed.BAD_REPLY`` for what it could not have said."""
    for failed in Failed:
        if data == failed.value.encode():
            return failed
    if len(data) > MAX_PART_SIZE or data.count(b"{") + data.count(b"[") > _MAX_BRACKETS:
        return Failed.BAD_REPLY
    try:
        check_depth(data, most=_MAX_DEPTH)
        fields = decode_fields(data, max_size=MAX_PART_SIZE, max_brackets=_MAX_BRACKETS)
        to_form(fields, _form_for(request))
    except MalformedError:
        return Failed.BAD_REPLY
    return Part(encode_json(fields), bool(fields.get("deleted")))


def as_entry(part: Part | Failed) -> object:
    """How it stands in the reply."""
    return msgspec.Raw(part.json) if isinstance(part, Part) else {"failed": True, part.value: True}


Statement = tuple[Mapping[str, object], bytes]


def statement(request: WriteRequest, result: Result, *, judged_at_ms: int) -> Statement | None:
    """What is said of a result, and the text that is signed; None if the store didn't do it."""
    account = request.account.hex()
    match request, result:
        case StoreRequest(), Stored():
            return _said_of_store(request, result)
        case DeleteRequest(), Deleted():
            signed = (account, *request.hashes, *result.hashes)
            return {"deleted": result.hashes}, "".join(signed).encode()
        case DeleteAllRequest(), Deleted():
            return _said_of_all(request, "deleted", request.signed_at_ms, result)
        case DeleteBeforeRequest(), Deleted():
            return _said_of_all(request, "deleted", request.before_ms, result)
        case ExpireAllRequest(), Shortened():
            return _said_of_all(request, "updated", request.expiry_ms, result)
        case ExpireRequest(), Expiring():
            return _said_of_expire(request, result, judged_at_ms)
        case RevokeRequest(), Revoked():
            count = {} if request.is_revoked else {"count": result.count}
            return count, f"{account}{request.signed_at_ms}".encode() + b"".join(request.tokens)
    return None


def _said_of_store(request: StoreRequest, result: Stored) -> Statement:
    already = {"already": True} if result.was_there else {}
    fields = {"hash": request.hash, "expiry": result.expiry_ms, **already}
    return fields, request.hash.encode()


def _said_of_all(
    request: DeleteAllRequest | DeleteBeforeRequest | ExpireAllRequest,
    what: str,
    time_ms: int,
    result: Deleted | Shortened,
) -> Statement:
    hashes = sorted(each for some in result.by_namespace.values() for each in some)
    by_namespace = {str(name): some for name, some in result.by_namespace.items() if some}
    fields = {what: by_namespace if request.namespace is None else hashes}
    return fields, f"{request.account.hex()}{time_ms}{''.join(hashes)}".encode()


def _said_of_expire(request: ExpireRequest, result: Expiring, judged_at_ms: int) -> Statement:
    updated = sorted(result.updated)
    asked = applied_expiries_ms(request, judged_at_ms=judged_at_ms)
    expiries = [result.updated[name] for name in updated] if len(asked) > 1 else list(asked)
    fields: dict[str, object] = {"updated": updated, "expiry": expiries if len(asked) > 1 else asked[0]}
    unchanged: list[tuple[str, int]] = []
    if request.rule is not ExpiryRule.SET:
        unchanged = sorted(result.unchanged.items())
        fields["unchanged"] = dict(unchanged)
    named = "".join(f"{name}{expiry_ms}" for name, expiry_ms in unchanged)
    signed = (request.account.hex(), *map(str, expiries), *request.hashes, *updated, named)
    return fields, "".join(signed).encode()


# What members may say, field by field.

_Hash = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9+/]{43}\Z")]
_Hashes = list[_Hash]
_Namespace = Annotated[str, msgspec.Meta(pattern=r"^-?[0-9]{1,5}\Z")]
_Signature = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9+/]{86}==\Z")]
_Time = Annotated[int, msgspec.Meta(ge=0, lt=2**53)]


class _Stored(Form, frozen=True):
    hash: _Hash
    expiry: _Time
    signature: _Signature
    already: bool | msgspec.UnsetType = msgspec.UNSET


class _Deleted(Form, frozen=True):
    deleted: _Hashes
    signature: _Signature


class _DeletedEverywhere(Form, frozen=True):
    deleted: dict[_Namespace, _Hashes]
    signature: _Signature


class _Updated(Form, frozen=True):
    updated: _Hashes
    signature: _Signature


class _UpdatedEverywhere(Form, frozen=True):
    updated: dict[_Namespace, _Hashes]
    signature: _Signature


class _Expiring(Form, frozen=True):
    updated: _Hashes
    expiry: _Time | list[_Time]
    signature: _Signature
    unchanged: dict[_Hash, _Time] | msgspec.UnsetType = msgspec.UNSET


class _Revoked(Form, frozen=True):
    signature: _Signature


class _Unrevoked(Form, frozen=True):
    count: _Time
    signature: _Signature


def _form_for(request: WriteRequest) -> type[Form]:
    match request:
        case StoreRequest():
            return _Stored
        case DeleteRequest():
            return _Deleted
        case DeleteAllRequest() | DeleteBeforeRequest():
            return _DeletedEverywhere if request.namespace is None else _Deleted
        case ExpireAllRequest():
            return _UpdatedEverywhere if request.namespace is None else _Updated
        case ExpireRequest():
            return _Expiring
        case RevokeRequest():
            return _Revoked if request.is_revoked else _Unrevoked
