"""Whether whoever made a request may make it: signatures, and the rights of subaccounts.

Every reason to refuse looks alike to the sender. Spec: docs/specs/storage.md §3.
"""

from __future__ import annotations

from enum import IntFlag

from onionpath.crypto.account_keys import to_x25519
from onionpath.crypto.identity import is_signed_by
from onionpath.errors import MalformedError
from onionpath.swarm.namespaces import is_for_revoked, is_public_outbox
from onionpath.swarm.operations import AccountId, IsRevoked
from onionpath.swarm.requests import (
    ExpireRequest,
    ExpiriesRequest,
    RetrieveRequest,
    RevokeRequest,
    StorageRequest,
    StoreRequest,
    Subaccount,
)


class Rights(IntFlag):
    """What a subaccount may do; fixed by the format."""

    READ = 1
    WRITE = 2
    DELETE = 4
    ANY_PREFIX = 8


def is_authorised(request: StorageRequest) -> bool:
    """Whether the account, or a subaccount with the rights for it, has signed this; revocation is not looked at."""
    credentials = request.credentials
    if credentials is None:
        return False
    key = _account_key(request.account, credentials.signing_key)
    if key is None:
        return False
    if credentials.subaccount is not None:
        if not _is_granted(credentials.subaccount, request.account, key, _rights_for(request)):
            return False
        key = credentials.subaccount.token[4:]
    return is_signed_by(key, credentials.signature, request.signed)


def revocation_question(request: StorageRequest) -> IsRevoked | None:
    """What the store is asked before it is asked or told anything else; None where no token could be revoked."""
    if request.credentials is None or request.credentials.subaccount is None:
        return None
    if isinstance(request, RetrieveRequest) and is_for_revoked(request.namespace):
        return None
    return IsRevoked(request.account, request.credentials.subaccount.token)


def may_delete(request: ExpireRequest) -> bool:
    """Whether it may shorten as well: to let a message expire soon is almost to delete it."""
    subaccount = request.credentials.subaccount
    return subaccount is None or bool(subaccount.token[1] & Rights.DELETE)


def _account_key(account: AccountId, signing_key: bytes | None) -> bytes | None:
    """The Ed25519 key that speaks for an account; None if what was given is not its."""
    if signing_key is None:
        return account[1:]
    try:
        return signing_key if to_x25519(signing_key) == account[1:] else None
    except MalformedError:
        return None


def _is_granted(subaccount: Subaccount, account: AccountId, owner_key: bytes, needed: Rights) -> bool:
    prefix, rights, zeros = subaccount.token[0], subaccount.token[1], subaccount.token[2:4]
    # Whoever signed a right that we don't know may have meant it to restrict.
    if rights > sum(Rights) or any(zeros) or rights & needed != needed:
        return False
    if prefix != account[0] and not rights & Rights.ANY_PREFIX:
        return False
    return is_signed_by(owner_key, subaccount.signature, subaccount.token)


def _rights_for(request: StorageRequest) -> Rights:
    match request:
        case RetrieveRequest() | ExpiriesRequest():
            return Rights.READ
        case StoreRequest(namespace=namespace) if is_public_outbox(namespace):
            # It deletes what was there.
            return Rights.WRITE | Rights.DELETE
        case StoreRequest() | ExpireRequest():
            return Rights.WRITE
        case RevokeRequest():
            raise AssertionError("a revocation is never read with a subaccount")
    return Rights.DELETE
