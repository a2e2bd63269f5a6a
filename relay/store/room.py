"""How much a store takes: of one account, from one source, in all; and what it keeps free for deletions.

Nothing that was acknowledged is ever removed to make room: whoever fills an account or a disk keeps new messages out,
and none of the old ones. Spec: docs/specs/store.md §4.
"""

from __future__ import annotations

from dataclasses import dataclass

from onionpath.swarm.operations import NotDone

MIB = 1024 * 1024
# A client that expects a message may delete it before it arrives; a thousand of them at once is more than any does.
MOST_STRANGE_TRACES = 1_000
TOKENS_KEPT = 50  # of each kind; Session's number


@dataclass(frozen=True, slots=True)
class Limits:
    """What one store takes; sizes in bytes, each row counting ``rows.ROW_OVERHEAD`` more than its data.

    Args:
        total_size: of all accounts; Session's nodes have as much.
        public_part: of an account's room, for namespaces to which anybody may store, so that strangers leave the
            owner's own namespaces some.
    """

    total_size: int = 3_500_000_000
    account_size: int = 20 * MIB
    account_messages: int = 10_000
    public_part: float = 0.75

    @property
    def reserve_size(self) -> int:
        """What only deletions, expiry and checkpoints may use; at most half of a small store."""
        return min(max(64 * MIB, self.total_size // 20), self.total_size // 2)


@dataclass(slots=True)
class Usage:
    """What an account holds."""

    size: int = 0
    messages: int = 0
    traces: int = 0
    public_size: int = 0
    public_messages: int = 0


def free_for_rows(limits: Limits, *, total_size: int, disk_free_size: int) -> int:
    """How many bytes of new rows may still come; negative if the reserve is used already."""
    return min(limits.total_size - total_size, disk_free_size) - limits.reserve_size


def refusal_of_disk(size: int, free_size: int) -> NotDone | None:
    """Why the store has no room for a row, or None."""
    return NotDone.DISK_FULL if size > free_size else None


def refusal_of_source(size: int, *, source_size: int, free_size: int) -> NotDone | None:
    """Why a source may bring no more, or None: it has at most as much as it leaves free."""
    return NotDone.SOURCE_FULL if source_size + size > free_size else None


def refusal_of_account(usage: Usage, size: int, *, is_public: bool, limits: Limits) -> NotDone | None:
    """Why an account has no room for a message, or None."""
    most_size, most = limits.account_size, limits.account_messages
    if is_public and (
        usage.public_size + size > limits.public_part * most_size
        or usage.public_messages + 1 > limits.public_part * most
    ):
        return NotDone.ACCOUNT_FULL
    if usage.size + size > most_size or usage.messages + 1 > most:
        return NotDone.ACCOUNT_FULL
    return None
