"""What a relay remembers of Session's layers, in files of its own.

Its loss is answered as the native memory's: nothing is opened until all that may have been forgotten would have been
forgotten by then anyway. Spec: docs/specs/session-onion.md §9.5 to §9.8.
"""

from __future__ import annotations

from onionpath.crypto.identity import RelayId
from onionpath.injected import UnixTime
from onionpath.onion.replay import Remembered, ReplayMemory, slot_at
from onionpath.onion.session_refusals import Decision, Refusal, Refuse, refuse
from onionpath.onion.session_replay import remember_layer


class LayerMemory:
    """Admits each layer once.

    Args:
        memory: for Session alone; each of its slots has room for two slots' layers.
        slot_s: as the memory has it.
        ours: named to whoever comes too early after a loss.
    """

    def __init__(self, memory: ReplayMemory, *, slot_s: float, ours: RelayId) -> None:
        self._memory = memory
        self._slot_s = slot_s
        self._not_ready = refuse(Refusal.NOT_READY, named=ours)

    def refusal(self, now: UnixTime) -> Refuse | None:
        """Why no layer may be opened now, if none may."""
        return None if self._memory.is_open(slot_at(now, self._slot_s), now) else self._not_ready

    def admit(self, decision: Decision, now: UnixTime) -> Decision:
        """The decision if it is new, or a refusal; only what comes back from here may be carried out."""
        if isinstance(decision, Refuse):
            return decision
        match remember_layer(self._memory, decision.seed, now=now, slot_s=self._slot_s):
            case Remembered.FRESH:
                return decision
            case Remembered.REPLAYED:
                return refuse(Refusal.UNREADABLE)
            case Remembered.FULL:
                return refuse(Refusal.BUSY)
            case Remembered.CLOSED:
                return self._not_ready
