"""What a storage request asks for, read and not yet judged; each knows the text that its signature covers.

Spec: docs/specs/storage.md §2.3 to §2.5.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from onionpath.swarm.hashes import message_hash
from onionpath.swarm.namespaces import signed_namespace
from onionpath.swarm.operations import AccountId, ExpiryRule


@dataclass(frozen=True, slots=True)
class Subaccount:
    """A key with rights, and the account's signature over both.

    Args:
        token: prefix 1, rights 1, zeros 2, Ed25519 key 32; unchecked.
        signature: 64 bytes.
    """

    token: bytes = field(repr=False)
    signature: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a request says about who made it; unchecked.

    Args:
        signature: 64 bytes over the request's ``signed``.
        signing_key: a person's Ed25519 key, 32 bytes; None for accounts that are Ed25519 keys themselves.
    """

    signature: bytes = field(repr=False)
    signing_key: bytes | None = field(default=None, repr=False)
    subaccount: Subaccount | None = None


@dataclass(frozen=True, slots=True)
class StoreRequest:
    """Store a message."""

    account: AccountId = field(repr=False)
    namespace: int
    timestamp_ms: int
    expiry_ms: int
    data: bytes = field(repr=False)
    signed_at_ms: int
    credentials: Credentials | None

    method = "store"

    @property
    def hash(self) -> str:
        """The message's name."""
        return message_hash(self.account, self.namespace, self.data)

    @property
    def signed(self) -> bytes:
        """What the signature covers; the message itself is no part of it."""
        return f"store{signed_namespace(self.namespace)}{self.signed_at_ms}".encode()


@dataclass(frozen=True, slots=True)
class RetrieveRequest:
    """Give the messages of a namespace.

    Args:
        after: the hash of the last one that is known.
        most: of messages; None for any number.
        max_size: as §4.5 counts; negative for a fraction of the most that is possible, None if nothing was said.
        signed_at_ms: None without credentials.
    """

    account: AccountId = field(repr=False)
    namespace: int
    after: str | None = field(repr=False)
    most: int | None
    max_size: int | None
    signed_at_ms: int | None
    credentials: Credentials | None

    method = "retrieve"

    @property
    def signed(self) -> bytes:
        """What the signature covers."""
        return f"retrieve{signed_namespace(self.namespace)}{self.signed_at_ms}".encode()


@dataclass(frozen=True, slots=True)
class ExpiriesRequest:
    """Say when these messages expire."""

    account: AccountId = field(repr=False)
    hashes: tuple[str, ...] = field(repr=False)
    signed_at_ms: int
    credentials: Credentials

    method = "get_expiries"

    @property
    def signed(self) -> bytes:
        """What the signature covers."""
        return f"get_expiries{self.signed_at_ms}{''.join(self.hashes)}".encode()


@dataclass(frozen=True, slots=True)
class DeleteRequest:
    """Delete these messages.

    Args:
        is_required: if nobody has any of them, the reply's status is 404.
    """

    account: AccountId = field(repr=False)
    hashes: tuple[str, ...] = field(repr=False)
    is_required: bool
    credentials: Credentials

    method = "delete"

    @property
    def signed(self) -> bytes:
        """What the signature covers: no time, so that it holds for ever."""
        return f"delete{''.join(self.hashes)}".encode()


@dataclass(frozen=True, slots=True)
class DeleteAllRequest:
    """Delete everything in a namespace, or in all if None."""

    account: AccountId = field(repr=False)
    namespace: int | None
    signed_at_ms: int
    credentials: Credentials

    method = "delete_all"

    @property
    def signed(self) -> bytes:
        """What the signature covers."""
        return f"delete_all{signed_namespace(self.namespace)}{self.signed_at_ms}".encode()


@dataclass(frozen=True, slots=True)
class DeleteBeforeRequest:
    """Delete what has a timestamp up to ``before_ms`` in a namespace, or in all if None."""

    account: AccountId = field(repr=False)
    namespace: int | None
    before_ms: int
    credentials: Credentials

    method = "delete_before"

    @property
    def signed(self) -> bytes:
        """What the signature covers."""
        return f"delete_before{signed_namespace(self.namespace)}{self.before_ms}".encode()


@dataclass(frozen=True, slots=True)
class ExpireRequest:
    """Change when these messages expire: all to one time, or each to its own."""

    account: AccountId = field(repr=False)
    hashes: tuple[str, ...] = field(repr=False)
    expiries_ms: tuple[int, ...]
    rule: ExpiryRule
    credentials: Credentials

    method = "expire"

    @property
    def signed(self) -> bytes:
        """What the signature covers."""
        expiries = "".join(map(str, self.expiries_ms))
        return f"expire{self.rule.value}{expiries}{''.join(self.hashes)}".encode()


@dataclass(frozen=True, slots=True)
class ExpireAllRequest:
    """Let everything in a namespace, or in all if None, expire by then at the latest."""

    account: AccountId = field(repr=False)
    namespace: int | None
    expiry_ms: int
    credentials: Credentials

    method = "expire_all"

    @property
    def signed(self) -> bytes:
        """What the signature covers."""
        return f"expire_all{signed_namespace(self.namespace)}{self.expiry_ms}".encode()


@dataclass(frozen=True, slots=True)
class RevokeRequest:
    """Refuse these tokens of subaccounts from now on, or accept them again."""

    account: AccountId = field(repr=False)
    tokens: tuple[bytes, ...] = field(repr=False)
    is_revoked: bool
    signed_at_ms: int
    credentials: Credentials

    @property
    def method(self) -> str:
        """Its name on the wire."""
        return "revoke_subaccount" if self.is_revoked else "unrevoke_subaccount"

    @property
    def signed(self) -> bytes:
        """What the signature covers."""
        return f"{self.method}{self.signed_at_ms}".encode() + b"".join(self.tokens)


@dataclass(frozen=True, slots=True)
class NetworkRequest:
    """A question about the network instead of messages; ``network_rpc`` answers it."""

    method: str
    params: Mapping[str, object] = field(repr=False)


ReadRequest = RetrieveRequest | ExpiriesRequest
WriteRequest = (
    StoreRequest
    | DeleteRequest
    | DeleteAllRequest
    | DeleteBeforeRequest
    | ExpireRequest
    | ExpireAllRequest
    | RevokeRequest
)
StorageRequest = ReadRequest | WriteRequest


@dataclass(frozen=True, slots=True)
class BatchRequest:
    """Several requests at once, or, as a sequence, one after the other up to the first that is refused."""

    requests: tuple[Leaf, ...]
    is_sequence: bool


@dataclass(frozen=True, slots=True)
class IfElseRequest:
    """One of two requests, as the state of the network decides."""

    condition: Condition
    then: Request | None
    otherwise: Request | None


Bound = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Condition:
    """Bounds that the state of the network must keep, all of them: at least so much, and less than so much."""

    at_least: Mapping[str, Bound]
    before: Mapping[str, Bound]

    def holds(self, state: Mapping[str, Bound]) -> bool:
        """Whether it does."""
        return all(state[name] >= bound for name, bound in self.at_least.items()) and all(
            state[name] < bound for name, bound in self.before.items()
        )


@dataclass(frozen=True, slots=True)
class Asked:
    """A request to the storage, and the fields that it was read from: other members are sent these."""

    request: StorageRequest
    params: Mapping[str, object] = field(repr=False)


Leaf = Asked | NetworkRequest
Request = Leaf | BatchRequest | IfElseRequest
