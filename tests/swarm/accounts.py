"""Accounts of persons and groups with their keys, and the requests that they would sign."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from onionpath.crypto.account_keys import to_x25519
from onionpath.crypto.identity import IdentityKey

T = 1_795_318_536_524  # the time of all requests here
DAY_MS = 24 * 3600 * 1000

Json = dict[str, Any]


@dataclass(frozen=True)
class Subkey:
    """A subaccount: its key, and the token with the account's signature."""

    key: IdentityKey
    token: bytes
    signature: bytes


@dataclass(frozen=True)
class Owner:
    """Who holds an account's key."""

    key: IdentityKey
    is_group: bool = False

    @classmethod
    def named(cls, name: str, *, is_group: bool = False) -> Owner:
        return cls(IdentityKey(sha256(name.encode()).digest()), is_group)

    @property
    def account(self) -> bytes:
        return b"\3" + self.key.public if self.is_group else b"\5" + to_x25519(self.key.public)

    def who(self) -> Json:
        """The fields that say whose account it is and who signs."""
        whose = {"pubkey": self.account.hex()}
        return whose if self.is_group else {**whose, "pubkey_ed25519": self.key.public.hex()}

    def subkey(self, rights: int, *, prefix: int | None = None, zeros: bytes = bytes(2)) -> Subkey:
        key = IdentityKey(sha256(b"subaccount of " + self.key.public).digest())
        token = bytes([self.account[0] if prefix is None else prefix, rights]) + zeros + key.public
        return Subkey(key, token, self.key.sign(token))

    def request(
        self, method: str, signed: str | bytes, *, by: Subkey | None = None, **fields: object
    ) -> Json:
        """A request with a signature over ``signed``, by the account or a subaccount."""
        message = signed.encode() if isinstance(signed, str) else signed
        params: Json = {
            **self.who(),
            **fields,
            "signature": base64((by.key if by else self.key).sign(message)),
        }
        if by:
            params |= {"subaccount": base64(by.token), "subaccount_sig": base64(by.signature)}
        return {"method": method, "params": params}

    def store(self, data: bytes = b"hello", namespace: int = 0, **fields: object) -> Json:
        """Unsigned, into a public inbox."""
        params = {"pubkey": self.account.hex(), "timestamp": T, "ttl": DAY_MS, "data": base64(data)}
        return {"method": "store", "params": {**params, "namespace": namespace, **fields}}

    def signed_store(self, data: bytes, namespace: int, *, by: Subkey | None = None) -> Json:
        fields = self.store(data, namespace)["params"]
        return self.request("store", f"store{namespace or ''}{T}", by=by, **fields)

    def retrieve(self, namespace: int = 0, *, by: Subkey | None = None, **fields: object) -> Json:
        signed = f"retrieve{namespace or ''}{T}"
        return self.request("retrieve", signed, by=by, namespace=namespace, timestamp=T, **fields)

    def delete(self, *hashes: str, by: Subkey | None = None, **fields: object) -> Json:
        return self.request("delete", f"delete{''.join(hashes)}", by=by, messages=list(hashes), **fields)

    def delete_all(self, namespace: object = 0, *, at: int = T, by: Subkey | None = None) -> Json:
        signed = f"delete_all{namespace or ''}{at}"
        return self.request("delete_all", signed, by=by, namespace=namespace, timestamp=at)

    def delete_before(self, before: int = T) -> Json:
        return self.request("delete_before", f"delete_before{before}", before=before)

    def expire(
        self, hashes: list[str], expiry: int | list[int], rule: str = "", *, by: Subkey | None = None
    ) -> Json:
        expiries = expiry if isinstance(expiry, list) else [expiry]
        signed = f"expire{rule}{''.join(map(str, expiries))}{''.join(hashes)}"
        rules = {rule: True} if rule else {}
        return self.request("expire", signed, by=by, messages=hashes, expiry=expiry, **rules)

    def expire_all(self, expiry: int, namespace: object = 0) -> Json:
        signed = f"expire_all{namespace or ''}{expiry}"
        return self.request("expire_all", signed, namespace=namespace, expiry=expiry)

    def get_expiries(self, *hashes: str, by: Subkey | None = None) -> Json:
        signed = f"get_expiries{T}{''.join(hashes)}"
        return self.request("get_expiries", signed, by=by, messages=list(hashes), timestamp=T)

    def revoke(self, *tokens: bytes, by: Subkey | None = None) -> Json:
        signed = f"revoke_subaccount{T}".encode() + b"".join(tokens)
        return self.request("revoke_subaccount", signed, by=by, revoke=list(map(base64, tokens)), timestamp=T)


def several(method: str, *requests: Json) -> Json:
    """A batch or a sequence."""
    return {"method": method, "params": {"requests": list(requests)}}


def base64(data: bytes) -> str:
    return b64encode(data).decode()


PERSON, OTHER, GROUP = Owner.named("person"), Owner.named("other"), Owner.named("group", is_group=True)
