"""How a message is named: by what it is, so that storing it twice stores it once. Spec: docs/specs/storage.md §1.4."""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import blake2b

from onionpath.swarm.namespaces import signed_namespace
from onionpath.swarm.operations import AccountId

HASH_SIZE = 43  # characters
_HASH = re.compile(r"[A-Za-z0-9+/]{43}\Z")


def message_hash(account: AccountId, namespace: int, data: bytes) -> str:
    """43 characters of base64 without padding; timestamp and expiry are no part of it."""
    named = blake2b(account + signed_namespace(namespace).encode() + data, digest_size=32)
    return b64encode(named.digest()).decode().rstrip("=")


def is_hash(text: str) -> bool:
    """Whether a message could have this name."""
    return _HASH.match(text) is not None
