"""Flipped bits of whole frames, on every link of a path: the next honest relay drops each one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from random import Random

import pytest

from onionpath.errors import BadLayerError
from onionpath.link.faults import FaultyPeerError
from onionpath.link.frames import FrameReader, Kind, encode_frame
from onionpath.onion.geometry import FRAME_HEADER_SIZE, Geometry
from onionpath.onion.native import NativeOnion
from onionpath.onion.packets import OnionCall, Packet, Serve
from tests.onion.paths import NETWORK_ID, SLOT, hop_key, hops_of

# The smallest frames that carry three layers: every bit of a packet is tried, and most of one is padding otherwise.
SIZES = Geometry(3, small=3_680, large=8_192)
ONION = NativeOnion(SIZES, NETWORK_ID)
# The exchange id is not part of the packet: each link gives its own, and a wrong one finds no exchange.
EXCHANGE_ID_BITS = range(8 * 8, 16 * 8)


def frames(number: int) -> list[bytes]:
    """One packet as it stands on each of its three links."""
    random = Random(number)
    call = OnionCall(1, random.randbytes(random.randrange(17)), bytes(16))
    packet: Packet = ONION.wrap(hops_of(range(3)), call, slot=SLOT, entropy=random.randbytes).packet
    found = []
    while True:
        found.append(
            encode_frame(
                SIZES,
                Kind.REQUEST,
                packet.layer,
                depth=packet.depth,
                generation=packet.generation,
                slot=packet.slot,
                exchange_id=number + 1,
            )
        )
        peeled = ONION.peel(packet, hop_key(packet.depth))
        if isinstance(peeled, Serve):
            return found
        packet = peeled.packet


def fate(data: bytes, hop: int) -> str:
    """What the relay at this hop makes of a frame."""
    reader = FrameReader(SIZES)
    reader.feed(data)
    try:
        frame = reader.next_frame()
    except FaultyPeerError:
        return "link closed"
    if frame is None:
        return "waits for the rest of a longer frame"
    if frame.kind is not Kind.REQUEST or frame.generation != hop or frame.depth != hop:
        return "no packet for us"
    packet = Packet(frame.size_class, frame.depth, frame.generation, frame.slot, frame.body)
    try:
        return type(ONION.peel(packet, hop_key(hop))).__name__
    except BadLayerError:
        return "does not open"


def flipped(data: bytes, bits: Iterable[int]) -> Iterator[bytes]:
    damaged = bytearray(data)
    for bit in bits:
        damaged[bit // 8] ^= 1 << bit % 8
        yield bytes(damaged)
        damaged[bit // 8] ^= 1 << bit % 8


def bits_of(data: bytes) -> list[int]:
    return [bit for bit in range(8 * len(data)) if bit not in EXCHANGE_ID_BITS]


def try_packets(whole: int, others: int, *, step: int = 1) -> Counter[str]:
    """Every bit (or every so manyth) of the first packets, twenty of each of the others, on each link."""
    random, fates = Random(whole), Counter[str]()
    for number in range(whole + others):
        for hop, data in enumerate(frames(number)):
            bits = bits_of(data)
            chosen = bits[number % step :: step] if number < whole else random.sample(bits, 20)
            fates.update(fate(each, hop) for each in flipped(data, chosen))
    return fates


def assert_all_dropped(fates: Counter[str]) -> None:
    print(f"{fates.total()} flips: {dict(fates)}")
    assert {
        "link closed",
        "does not open",
        "no packet for us",
        "waits for the rest of a longer frame",
    } >= set(fates)
    assert fates["does not open"] > fates.total() / 2


def test_whole_packets_pass() -> None:
    assert ["Forward", "Forward", "Serve"] == [fate(data, hop) for hop, data in enumerate(frames(0))]


def test_flipped_bits_are_dropped_by_the_next_relay() -> None:
    assert_all_dropped(try_packets(1, 40, step=61))


@pytest.mark.parametrize("packet", range(2))
def test_every_bit_of_every_header_is_dropped_by_the_next_relay(packet: int) -> None:
    for hop, data in enumerate(frames(packet)):
        header = [bit for bit in range(8 * FRAME_HEADER_SIZE) if bit not in EXCHANGE_ID_BITS]

        fates = Counter(fate(each, hop) for each in flipped(data, header))

        assert 64 == fates.total()
        assert {"Forward", "Serve"}.isdisjoint(fates)


@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_every_bit_of_forty_packets_and_twenty_of_each_of_960_are_dropped() -> None:
    """3.6 million flips, some five minutes."""
    fates = try_packets(40, 960)

    assert_all_dropped(fates)
    assert fates.total() > 1_000_000
