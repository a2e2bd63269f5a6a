"""Remembers Session layers in a replay memory, although no time slot stands in them.

A layer's tag is set in the slot of now and in the next one, so that the layer is refused for the rest of this slot and
all of the next: at least a slot's length, at most two. Spec: docs/specs/session-onion.md §9.5 and §9.6.
"""

from __future__ import annotations

from onionpath.injected import UnixTime
from onionpath.onion.replay import DEFAULT_SLOT_S, Remembered, ReplayMemory, slot_at


def remember_layer(
    memory: ReplayMemory, seed: bytes, *, now: UnixTime, slot_s: float = DEFAULT_SLOT_S
) -> Remembered:
    """Set the seed's tags; only on ``FRESH`` may the layer have an effect.

    Args:
        memory: one for Session alone, each of whose slots has room for two slots' layers.
        slot_s: as the memory has it.
    """
    slot = slot_at(now, slot_s)
    in_this_slot = memory.remember(slot, seed, now=now)
    if in_this_slot is not Remembered.FRESH:
        return in_this_slot
    return memory.remember(slot + 1, seed, now=now)
