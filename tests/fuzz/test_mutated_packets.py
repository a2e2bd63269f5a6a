"""A hundred thousand damaged packets and replies: none is accepted, none is slow, nothing is kept.

The mix is a realistic one. What has another length is refused before any cryptography, so most inputs keep theirs and
pay for an opening.
"""

from __future__ import annotations

import resource
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from onionpath.crypto.hybrid import ENC_SIZE
from onionpath.errors import BadLayerError, MalformedError
from onionpath.onion.geometry import SizeClass
from onionpath.onion.native import LAYER_LABEL
from onionpath.onion.packets import Packet, ReplyHead
from onionpath.onion.statuses import ReplyStatus
from tests.fuzz.mutations import NUMBERS, apply, draw
from tests.onion.paths import NETWORK_ID, SLOT, a_call, hop_key, native, reply_layers, walk, wrap

SMALL, LARGE = SizeClass.SMALL, SizeClass.LARGE
SLOWEST_S = 0.05
GROWTH_BYTES = 10 * 2**20
HEAD_SIZE, TAG_SIZE = 80, 16

Attempt = Callable[[], object]


class Attacker:
    """Somebody with a few good packets, the relays' public keys and a seeded mind."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        wrapped = [wrap(seed=number) for number in range(4)]
        self.packets = [packet for each in wrapped for packet in walk(each.packet).packets]
        self.large = walk(wrap(a_call(request=LARGE)).packet).packets[0]
        self.openers = [each.opener for each in wrapped]
        ways = [walk(each.packet) for each in wrapped]
        self.replies = [
            reply_layers(way.reply_keys, ReplyHead(ReplyStatus.ANSWERED), b"a" * 100)[0] for way in ways
        ]

    def attempts(self) -> Iterator[tuple[str, Attempt]]:
        """Names of kinds, and what is to be tried, without end."""
        kinds: list[tuple[str, Callable[[], Attempt]]] = [
            ("flipped", self.flipped),
            ("overwritten", self.overwritten),
            ("spliced", self.spliced),
            ("header", self.header),
            ("resized", self.resized),
            ("inside", self.inside),
            ("reply", self.reply),
            ("large", self.flipped_large),
        ]
        weights = (30, 15, 12, 10, 8, 8, 16, 1)
        while True:
            name, make = self.random.choices(kinds, weights)[0]
            yield name, make()

    def flipped(self) -> Attempt:
        """One bit; as often in enc, head or tag as in the rest."""
        packet, random = self.random.choice(self.packets), self.random
        layer = bytearray(packet.layer)
        edges = [range(ENC_SIZE + HEAD_SIZE), range(len(layer) - TAG_SIZE, len(layer)), range(len(layer))]
        layer[random.choice(random.choice(edges))] ^= 1 << random.randrange(8)
        return self.peeling(packet._replace(layer=bytes(layer)))

    def overwritten(self) -> Attempt:
        """Some field-like bytes, the length kept."""
        packet = self.random.choice(self.packets)
        before, layer = bytes(packet.layer), bytes(packet.layer)
        while layer == before:
            layer = apply(layer, draw(self.random))[: len(before)].ljust(len(before), b"\0")
        return self.peeling(packet._replace(layer=layer))

    def spliced(self) -> Attempt:
        one, two = self.random.sample(self.packets, 2)
        size = len(one.layer)
        # Eight bytes of each at least, or the two could be equal by chance.
        cut = self.random.choice((1088, ENC_SIZE, 1200, self.random.randrange(8, size - 8)))
        return self.peeling(one._replace(layer=bytes(one.layer[:cut]) + _fitted(two.layer, size)[cut:]))

    def header(self) -> Attempt:
        """Everything right but one number of the header."""
        packet, random = self.random.choice(self.packets), self.random
        match random.randrange(4):
            case 0:
                changed = packet._replace(slot=(packet.slot + random.choice((-1, 1, 2**31))) % 2**32)
            case 1:
                changed = packet._replace(generation=(packet.generation + random.randrange(1, 256)) % 256)
            case 2:
                changed = packet._replace(size_class=LARGE)
            case _:
                changed = packet._replace(depth=(packet.depth + random.randrange(1, 256)) % 256)
        return self.peeling(changed, relay=packet.depth)

    def resized(self) -> Attempt:
        packet, random = self.random.choice(self.packets), self.random
        size = len(packet.layer)
        wanted = random.choice((0, 1, ENC_SIZE, size - 1, size + 1, random.randrange(size)))
        return self.peeling(packet._replace(layer=_fitted(packet.layer, wanted)))

    def inside(self) -> Attempt:
        """A dishonest client: sealed as it should be, around a head or padding that is not."""
        key, random = hop_key(2), self.random
        size = native().geometry.request_layer_size(SMALL, 2) - ENC_SIZE - TAG_SIZE
        plain = bytearray(
            b"\2\0\0\0" + random.randbytes(32) + b"\0\1\0\0" + random.randbytes(16) + bytes(size - 56)
        )
        place = random.choice((0, 1, 2, 3, 38, 39, 56, *range(60, 80), random.randrange(80, size)))
        plain[place] = random.choice([each for each in (1, 3, 4, 128, 255) if place != 2 or each > 1])
        info = (
            LAYER_LABEL + NETWORK_ID + key.relay_id + SLOT.to_bytes(4, "big") + bytes([key.generation, 0, 2])
        )
        layer = key.private.public.seal(bytes(plain), info=info)
        return self.peeling(Packet(SMALL, 2, key.generation, SLOT, layer))

    def reply(self) -> Attempt:
        """A damaged reply, a cut one, or a whole one of another exchange."""
        random = self.random
        number = random.randrange(len(self.replies))
        opener, layer = self.openers[number], bytearray(self.replies[number])
        match random.randrange(4):
            case 0:
                layer = bytearray(self.replies[number - 1])
            case 1:
                del layer[random.choice((0, len(layer) // 2, len(layer) - 1)) :]
            case 2:
                at = random.randrange(len(layer) - 8)
                layer[at : at + 8] = random.choice(NUMBERS).to_bytes(8, "big")
            case _:
                layer[random.randrange(len(layer))] ^= 1 << random.randrange(8)
        return lambda: native().open_reply(opener, bytes(layer))

    def flipped_large(self) -> Attempt:
        layer = bytearray(self.large.layer)
        layer[self.random.randrange(len(layer))] ^= 1 << self.random.randrange(8)
        return self.peeling(self.large._replace(layer=bytes(layer)))

    @staticmethod
    def peeling(packet: Packet, *, relay: int | None = None) -> Attempt:
        key = hop_key(packet.depth if relay is None else relay)
        return lambda: native().peel(packet, key)


def _fitted(layer: bytes | memoryview, size: int) -> bytes:
    return bytes(layer[:size]).ljust(size, b"\0")


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def attack(count: int, *, seed: int) -> tuple[Counter[str], Counter[str], float]:
    """Try that many; gives the kinds, the outcomes and the CPU time of the slowest."""
    kinds: Counter[str] = Counter()
    outcomes: Counter[str] = Counter()
    slowest = 0.0
    attempts = Attacker(seed).attempts()
    for _ in range(count):
        kind, attempt = next(attempts)
        # CPU time: a busy machine must not fail this test.
        start = time.thread_time()
        try:
            attempt()
        except (BadLayerError, MalformedError) as refusal:
            outcomes[type(refusal).__name__] += 1
        else:
            outcomes[f"accepted {kind}"] += 1
        slowest = max(slowest, time.thread_time() - start)
        kinds[kind] += 1
    return kinds, outcomes, slowest


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads the memory's size from /proc")
@pytest.mark.parametrize(
    "count", [10_000, pytest.param(100_000, marks=[pytest.mark.slow, pytest.mark.timeout(300)])]
)
def test_no_damaged_packet_is_accepted_slow_or_remembered(count: int) -> None:
    attack(1_000, seed=1)
    before = resident_bytes()

    kinds, outcomes, slowest = attack(count, seed=count)

    assert {"BadLayerError", "MalformedError"} == set(outcomes)
    assert count == sum(outcomes.values())
    assert 8 == len(kinds)
    # Most of them got as far as the cryptography.
    assert outcomes["BadLayerError"] > 0.6 * count
    assert slowest < SLOWEST_S
    assert resident_bytes() - before < GROWTH_BYTES
