"""How many packets this machine can open, measured when a relay starts."""

from __future__ import annotations

import os
import time

from onionpath.crypto.hybrid import HybridPrivateKey
from onionpath.crypto.identity import IdentityKey
from onionpath.injected import Entropy
from onionpath.onion.geometry import Geometry, SizeClass
from onionpath.onion.native import NativeOnion
from onionpath.onion.packets import Hop, HopKey, OnionCall

ROUNDS, EACH = 8, 10


def openings_per_second(geometry: Geometry, *, entropy: Entropy = os.urandom) -> float:
    """Small packets that one core opens in a second when it does nothing else; takes about ten milliseconds."""
    key = HybridPrivateKey.generate(entropy)
    onion, relay_id = NativeOnion(geometry, bytes(32)), IdentityKey(entropy(32)).relay_id
    call = OnionCall(1, b"", bytes(16), SizeClass.SMALL, SizeClass.SMALL)
    packet = onion.wrap([Hop(relay_id, key.public, 0)], call, slot=0, entropy=entropy).packet
    hop_key = HopKey(relay_id, 0, key)

    def round_ns() -> int:
        start = time.thread_time_ns()
        for _ in range(EACH):
            onion.peel(packet, hop_key)
        return time.thread_time_ns() - start

    # The fastest round is the one that nothing else disturbed; the thread's own time leaves out who ran beside it.
    return EACH * 1e9 / min(round_ns() for _ in range(ROUNDS))
