"""The answerer's side of long calls: what is held of each transfer, and what follows from a part. No I/O, no time.

    a part                                   what follows
    ---------------------------------------------------------------------------------------
    makes a transfer, or adds to it          Taken
    completes its request                    Begin: the driver has the service answer, and waits for that
    asks for the reply                       Wait: the driver waits until there is one
    ends it, or contradicts others of it     Ended: the driver cancels the service's work
    makes none, or belongs to none           a Reason

A driver ends every transfer after ``LIFE_S``, gives the service's answer to ``finish``, and has ``tell`` say what goes
back. Spec: docs/specs/link.md §9.5.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from onionpath.crypto.identity import RelayId
from onionpath.onion.statuses import Reason
from onionpath.service.call_shares import CallShares
from onionpath.service.long_call_parts import TOLD_HEAD_SIZE, Asked, State, Told, Verb

# Longer than anybody waits for a service, and short enough that who vanishes doesn't fill us.
LIFE_S = 60.0
# Below the time that a call has, with room for the way back.
POLL_S = 10.0
# Eleven of the longest; one peer alone may have five.
MOST_HELD_BYTES = 128 * 1024 * 1024
MOST_TRANSFERS = 4_096


@dataclass(slots=True, eq=False)
class Transfer:
    """One long call as its answerer sees it.

    Args:
        held: bytes that are counted as its peer's: the request's as declared, then the reply's.
    """

    peer: RelayId
    transfer_id: bytes
    total: int
    held: int
    pieces: dict[int, bytes] = field(default_factory=dict, repr=False)
    missing: int = 0
    is_complete: bool = False
    is_over: bool = False
    reply: bytes | Reason | None = field(default=None, repr=False)


class Taken(NamedTuple):
    """Noted; more parts must come."""

    transfer: Transfer


class Begin(NamedTuple):
    """The request is complete."""

    transfer: Transfer
    request: bytes


class Wait(NamedTuple):
    """The service works on it, or has answered already."""

    transfer: Transfer


class Ended(NamedTuple):
    """The asker wants no more of it, or broke it for a reason; None if we know nothing of it."""

    transfer: Transfer | None
    reason: Reason | None = None


Outcome = Taken | Begin | Wait | Ended


class Transfers:
    """See the module's first lines."""

    def __init__(self, *, most: int = MOST_TRANSFERS, most_bytes: int = MOST_HELD_BYTES) -> None:
        self._all: dict[tuple[RelayId, bytes], Transfer] = {}
        self._shares: CallShares[RelayId] = CallShares(max_calls=most, max_bytes=most_bytes)

    def __len__(self) -> int:
        return len(self._all)

    def take(self, peer: RelayId, asked: Asked) -> Outcome | Reason:
        """Note a part, and say what follows."""
        transfer = self._all.get((peer, asked.transfer_id))
        if asked.verb is Verb.END:
            if transfer is not None:
                self.end(transfer)
            return Ended(transfer)
        if transfer is None:
            return self._make(peer, asked)
        if asked.verb is Verb.PUT and not _agrees(transfer, asked):
            return self._break(transfer)
        return self._add(transfer, asked)

    def _make(self, peer: RelayId, asked: Asked) -> Outcome | Reason:
        if asked.verb is not Verb.PUT or asked.offset:
            return Reason.CALL_UNKNOWN
        if not self._shares.has_room(peer, asked.total):
            return Reason.SERVICE_BUSY
        transfer = Transfer(peer, asked.transfer_id, asked.total, asked.total, missing=asked.total)
        self._shares.take(peer, transfer.held)
        self._all[peer, asked.transfer_id] = transfer
        return self._add(transfer, asked)

    def _break(self, transfer: Transfer) -> Ended:
        self.end(transfer)
        return Ended(transfer, Reason.BAD_CALL)

    def _add(self, transfer: Transfer, asked: Asked) -> Outcome:
        if transfer.is_complete:
            return Wait(transfer)
        if asked.verb is Verb.PUT and asked.offset not in transfer.pieces:
            transfer.pieces[asked.offset] = asked.body
            transfer.missing -= len(asked.body)
        if transfer.missing > 0:
            return Taken(transfer)
        return self._begin(transfer) if _is_seamless(transfer) else self._break(transfer)

    def _begin(self, transfer: Transfer) -> Begin:
        pieces, transfer.pieces = transfer.pieces, {}
        transfer.is_complete = True
        request = pieces[0] if len(pieces) == 1 else b"".join(pieces[offset] for offset in sorted(pieces))
        return Begin(transfer, request)

    def finish(self, transfer: Transfer, reply: bytes | Reason) -> None:
        """The service has answered: its request is held no more, and its reply if there is room."""
        if transfer.is_over:
            return
        size = len(reply) if isinstance(reply, bytes) else 0
        self._shares.give_back(transfer.peer, transfer.held)
        if not self._shares.has_room(transfer.peer, size):
            reply, size = Reason.SERVICE_BUSY, 0
        self._shares.take(transfer.peer, size)
        transfer.held, transfer.reply = size, reply

    def tell(self, transfer: Transfer, offset: int, capacity: int) -> Told | Reason:
        """What goes back to who waits; ends the transfer if nothing of it is left to be told.

        Args:
            capacity: the longest body of the ANSWER.
        """
        reply = transfer.reply
        if reply is None:
            return Told(State.WORKING)
        if isinstance(reply, Reason):
            self.end(transfer)
            return reply
        if offset > len(reply):
            return Reason.BAD_CALL
        body = reply[offset : offset + capacity - TOLD_HEAD_SIZE]
        if len(body) == len(reply):
            self.end(transfer)
        return Told(State.REPLY, len(reply), offset, body)

    def end(self, transfer: Transfer) -> None:
        """Forget it, and let who waits know; idempotent."""
        if transfer.is_over:
            return
        transfer.is_over = True
        if transfer.reply is None:
            transfer.reply = Reason.CALL_UNKNOWN
        del self._all[transfer.peer, transfer.transfer_id]
        self._shares.give_back(transfer.peer, transfer.held)


def _agrees(transfer: Transfer, put: Asked) -> bool:
    """Whether this part can belong to the same request as what came before."""
    if put.total != transfer.total:
        return False
    if transfer.is_complete:
        return True
    known = transfer.pieces.get(put.offset)
    return len(put.body) <= transfer.missing if known is None else len(known) == len(put.body)


def _is_seamless(transfer: Transfer) -> bool:
    """Whether as many bytes as are wanted are also the wanted ones."""
    place = 0
    for offset in sorted(transfer.pieces):
        if offset != place:
            return False
        place += len(transfer.pieces[offset])
    return True
