"""What becomes of a write: while members are told it, and then as the caller learns of it.

Spec: docs/specs/storage.md §6.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from onionpath.client.swarm_replies import receipt_in
from onionpath.crypto.identity import RelayId
from onionpath.errors import DirectoryError, NotDurableError, OnionPathError, RefusedError, UsageError
from onionpath.onion.session_packets import SessionReply
from onionpath.swarm.receipts import Receipt, ReceiptedRequest

# One member that refuses may lie; a second one is asked before the caller is told.
REFUSALS_BELIEVED = 2


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A message that is stored for good, until it expires.

    Args:
        hash: its name, for ``delete`` and ``expire``.
        receipt: which members have signed that they hold it, a majority at least.
    """

    hash: str
    receipt: Receipt


@dataclass(slots=True)
class Writing:
    """A write under way.

    Args:
        members: of the swarm.
        receipt: what all replies together prove.
        why: the last thing that went wrong and is no refusal.
    """

    request: ReceiptedRequest = field(repr=False)
    members: Sequence[RelayId]
    receipt: Receipt = field(init=False)
    refusals: list[RefusedError] = field(default_factory=list)
    why: OnionPathError | None = None

    def __post_init__(self) -> None:
        self.receipt = Receipt(frozenset(), dict.fromkeys(self.members, "not asked"))

    @property
    def is_settled(self) -> bool:
        """Whether it is of no use to ask others."""
        return self.receipt.is_durable or self._is_refused

    def take(self, reply: SessionReply) -> None:
        """Take note of what a member's reply proves.

        Raises:
            UnreachableError, RefusedError, MalformedError: it proves nothing.
        """
        self.receipt = self.receipt.joined(receipt_in(reply, self.request, self.members))

    def fail(self, error: OnionPathError) -> None:
        """A member's reply proved nothing, or none came."""
        if isinstance(error, RefusedError):
            self.refusals.append(error)
        else:
            self.why = error

    def result(self) -> Receipt:
        """What came of it.

        Raises:
            NotDurableError, RefusedError; UsageError, DirectoryError: nobody was asked.
        """
        if self.receipt.is_durable:
            return self.receipt
        if self._is_refused:
            raise self.refusals[-1]
        if isinstance(self.why, UsageError | DirectoryError):
            raise self.why
        holders, failed = self.receipt.holders, self.receipt.failed
        signed = f"{len(holders)} of {len(self.members)} members of the swarm have signed that they have it"
        raise NotDurableError(signed, holders, failed.items()) from self.why

    @property
    def _is_refused(self) -> bool:
        return len(self.refusals) >= min(REFUSALS_BELIEVED, len(self.members))
