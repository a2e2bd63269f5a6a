"""What a reply to a write proves: which members have it on disk, each by its own signature.

The member that was asked writes the reply, and could leave others out; it can't make them up.
Spec: docs/specs/storage.md §5.2 to §5.4, §6.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import msgspec

from onionpath.crypto.identity import RelayId, is_signed_by
from onionpath.errors import MalformedError
from onionpath.swarm.fields import MAX_HASHES
from onionpath.swarm.majorities import majority
from onionpath.swarm.requests import DeleteRequest, ExpireRequest, StoreRequest

MAX_REPLY_SIZE = 10 * 1024 * 1024  # bytes

ReceiptedRequest = StoreRequest | DeleteRequest | ExpireRequest


@dataclass(frozen=True, slots=True)
class Receipt:
    """Who has done a write.

    Args:
        holders: members that have signed that they did.
        failed: the others, with what is said of them: nobody signs that.
    """

    holders: frozenset[RelayId]
    failed: Mapping[RelayId, str]

    @property
    def is_durable(self) -> bool:
        """Whether a majority of the swarm has it."""
        return len(self.holders) >= majority(len(self.holders) + len(self.failed))

    def both(self, other: Receipt) -> Receipt:
        """Who has done two writes to one swarm."""
        failed = {**self.failed, **other.failed}
        return Receipt(self.holders & other.holders, failed)

    def joined(self, other: Receipt) -> Receipt:
        """What both prove, of two replies to one request."""
        holders = self.holders | other.holders
        failed = {
            relay: why for relay, why in {**self.failed, **other.failed}.items() if relay not in holders
        }
        return Receipt(holders, failed)


class _Entry(msgspec.Struct, frozen=True):
    """A member's part, of any write."""

    signature: str = ""
    hash: str = ""
    deleted: list[str] = []
    updated: list[str] = []
    unchanged: dict[str, int] = {}
    expiry: int | list[int] = 0
    failed: bool | int = False
    timeout: bool | int = False


class _Reply(msgspec.Struct, frozen=True):
    swarm: dict[str, _Entry]


def read_receipt(request: ReceiptedRequest, reply: bytes, members: Collection[RelayId]) -> Receipt:
    """Check every member's signature in a reply.

    Args:
        members: of the swarm, as the directory has them; the word of others counts for nothing.

    Raises:
        MalformedError: it is no reply to a write.
    """
    if len(reply) > MAX_REPLY_SIZE:
        raise MalformedError("a reply to a write is too long")
    try:
        entries = msgspec.json.decode(reply, type=_Reply).swarm
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise MalformedError("a reply to a write has no parts of members") from error
    holders, failed = set(), {}
    for member in members:
        problem = _problem(request, member, entries.get(member.hex()))
        if problem is None:
            holders.add(member)
        else:
            failed[member] = problem
    return Receipt(frozenset(holders), failed)


def _problem(request: ReceiptedRequest, member: RelayId, entry: _Entry | None) -> str | None:
    """Why a member's part proves nothing; None if it proves that the write was done."""
    if entry is None:
        return "not mentioned"
    if entry.failed:
        return "no answer in time" if entry.timeout else "did not do it"
    signed = _signed(request, entry)
    if signed is None:
        return "says something else"
    if not is_signed_by(member, _signature(entry.signature), signed):
        return "its signature does not hold"
    return None


def _signed(request: ReceiptedRequest, entry: _Entry) -> bytes | None:
    """The text that a member's signature covers; None if its part is none for this request."""
    match request:
        case StoreRequest():
            return request.hash.encode() if entry.hash == request.hash else None
        case DeleteRequest():
            if len(entry.deleted) > MAX_HASHES or not set(entry.deleted) <= set(request.hashes):
                return None
            return "".join((request.account.hex(), *request.hashes, *entry.deleted)).encode()
        case ExpireRequest():
            expiries = entry.expiry if isinstance(entry.expiry, list) else [entry.expiry]
            kept = "".join(f"{name}{expiry}" for name, expiry in sorted(entry.unchanged.items()))
            texts = (request.account.hex(), *map(str, expiries), *request.hashes, *entry.updated, kept)
            return "".join(texts).encode()


def _signature(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except ValueError:
        return b""
