"""Chance by purpose and by node: one seed, many streams that don't know of each other.

Adding a node, or drawing once more for one purpose, therefore changes nothing that another stream gives.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from hashlib import sha256


def stream(seed: int, *names: str) -> random.Random:
    """The stream of this seed for these names, e.g. ``stream(7, "latency", "relay-1", "relay-2")``."""
    # Each name after its length, so that no two lists of names read alike.
    text = f"{seed}:" + "".join(f"{len(name)}:{name}" for name in names)
    return random.Random(int.from_bytes(sha256(text.encode()).digest(), "big"))


def bytes_of(seed: int, *names: str) -> Callable[[int], bytes]:
    """Entropy for what a relay or a client draws."""
    return stream(seed, "entropy", *names).randbytes
