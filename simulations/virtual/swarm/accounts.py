"""Accounts with their keys, and the requests of their owners as text."""

from __future__ import annotations

from onionpath.injected import Entropy
from onionpath.swarm.operations import ExpiryRule
from onionpath.swarm.owner import GROUP, Owner
from onionpath.swarm.signing import (
    delete_all_request,
    delete_request,
    encode_request,
    expire_request,
    retrieve_request,
    store_request,
)


class Account:
    """One account of a group, and its requests as text. Times are milliseconds."""

    def __init__(self, entropy: Entropy) -> None:
        self._owner = Owner.generate(entropy, prefix=GROUP)
        self.id = self._owner.account

    def store(self, data: bytes, *, now_ms: int, ttl_ms: int) -> bytes:
        """Into the inbox of namespace 0, for which nothing is signed."""
        return encode_request(store_request(self.id, data, now_ms=now_ms, ttl_ms=ttl_ms))

    def retrieve(self, *, now_ms: int, after: str | None = None, document: int | None = None) -> bytes:
        """All of namespace 0, or what comes after a message; from a member that knows this document, if it must."""
        request = retrieve_request(self._owner, after=after, max_size=-1, now_ms=now_ms)
        return encode_request(request, document=document)

    def delete(self, *hashes: str) -> bytes:
        """These messages."""
        return encode_request(delete_request(self._owner, hashes))

    def delete_all(self, *, now_ms: int) -> bytes:
        """All that there is."""
        return encode_request(delete_all_request(self._owner, now_ms=now_ms))

    def extend(self, expiry_ms: int, *hashes: str) -> bytes:
        """Let these live longer."""
        return encode_request(expire_request(self._owner, hashes, expiry_ms, ExpiryRule.EXTEND))
