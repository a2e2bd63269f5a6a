"""What an exit remembers of calls with effects, so that a repetition is answered and not carried out again.

| a call comes … | and its key is … | then |
|---|---|---|
| for the first time, or again | new, and we would remember it | it is carried out, if its caller has room |
| again | new, and older than our memory may be | refused: it may have been carried out before |
| for the first time, or again | known, with these bytes | its reply again; refused as busy while it is under way |
| for the first time, or again | known, with other bytes | refused |

Who has room is decided in ``call_shares``. The memory dies with the process: it is of one boot. A client's first
sending in slot s was accepted here in s - 1 to s + 1, so that after a start in slot b repetitions of calls from before
b + 2 could be of another boot.
Spec: docs/specs/onion-native.md §8.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from onionpath.crypto.tags import digest
from onionpath.injected import UnixTime
from onionpath.onion.replay import slot_at
from onionpath.onion.statuses import Reason
from onionpath.service.call_keys import CallKey
from onionpath.service.call_shares import CallShares
from onionpath.service.calls import Call, Reply

# Longer than any client tries, and short enough for the memory to be bounded by bytes.
REMEMBER_S = 900.0


@dataclass(slots=True)
class _Known:
    digest: bytes
    until: UnixTime
    caller: int
    room: int
    reply: Reply | None = None


class CallMemory:
    """The calls of one boot.

    Args:
        clock: Unix time that never goes back.
        slot_s: the network's.
    """

    def __init__(self, clock: Callable[[], UnixTime], *, slot_s: int) -> None:
        self._clock, self._slot_s = clock, slot_s
        self._since_slot = slot_at(clock(), slot_s)
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        self._shares: CallShares[int] = CallShares()

    def __len__(self) -> int:
        return len(self._known)

    def begin(self, call: Call) -> Reply | None:
        """The reply to give at once; None if the call is to be carried out, and ``end`` follows."""
        self._forget_old()
        key = CallKey.parse(call.idempotency_key)
        name = _name(call, key)
        known, content = self._known.get(name), digest(call.body)
        if known is not None:
            if known.digest != content:
                return Reply.refused(Reason.BAD_CALL)
            return known.reply or Reply.refused(Reason.SERVICE_BUSY)
        if key.is_repeated and key.slot < self._since_slot + 2:
            return Reply.refused(Reason.CALL_UNKNOWN)
        # Room for the longest reply, so that what was carried out is never forgotten for want of it.
        if not self._shares.has_room(call.caller, call.reply_capacity):
            return Reply.refused(Reason.SERVICE_BUSY)
        until = UnixTime(self._clock() + REMEMBER_S)
        self._known[name] = _Known(content, until, call.caller, call.reply_capacity)
        self._shares.take(call.caller, call.reply_capacity)
        return None

    def end(self, call: Call, reply: Reply) -> None:
        """It was carried out, or nobody knows how far it got; a repetition gets this reply."""
        known = self._known.get(_name(call, CallKey.parse(call.idempotency_key)))
        if known is not None:
            known.reply = reply
            self._shares.shrink(known.caller, known.room - len(reply.body))
            known.room = len(reply.body)

    def _forget_old(self) -> None:
        now = self._clock()
        while self._known and next(iter(self._known.values())).until <= now:
            _, known = self._known.popitem(last=False)
            self._shares.give_back(known.caller, known.room)


def _name(call: Call, key: CallKey) -> bytes:
    return call.service.to_bytes(2, "big") + key.name
