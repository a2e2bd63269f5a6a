"""``SwarmClient``: messages of an account on its swarm, through the onion.

A write is done when a majority of the swarm has signed that it has it on disk; until then it is sent again, to another
member, which is harmless because a message is named by its content. A read asks so many members that one of them has
whatever a majority acknowledged, and tells which of them kept something back. Spec: docs/specs/storage.md §6.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import anyio

from onionpath.client.turns import Heard, Turns
from onionpath.crypto.identity import RelayId
from onionpath.errors import (
    DirectoryError,
    NotDurableError,
    OnionPathError,
    RefusedError,
    UnreachableError,
    UsageError,
)
from onionpath.onion.session_packets import SessionReply
from onionpath.swarm.operations import AccountId, ExpiryRule, Message
from onionpath.swarm.owner import Owner
from onionpath.swarm.receipts import Receipt, ReceiptedRequest, enough_to_read, read_receipt
from onionpath.swarm.requests import StoreRequest
from onionpath.swarm.signing import (
    delete_request,
    encode_request,
    expire_request,
    retrieve_request,
    store_request,
)
from onionpath.swarm.view import Page, View, in_order, read_page

DEFAULT_TTL_S = 14 * 86_400.0  # the longest in a public inbox
DEFAULT_DEADLINE_S = 40.0
# A page through the native format has 96 KiB of messages, so that this is 25 MB of one namespace in one reading.
MAX_PAGES = 256
HASHES_AT_ONCE = 256
# One member that refuses may lie; a second one is asked before the caller is told.
REFUSALS_BELIEVED = 2


class StorageNetwork(Protocol):
    """What a ``Client`` offers of storage."""

    def swarm_of(self, account: bytes) -> tuple[RelayId, ...]:
        """The relays that store for an account of 33 bytes.

        Raises:
            DirectoryError: no directory, or nobody stores.
        """
        ...

    async def ask_storage(
        self, member: RelayId, request: bytes, *, deadline_s: float, isolation: str, large_reply: bool
    ) -> SessionReply:
        """A relay's reply to a storage request, through the onion.

        Raises:
            as ``Client.call``.
        """
        ...


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A message that is stored for good, until it expires.

    Args:
        hash: its name, for ``delete`` and ``expire``.
        receipt: which members have signed that they hold it, a majority at least.
    """

    hash: str
    receipt: Receipt


@dataclass(frozen=True, slots=True)
class Reading:
    """What a namespace holds that was not known before.

    Args:
        messages: by the sender's time; each once, whoever of the members gave it.
        view: for the next reading.
        answered: the members that were asked and answered.
        failed: those that did not, and why.
        altered: members that gave messages whose content had another hash, and how many; none is in ``messages``.
    """

    messages: tuple[Message, ...]
    view: View
    answered: tuple[RelayId, ...]
    failed: Mapping[RelayId, str]
    altered: Mapping[RelayId, int]

    @property
    def withheld(self) -> Mapping[RelayId, frozenset[str]]:
        """See ``View.withheld``."""
        return self.view.withheld()


@dataclass(slots=True)
class _Gathering:
    """A reading under way."""

    view: View
    messages: list[Message] = field(default_factory=list)
    answered: list[RelayId] = field(default_factory=list)
    failed: dict[RelayId, str] = field(default_factory=dict)
    altered: dict[RelayId, int] = field(default_factory=dict)

    def take(self, member: RelayId, page: Page, *, now_ms: int) -> None:
        """Take note of a page."""
        self.messages += self.view.new(page)
        self.view = self.view.after(member, page, now_ms=now_ms)
        if page.altered:
            self.altered[member] = self.altered.get(member, 0) + page.altered


@dataclass(slots=True)
class _Writing:
    """A write under way."""

    receipt: Receipt
    refusals: list[RefusedError] = field(default_factory=list)
    why: OnionPathError | None = None

    @property
    def is_refused(self) -> bool:
        """Whether it is of no use to ask others."""
        members = len(self.receipt.holders) + len(self.receipt.failed)
        return len(self.refusals) >= min(REFUSALS_BELIEVED, members)

    def result(self) -> Receipt:
        """What came of it.

        Raises:
            NotDurableError, RefusedError; UsageError, DirectoryError: nobody was asked.
        """
        if self.receipt.is_durable:
            return self.receipt
        if self.is_refused:
            raise self.refusals[-1]
        if isinstance(self.why, UsageError | DirectoryError):
            raise self.why
        receipt = self.receipt
        raise NotDurableError(_not_durable(receipt), receipt.holders, _plain(receipt.failed)) from self.why


