"""Duties as bytes in the store's notes."""

from __future__ import annotations

import msgspec

from onionpath.crypto.identity import RelayId
from onionpath.errors import MalformedError
from onionpath.swarm.arcs import Arc
from relay.store.replica.duties import Debt, Duties, Holding

NOTE = "duties"


class _DebtForm(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    relays: list[bytes]
    needed: int
    number: int
    is_present: bool
    heard: list[bytes]
    new: list[bytes]


class _HoldingForm(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    # 9 bytes each, for the end of the ring is 2**64.
    start: bytes
    end: bytes
    members: list[bytes]
    debts: list[_DebtForm]
    is_leaving: bool
    is_new: bool


class _DutiesForm(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    number: int
    holdings: list[_HoldingForm]


def encode_duties(duties: Duties) -> bytes:
    """To be noted."""
    return msgspec.msgpack.encode(_DutiesForm(duties.number, list(map(_holding_form, duties.holdings))))


def decode_duties(note: bytes) -> Duties:
    """What was noted.

    Raises:
        MalformedError: we have not written that.
    """
    try:
        form = msgspec.msgpack.decode(note, type=_DutiesForm)
    except (msgspec.MsgspecError, ValueError) as error:
        raise MalformedError("the note of duties is damaged") from error
    return Duties(form.number, tuple(map(_holding, form.holdings)))


def _holding_form(holding: Holding) -> _HoldingForm:
    return _HoldingForm(
        holding.arc.start.to_bytes(9, "big"),
        holding.arc.end.to_bytes(9, "big"),
        _names(holding.members),
        [
            _DebtForm(
                _names(debt.relays),
                debt.needed,
                debt.number,
                debt.is_present,
                _names(debt.heard),
                _names(debt.new),
            )
            for debt in holding.debts
        ],
        holding.is_leaving,
        holding.is_new,
    )


def _holding(form: _HoldingForm) -> Holding:
    arc = Arc(int.from_bytes(form.start, "big"), int.from_bytes(form.end, "big"))
    debts = tuple(
        Debt(
            _relays(each.relays),
            each.needed,
            each.number,
            each.is_present,
            _relays(each.heard),
            _relays(each.new),
        )
        for each in form.debts
    )
    return Holding(arc, _relays(form.members), debts, form.is_leaving, form.is_new)


def _names(relays: frozenset[RelayId]) -> list[bytes]:
    return sorted(relays)


def _relays(names: list[bytes]) -> frozenset[RelayId]:
    return frozenset(map(RelayId, names))
