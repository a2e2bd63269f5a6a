"""Idempotency keys of calls with effects: by them an exit knows a repetition, and whether it would remember the first.

Layout, 16 bytes: 0 for the first sending or 1 for a repetition, the slot of the first sending (4), 11 random bytes. A
repetition differs in its first byte only. Spec: docs/specs/onion-native.md §8.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from struct import Struct

from onionpath.injected import Entropy

_LAYOUT = Struct(">BI11s")
FIRST, REPEATED = 0, 1


@dataclass(frozen=True, slots=True)
class CallKey:
    """A key's meaning; another first byte than 0 or 1 is taken for a first sending, as keys of other calls are.

    Args:
        is_repeated: the same call may have been carried out before.
        slot: in which it was sent first, as the client says.
        name: what both sendings have in common.
    """

    is_repeated: bool
    slot: int
    name: bytes = field(repr=False)

    @classmethod
    def parse(cls, key: bytes) -> CallKey:
        """The meaning of 16 bytes."""
        kind, slot, _ = _LAYOUT.unpack(key)
        return cls(kind == REPEATED, slot, key[1:])


def new_call_key(slot: int, entropy: Entropy) -> bytes:
    """The key of a call that is sent for the first time in this slot."""
    return _LAYOUT.pack(FIRST, slot, entropy(11))


def repeated_call_key(key: bytes) -> bytes:
    """The key with which the same call is sent again."""
    return bytes([REPEATED]) + key[1:]