class SwarmClient:
    """Stores messages for accounts, and reads those of an account that one owns.

    Args:
        network: an entered ``Client`` of either format.
    """

    def __init__(self, network: StorageNetwork) -> None:
        self._network = network
        # Which members are asked must not be foreseen by those who would like to be.
        self._choice = random.SystemRandom()

    async def store(
        self,
        to: AccountId | Owner,
        data: bytes,
        *,
        namespace: int = 0,
        ttl_s: float = DEFAULT_TTL_S,
        deadline_s: float = DEFAULT_DEADLINE_S,
    ) -> StoredMessage:
        """Store a message, and return once a majority of the swarm has it on disk.

        Args:
            to: an account of 33 bytes, in whose public inboxes anybody stores; or its owner.
            data: at most 76,800 bytes; encrypt it first, since members can read it.

        Raises:
            NotDurableError: fewer members than a majority have it; storing it again is harmless.
            RefusedError: the swarm understood and won't, for example because a clock is wrong.
            UsageError, DirectoryError: nothing was sent.
        """
        request = store_request(to, data, namespace=namespace, now_ms=_now_ms(), ttl_ms=round(ttl_s * 1_000))
        return StoredMessage(request.hash, await self._write(request, deadline_s))

    async def delete(
        self, owner: Owner, hashes: Sequence[str], *, deadline_s: float = DEFAULT_DEADLINE_S
    ) -> Receipt:
        """Delete messages from a majority of the swarm, which tells the others; raises as ``store``."""
        return await self._write_all([delete_request(owner, some) for some in _in_parts(hashes)], deadline_s)

    async def expire(
        self,
        owner: Owner,
        hashes: Sequence[str],
        expiry_ms: int,
        *,
        rule: ExpiryRule = ExpiryRule.SET,
        deadline_s: float = DEFAULT_DEADLINE_S,
    ) -> Receipt:
        """Have messages expire at another time, in milliseconds since 1970; raises as ``store``."""
        requests = [expire_request(owner, some, expiry_ms, rule) for some in _in_parts(hashes)]
        return await self._write_all(requests, deadline_s)

    async def read(
        self,
        owner: Owner,
        view: View | None = None,
        *,
        namespace: int = 0,
        deadline_s: float = DEFAULT_DEADLINE_S,
    ) -> Reading:
        """What is new in a namespace.

        Args:
            view: of the last reading; None for all messages.

        Raises:
            UnreachableError: so few members answered that an acknowledged message may be missing.
            DirectoryError: nobody is known who stores for this account.
        """
        members = self._shuffled_swarm(owner.account)
        needed = enough_to_read(len(members))
        gathering = _Gathering((view or View()).among(members))

        async def ask(member: RelayId, heard: Heard) -> bool:
            return await self._ask_member(gathering, member, owner, namespace, deadline_s, heard)

        with anyio.move_on_after(deadline_s):
            await Turns(members, ask, needed=needed).take()
        if len(gathering.answered) < needed:
            failures = "; ".join(sorted(set(gathering.failed.values()))) or "no answer in time"
            raise UnreachableError(
                f"{len(gathering.answered)} of {len(members)} members answered and {needed} must: {failures}"
            )
        return Reading(
            in_order(gathering.messages),
            gathering.view,
            tuple(gathering.answered),
            gathering.failed,
            gathering.altered,
        )

    # Reading.

    async def _ask_member(
        self,
        gathering: _Gathering,
        member: RelayId,
        owner: Owner,
        namespace: int,
        deadline_s: float,
        heard: Heard,
    ) -> bool:
        """All pages of one member; whether it gave them."""
        try:
            for _ in range(MAX_PAGES):
                after = gathering.view.cursor(member).last
                request = retrieve_request(owner, namespace=namespace, after=after, now_ms=_now_ms())
                page = await self._page(member, encode_request(request), owner, namespace, deadline_s)
                gathering.take(member, page, now_ms=_now_ms())
                heard()
                if not page.has_more or not page.messages:
                    break
        except OnionPathError as error:
            gathering.failed[member] = str(error)
            return False
        gathering.answered.append(member)
        return True

    async def _page(
        self, member: RelayId, request: bytes, owner: Owner, namespace: int, deadline_s: float
    ) -> Page:
        reply = await self._ask(member, request, owner.account, deadline_s, large_reply=True)
        if reply.status != 200:
            raise _refused(reply)
        return read_page(reply.body, owner.account, namespace)

    # Writing.

    async def _write_all(self, requests: Sequence[ReceiptedRequest], deadline_s: float) -> Receipt:
        """Several writes, one after the other; who has done all of them."""
        receipt = await self._write(requests[0], deadline_s)
        for request in requests[1:]:
            receipt = receipt.both(await self._write(request, deadline_s))
        return receipt

    async def _write(self, request: ReceiptedRequest, deadline_s: float) -> Receipt:
        """Send a write to one member after the other, until a majority has it or several refuse it."""
        members = self._shuffled_swarm(request.account)
        writing = _Writing(Receipt(frozenset(), dict.fromkeys(members, "not asked")))

        async def ask(member: RelayId, _: Heard) -> bool:
            await self._write_to(member, request, members, writing, deadline_s)
            return writing.receipt.is_durable or writing.is_refused

        with anyio.move_on_after(deadline_s):
            await Turns(members, ask, needed=1).take()
        return writing.result()

    async def _write_to(
        self,
        member: RelayId,
        request: ReceiptedRequest,
        members: Sequence[RelayId],
        writing: _Writing,
        deadline_s: float,
    ) -> None:
        text, large = encode_request(request), not isinstance(request, StoreRequest)
        try:
            reply = await self._ask(member, text, request.account, deadline_s, large_reply=large)
            writing.receipt = writing.receipt.joined(_receipt(request, reply, members))
        except RefusedError as error:
            writing.refusals.append(error)
        except OnionPathError as error:
            writing.why = error

    # Both.

    def _shuffled_swarm(self, account: AccountId) -> list[RelayId]:
        members = list(self._network.swarm_of(account))
        self._choice.shuffle(members)
        return members

    async def _ask(
        self, member: RelayId, request: bytes, account: AccountId, deadline_s: float, *, large_reply: bool
    ) -> SessionReply:
        # Nobody on a path shall see that two accounts are asked for by one person.
        isolation = f"account {account.hex()}"
        return await self._network.ask_storage(
            member, request, deadline_s=deadline_s, isolation=isolation, large_reply=large_reply
        )


