"""What a virtual request costs over the cryptography that it cannot do without."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable
from dataclasses import dataclass

from onionpath.crypto.hybrid import HybridPrivateKey
from onionpath.crypto.reply_keys import derive_reply_key, open_with, seal_with
from onionpath.crypto.tags import TagKey
from onionpath.onion.geometry import Geometry, SizeClass
from simulations.virtual.network import virtual_network
from simulations.virtual.requests import echo

INFO = bytes(88)


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU of one small request over a warm path of three hops, in microseconds, and of its bare cryptography."""

    request_us: float
    bare_us: float

    @property
    def over_bare(self) -> float:
        """How many times the bare cryptography."""
        return self.request_us / self.bare_us


def measure(*, rounds: int = 7, each: int = 100) -> Cost:
    """The least of ``rounds`` for both, taken in turns, so that a busy machine disturbs both alike."""
    network = virtual_network(relays=3, record=False)
    client = network.client(refreshes=False)
    bare = bare_request(network.world.onion.geometry)
    client.request(echo())
    requests, bares = [], []
    for _ in range(rounds):
        # A path lives for ten minutes, and a round takes some seconds of virtual time.
        requests.append(_cpu_us(lambda: client.request(echo()), each))
        bares.append(_cpu_us(bare, each))
    return Cost(min(requests), min(bares))


def bare_request(geometry: Geometry) -> Callable[[], None]:
    """One request's cryptography.

    For each hop: a layer wrapped and opened, its tag, the reply's key derived at both ends, a reply layer sealed and
    opened.
    """
    small = SizeClass.SMALL
    key = HybridPrivateKey.generate(os.urandom)
    layers = [os.urandom(geometry.request_layer_size(small, depth) - 1136) for depth in range(geometry.hops)]
    replies = [os.urandom(geometry.reply_layer_size(small, depth) - 28) for depth in range(geometry.hops)]
    seed, tags = os.urandom(32), TagKey(os.urandom(32))

    def once() -> None:
        for layer in layers:
            key.open(key.public.seal(layer, info=INFO), info=INFO)
            tags.tag(seed)
        for reply in replies:
            sealed = seal_with(derive_reply_key(seed), reply, entropy=os.urandom)
            open_with(derive_reply_key(seed), sealed)

    return once


def _cpu_us(call: Callable[[], object], each: int) -> float:
    gc.collect()
    start = time.thread_time_ns()
    for _ in range(each):
        call()
    return (time.thread_time_ns() - start) / each / 1000
