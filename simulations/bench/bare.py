"""The floor: what a relay's cryptography costs with nothing around it."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

from onionpath.crypto.hybrid import HybridPrivateKey
from onionpath.crypto.reply_keys import derive_reply_key, seal_with
from onionpath.crypto.tags import TagKey
from onionpath.onion.geometry import Geometry, SizeClass

INFO = bytes(88)


@dataclass(frozen=True, slots=True)
class Bare:
    """Microseconds of thread CPU time for one packet at the first hop: open, derive, tag, seal the reply."""

    request_us: float
    reply_us: float

    @property
    def total_us(self) -> float:
        """One packet and its reply."""
        return self.request_us + self.reply_us


def bare_crypto(
    geometry: Geometry, request: SizeClass, reply: SizeClass, *, rounds: int = 9, each: int = 200
) -> Bare:
    """Median over ``rounds`` of the mean of ``each`` calls."""
    key = HybridPrivateKey.generate(os.urandom)
    tags = TagKey(os.urandom(32))
    inner = os.urandom(geometry.request_layer_size(request, 0) - 1136)
    sealed = key.public.seal(inner, info=INFO)
    secret = os.urandom(32)
    plaintext = os.urandom(geometry.reply_layer_size(reply, 0) - 28)

    def request_once() -> None:
        opened = key.open(sealed, info=INFO)
        derive_reply_key(opened[4:36])
        tags.tag(opened[4:36])

    def reply_once() -> None:
        seal_with(secret, plaintext, entropy=os.urandom)

    return Bare(_median_us(request_once, rounds, each), _median_us(reply_once, rounds, each))


def _median_us(call: Callable[[], None], rounds: int, each: int) -> float:
    times = []
    for _ in range(rounds):
        start = time.thread_time_ns()
        for _ in range(each):
            call()
        times.append((time.thread_time_ns() - start) / each / 1000)
    return statistics.median(times)
