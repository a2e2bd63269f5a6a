"""``SwarmClient``: messages of an account on its swarm, through the onion.

A write is done when a majority of the swarm has signed that it has it on disk; until then it is sent again, to another
member, which is harmless because a message is named by its content. A read asks so many members that one of them has
whatever a majority acknowledged, and tells which of them kept something back. Spec: docs/specs/storage.md §6.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from typing import Protocol

import anyio

from onionpath.client.quorum import Quorum, Turn
from onionpath.client.swarm_reading import Gathering, Reading
from onionpath.client.swarm_writing import StoredMessage, Writing
from onionpath.crypto.identity import RelayId
from onionpath.errors import OnionPathError, UnreachableError
from onionpath.onion.session_packets import SessionReply
from onionpath.swarm.operations import AccountId, ExpiryRule
from onionpath.swarm.owner import Owner
from onionpath.swarm.receipts import Receipt, ReceiptedRequest
from onionpath.swarm.requests import StoreRequest
from onionpath.swarm.signing import delete_request, encode_request, expire_request, store_request
from onionpath.swarm.view import View

DEFAULT_TTL_S = 14 * 86_400.0  # the longest in a public inbox
DEFAULT_DEADLINE_S = 40.0
# A page through the native format has 96 KiB of messages, so that this is 25 MB of one member in one reading.
MAX_PAGES = 256
# So few that what seven members say of them fits into one reply.
HASHES_AT_ONCE = 256


class StorageNetwork(Protocol):
    """What a ``Client`` offers of storage."""

    @property
    def document_number(self) -> int | None:
        """Of the directory's document in use; None where members come from a list without a number."""
        ...

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
        """What is new in a namespace; of a long one a part, and ``Reading.unfinished`` says so.

        Args:
            view: of the last reading; None for all messages.

        Raises:
            UnreachableError: so few members answered that an acknowledged message may be missing.
            DirectoryError: nobody is known who stores for this account.
        """
        members, document = self._shuffled_swarm(owner.account), self._network.document_number
        gathering = Gathering(owner, namespace, members, (view or View()).among(members), document)

        async def ask(member: RelayId, turn: Turn) -> bool:
            return await self._ask_for_pages(member, gathering, deadline_s, turn)

        with anyio.move_on_after(deadline_s):
            await Quorum(members, ask, needed=gathering.needed).gather()
        return gathering.result()

    async def _ask_for_pages(
        self, member: RelayId, gathering: Gathering, deadline_s: float, turn: Turn
    ) -> bool:
        """All pages of one member, as far as there is room for them; whether it gave them."""
        account, has_more = gathering.owner.account, True
        try:
            for _ in range(MAX_PAGES):
                request = gathering.next_request(member, now_ms=_now_ms())
                timeout_s = turn.timeout_s(deadline_s)
                reply = await self._ask(member, request, account, timeout_s, large_reply=True)
                has_more = gathering.take(member, reply, now_ms=_now_ms())
                turn.heard()
                if not has_more or not gathering.has_room_for(member):
                    break
        except OnionPathError as error:
            gathering.fail(member, error)
            if isinstance(error, UnreachableError):
                raise
            return False
        gathering.end(member, has_more=has_more)
        return True

    async def _write_all(self, requests: Sequence[ReceiptedRequest], deadline_s: float) -> Receipt:
        """Several writes, one after the other; who has done all of them."""
        receipt = await self._write(requests[0], deadline_s)
        for request in requests[1:]:
            receipt = receipt.both(await self._write(request, deadline_s))
        return receipt

    async def _write(self, request: ReceiptedRequest, deadline_s: float) -> Receipt:
        """Send a write to one member after the other, until a majority has it or several refuse it."""
        members = self._shuffled_swarm(request.account)
        writing = Writing(request, members)

        async def ask(member: RelayId, turn: Turn) -> bool:
            await self._write_to(member, writing, turn.timeout_s(deadline_s))
            return writing.is_settled

        with anyio.move_on_after(deadline_s):
            await Quorum(members, ask, needed=1).gather()
        return writing.result()

    async def _write_to(self, member: RelayId, writing: Writing, deadline_s: float) -> None:
        """Tell one member.

        Raises:
            UnreachableError: it was not reached.
        """
        request = writing.request
        # A small reply has room for what members say of one message, but not for their lists of hashes.
        large = not isinstance(request, StoreRequest)
        text = encode_request(request)
        try:
            reply = await self._ask(member, text, request.account, deadline_s, large_reply=large)
        except UnreachableError as error:
            writing.fail(error)
            raise
        except OnionPathError as error:
            writing.fail(error)
            return
        try:
            writing.take(reply)
        except OnionPathError as error:
            writing.fail(error)

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
    """At least one part, so that no hashes at all are refused like too many."""
    return [hashes[start : start + HASHES_AT_ONCE] for start in range(0, len(hashes) or 1, HASHES_AT_ONCE)]


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