def _in_parts(hashes: Sequence[str]) -> list[Sequence[str]]:
    """So few at once that what seven members say of them fits into one reply; at least one part, to be refused."""
    return [hashes[start : start + HASHES_AT_ONCE] for start in range(0, len(hashes) or 1, HASHES_AT_ONCE)]


def _receipt(request: ReceiptedRequest, reply: SessionReply, members: Sequence[RelayId]) -> Receipt:
    """What a reply to a write proves.

    Raises:
        UnreachableError: this member can't, or doesn't store for this account any more; another one may.
        RefusedError: this member refuses it, as any other may.
        MalformedError: this is no reply.
    """
    if reply.status in (200, 404, 503) and reply.body.startswith(b"{"):
        return read_receipt(request, reply.body, members)
    if reply.status in (421, 429, 502, 503, 504):
        raise UnreachableError(f"a member of the swarm answered {_words(reply)}")
    raise _refused(reply)


def _refused(reply: SessionReply) -> RefusedError:
    return RefusedError(f"the swarm answered {_words(reply)}", reason=f"status {reply.status}")


def _words(reply: SessionReply) -> str:
    text = reply.body.decode(errors="replace")[:200] if not reply.is_json else ""
    return f"{reply.status} {text}".rstrip()


def _not_durable(receipt: Receipt) -> str:
    members = len(receipt.holders) + len(receipt.failed)
    return f"{len(receipt.holders)} of {members} members of the swarm have signed that they have it"


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _plain(failed: Mapping[RelayId, str]) -> dict[bytes, str]:
    # The tree of errors knows no rooms, and relay ids only as bytes.
    return {bytes(relay): why for relay, why in failed.items()}
