"""Accounts with their keys, and the requests that they sign as Session's clients do."""

from __future__ import annotations

import json
from base64 import b64encode

from onionpath.crypto.identity import IdentityKey
from onionpath.injected import Entropy
from onionpath.swarm.operations import AccountId

GROUP_PREFIX = b"\x03"  # an account of this kind is an Ed25519 key


class Account:
    """One account of a group, and its requests as text. Times are milliseconds."""

    def __init__(self, entropy: Entropy) -> None:
        self._key = IdentityKey.generate(entropy)
        self.id = AccountId(GROUP_PREFIX + self._key.relay_id)

    def store(self, data: bytes, *, now_ms: int, ttl_ms: int) -> bytes:
        """Into the inbox of namespace 0, for which nothing is signed."""
        fields = {"timestamp": now_ms, "ttl": ttl_ms, "data": b64encode(data).decode()}
        return self._request("store", fields)

    def retrieve_by(self, number: int, *, now_ms: int) -> bytes:
        """All of namespace 0, from a member that knows this document or a later one."""
        then = json.loads(self.retrieve(now_ms=now_ms))
        return json.dumps(
            {"method": "ifelse", "params": {"if": {"height_at_least": number}, "then": then}}
        ).encode()

    def retrieve(self, *, now_ms: int, after: str | None = None) -> bytes:
        """All of namespace 0, or what comes after a message."""
        signed = {"timestamp": now_ms, "signature": self._sign(f"retrieve{now_ms}")}
        last = {} if after is None else {"last_hash": after}
        return self._request("retrieve", {**signed, **last, "max_size": -1})

    def delete(self, *hashes: str) -> bytes:
        """These messages."""
        signature = self._sign("delete" + "".join(hashes))
        return self._request("delete", {"messages": hashes, "signature": signature})

    def delete_all(self, *, now_ms: int) -> bytes:
        """All that there is."""
        signature = self._sign(f"delete_all{now_ms}")
        return self._request("delete_all", {"timestamp": now_ms, "signature": signature})

    def extend(self, expiry_ms: int, *hashes: str) -> bytes:
        """Let these live longer."""
        signature = self._sign(f"expireextend{expiry_ms}{''.join(hashes)}")
        fields = {"messages": hashes, "expiry": expiry_ms, "extend": True, "signature": signature}
        return self._request("expire", fields)

    def expire_all(self, expiry_ms: int) -> bytes:
        """Let nothing live longer."""
        signature = self._sign(f"expire_all{expiry_ms}")
        return self._request("expire_all", {"expiry": expiry_ms, "signature": signature})

    def _sign(self, text: str) -> str:
        return b64encode(self._key.sign(text.encode())).decode()

    def _request(self, method: str, fields: dict[str, object]) -> bytes:
        return json.dumps({"method": method, "params": {"pubkey": self.id.hex(), **fields}}).encode()
