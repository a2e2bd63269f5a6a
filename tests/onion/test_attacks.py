"""What somebody on a link, or a relay, could do to packets and replies, and that it comes to nothing."""

from __future__ import annotations

import itertools
import pickle
from collections import Counter
from dataclasses import replace
from random import Random

import pytest

from onionpath.crypto.reply_keys import ReplySecret
from onionpath.errors import BadLayerError, Edge, MalformedError, UsageError
from onionpath.link.frames import Kind, encode_frame
from onionpath.onion.geometry import Geometry, SizeClass
from onionpath.onion.native import NativeOnion
from onionpath.onion.packets import Forward, HopKey, Packet, ReplyHead, Serve, Wrapped
from onionpath.onion.statuses import Reason, ReplyStatus
from tests.onion.paths import SLOT, Walk, a_call, hop_key, native, reply_layers, walk, wrap

ANSWERED = ReplyHead(ReplyStatus.ANSWERED)
SMALL, LARGE = SizeClass.SMALL, SizeClass.LARGE


def flip(data: bytes | memoryview, bit: int) -> bytes:
    damaged = bytearray(data)
    damaged[bit // 8] ^= 1 << bit % 8
    return bytes(damaged)


def answered(*, hops: int = 3, reply: SizeClass = SMALL, seed: int = 0) -> tuple[Wrapped, Walk, list[bytes]]:
    wrapped = wrap(a_call(reply=reply), hops=hops, seed=seed)
    way = walk(wrapped.packet, network=hops)
    return wrapped, way, reply_layers(way.reply_keys, ANSWERED, b"answer", network=hops, seed=seed + 1)


def runs(data: bytes | memoryview, size: int = 8) -> set[bytes]:
    whole = bytes(data)
    return {whole[at : at + size] for at in range(len(whole) - size + 1)}


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_every_flipped_bit_is_refused_by_the_next_hop(depth: int) -> None:
    """One bit of every byte of enc, head and tag, and some hundred bits of the rest."""
    packet, random = walk(wrap().packet).packets[depth], Random(depth)
    size = len(packet.layer)
    places = [*range(1120 + 80), *range(size - 16, size), *random.sample(range(1200, size - 16), 100)]
    for place in places:
        damaged = packet._replace(layer=flip(packet.layer, 8 * place + random.randrange(8)))

        with pytest.raises(BadLayerError):
            native().peel(damaged, hop_key(depth))


def test_every_bit_of_the_tag_and_of_the_ephemeral_counts() -> None:
    packet = wrap().packet
    size = len(packet.layer)
    for bit in (*range(8 * 1088, 8 * 1120), *range(8 * (size - 16), 8 * size)):
        with pytest.raises(BadLayerError):
            native().peel(packet._replace(layer=flip(packet.layer, bit)), hop_key(0))


@pytest.mark.parametrize(
    "changes",
    [{"slot": SLOT + 1}, {"slot": SLOT - 1}, {"slot": 0}, {"generation": 1}, {"generation": 255}],
    ids=str,
)
def test_a_changed_header_is_refused(changes: dict[str, int]) -> None:
    with pytest.raises(BadLayerError):
        native().peel(wrap().packet._replace(**changes), hop_key(0))


@pytest.mark.parametrize(
    ("size_class", "depth"), [(LARGE, 0), (SMALL, 1), (SMALL, 4), (SMALL, 200), (SMALL, 255)]
)
def test_another_class_or_depth_asks_for_another_length(size_class: SizeClass, depth: int) -> None:
    with pytest.raises(MalformedError):
        native().peel(wrap().packet._replace(size_class=size_class, depth=depth), hop_key(0))


@pytest.mark.parametrize(("size_class", "depth"), [(LARGE, 0), (SMALL, 1)])
def test_another_class_or_depth_with_its_length_does_not_open(size_class: SizeClass, depth: int) -> None:
    packet, sizes = wrap().packet, Geometry()
    layer = bytes(packet.layer).ljust(sizes.request_layer_size(LARGE, 0), b"\0")
    layer = layer[: sizes.request_layer_size(size_class, depth)]

    with pytest.raises(BadLayerError):
        native().peel(Packet(size_class, depth, 0, SLOT, layer), hop_key(0))


def test_another_network_does_not_open_it() -> None:
    with pytest.raises(BadLayerError):
        NativeOnion(Geometry(), bytes(32)).peel(wrap().packet, hop_key(0))


def test_another_name_with_the_same_key_does_not_open_it() -> None:
    """A relay that publishes somebody else's packet key cannot have its packets opened there."""
    key = hop_key(0)
    with pytest.raises(BadLayerError):
        native().peel(wrap().packet, HopKey(hop_key(1).relay_id, key.generation, key.private))


def test_another_relay_does_not_open_it() -> None:
    with pytest.raises(BadLayerError):
        native().peel(wrap().packet, hop_key(1))


@pytest.mark.parametrize("cut", [8, 1088, 1112, 1120, 1128, 1136, 1200, 4000, 8160, 8168])
def test_splices_of_two_packets_for_one_relay_are_refused(cut: int) -> None:
    one, two = wrap(seed=1).packet, wrap(seed=2).packet
    spliced = bytes(one.layer[:cut]) + bytes(two.layer[cut:])

    with pytest.raises(BadLayerError):
        native().peel(one._replace(layer=spliced), hop_key(0))


def test_a_layer_moved_to_another_depth_or_stage_is_refused() -> None:
    """An inner layer that is padded to the first depth's length, as a dishonest first relay would send it."""
    inner = walk(wrap().packet).packets[1]
    layer = bytes(inner.layer).ljust(Geometry().request_layer_size(SMALL, 0), b"\0")

    with pytest.raises(BadLayerError):
        native().peel(Packet(SMALL, 0, inner.generation, SLOT, layer), hop_key(1))


@pytest.mark.parametrize("end", [-1, 0, 1136, 8175])
def test_a_truncated_packet_is_refused_for_its_length(end: int) -> None:
    packet = wrap().packet
    with pytest.raises(MalformedError):
        native().peel(packet._replace(layer=packet.layer[:end]), hop_key(0))


def test_a_retry_shares_no_run_of_eight_bytes_with_the_first_try() -> None:
    """Even if the seeds came out the same, HPKE's own randomness differs."""
    assert not runs(wrap(seed=1).packet.layer) & runs(wrap(seed=1).packet.layer)


def test_a_packet_shares_no_run_of_eight_bytes_with_itself_on_another_link() -> None:
    packets = walk(wrap().packet).packets

    for one, two in itertools.combinations(packets, 2):
        assert not runs(one.layer) & runs(two.layer)


def test_a_reply_shares_no_run_of_eight_bytes_with_itself_on_another_link() -> None:
    layers = answered(hops=5)[2]

    for one, two in itertools.combinations(layers, 2):
        assert not runs(one) & runs(two)


@pytest.mark.parametrize("damaged_hop", [0, 1, 2])
def test_a_reply_that_is_damaged_on_any_link_is_refused_by_the_client(damaged_hop: int) -> None:
    """The relays before the damage cannot see it; the client learns how far the seals were whole."""
    wrapped, way, layers = answered()
    random = Random(damaged_hop)
    for place in (0, 11, 12, 31, 32, len(layers[damaged_hop]) - 1, *random.sample(range(8000), 20)):
        keys = walk(wrapped.packet).reply_keys[:damaged_hop]
        layer = flip(layers[damaged_hop], 8 * place + random.randrange(8))
        for key in reversed(keys):
            layer = native().seal_reply(key, ReplyHead(ReplyStatus.RELAYED), layer, entropy=random.randbytes)

        with pytest.raises(BadLayerError) as refusal:
            native().open_reply(wrapped.opener, layer)
        assert damaged_hop == refusal.value.hop
    assert way.serve.body == b"body"


def test_a_reply_to_another_packet_is_refused() -> None:
    with pytest.raises(BadLayerError):
        native().open_reply(answered(seed=0)[0].opener, answered(seed=10)[2][0])


def test_a_reply_is_opened_at_its_own_depth_only() -> None:
    wrapped, _, layers = answered()
    for layer in layers[1:]:
        with pytest.raises(MalformedError):
            native().open_reply(wrapped.opener, layer)
        with pytest.raises(BadLayerError):
            native().open_reply(wrapped.opener, layer.ljust(len(layers[0]), b"\0"))


def test_a_reply_of_the_other_class_is_refused() -> None:
    wrapped, _, layers = answered(reply=LARGE)
    with pytest.raises(MalformedError):
        native().open_reply(replace(wrapped.opener, reply_class=SMALL), layers[0])
    with pytest.raises(MalformedError):
        native().open_reply(wrapped.opener, layers[0][: 8192 - 16])


def test_a_relay_cannot_pass_one_hops_reply_off_as_anothers() -> None:
    """The first relay sends back the last one's layer as if the second had sent it."""
    wrapped = wrap()
    keys = walk(wrapped.packet).reply_keys
    last = native().seal_reply(keys[2], ANSWERED, b"answer", entropy=Random(0).randbytes)
    padded = last.ljust(Geometry().reply_layer_size(SMALL, 1), b"\0")
    layer = native().seal_reply(keys[0], ReplyHead(ReplyStatus.RELAYED), padded, entropy=Random(1).randbytes)

    with pytest.raises(BadLayerError) as refusal:
        native().open_reply(wrapped.opener, layer)
    assert 1 == refusal.value.hop


def test_a_replayed_packet_gives_a_second_reply_key_and_the_same_seed() -> None:
    """The seed is what replay memory goes by; each peel's key still seals only once."""
    packet = wrap().packet
    one, two = native().peel(packet, hop_key(0)), native().peel(packet, hop_key(0))

    assert one.seed == two.seed
    one.reply_key.use()
    with pytest.raises(UsageError):
        one.reply_key.use()


@pytest.mark.parametrize(
    ("holds", "edge"),
    [
        ((30, 20, 10), None),
        ((20, 20, 20), None),
        ((19, 20, 10), Edge(0, 1)),
        ((30, 9, 10), Edge(1, 2)),
        ((5, 9, 10), Edge(0, 1)),
        ((0, 0, 2**32 - 1), Edge(1, 2)),
    ],
)
def test_hold_times_that_do_not_nest_accuse_an_edge(holds: tuple[int, ...], edge: Edge | None) -> None:
    wrapped = wrap()
    keys = walk(wrapped.packet).reply_keys
    layers = reply_layers(keys, ReplyHead(ReplyStatus.ANSWERED, hold_ms=holds[2]), b"", holds=holds)

    answer = native().open_reply(wrapped.opener, layers[0])

    assert holds == answer.hold_ms
    assert edge == answer.lying_edge


@pytest.mark.parametrize("hops", [2, 3, 4, 5])
def test_every_frame_of_every_exchange_has_one_of_two_sizes(hops: int) -> None:
    """Successes, refusals and errors at every depth, empty and full bodies, both classes."""
    sizes, seen = Geometry(hops), set()
    for request, reply, is_full in itertools.product(SizeClass, SizeClass, (False, True)):
        body = bytes(sizes.request_capacity(request, hops - 1)) if is_full else b""
        wrapped = wrap(a_call(body, request=request, reply=reply), hops=hops)
        for packet in walk(wrapped.packet, network=hops).packets:
            frame = encode_frame(sizes, Kind.REQUEST, packet.layer, size_class=request, depth=packet.depth)
            seen.add(("request", request, len(frame)))
        for speaker in range(hops):
            for status, reason in (
                (ReplyStatus.REFUSED, Reason.HOP_BUSY),
                (ReplyStatus.EDGE_FAILED, Reason.NEXT_CLOSED),
            ):
                keys = walk(wrapped.packet, network=hops).reply_keys[: speaker + 1]
                for depth, layer in enumerate(reply_layers(keys, ReplyHead(status, reason), network=hops)):
                    frame = encode_frame(sizes, Kind.REPLY, layer, size_class=reply, depth=depth)
                    seen.add(("reply", reply, len(frame)))

    classes = {(SMALL, 8192), (LARGE, 131072)}
    assert {(kind, *each) for kind in ("request", "reply") for each in classes} == seen


@pytest.mark.parametrize("hops", [2, 3, 4, 5])
def test_the_last_layer_does_not_tell_how_full_it_is(hops: int) -> None:
    """No run of zeros survives sealing, whatever the body."""
    for packet in walk(wrap(a_call(b""), hops=hops).packet, network=hops).packets:
        assert bytes(8) not in bytes(packet.layer)


def test_what_a_relay_holds_shows_no_secret() -> None:
    way = walk(wrap().packet)
    key = way.serve.reply_key
    secret = ReplySecret(walk(wrap().packet).serve.reply_key.use())

    for shown in (repr(key), str(key), repr(hop_key(0)), repr(wrap().opener), repr(secret)):
        assert secret.reveal().hex() not in shown
        assert repr(secret.reveal()) not in shown
        assert repr(hop_key(0).private.reveal()) not in shown
    for held in (key, wrap().opener, way.serve, way.forwards[0], hop_key(0)):
        with pytest.raises(TypeError):
            pickle.dumps(held)


@pytest.mark.parametrize("kind", [Forward, Serve])
def test_what_was_opened_does_not_print_its_seed(kind: type) -> None:
    """The seed is the reply key: whoever reads it in a log can open the reply."""
    way = walk(wrap(a_call(b"a private body")).packet)
    for opened in (*way.forwards, way.serve):
        assert repr(opened.seed) not in repr(opened)
        if isinstance(opened, kind):
            assert "private body" not in repr(opened)


def test_a_relay_restored_from_a_snapshot_never_repeats_a_keystream() -> None:
    """Both lives hold the same reply key; only the nonce keeps their two replies apart."""
    packet, sealed = wrap().packet, []
    for life in range(2):
        key = walk(packet).serve.reply_key
        body = bytes([life]) * 100
        sealed.append(native().seal_reply(key, ANSWERED, body, entropy=Random(life).randbytes))

    assert sealed[0][:12] != sealed[1][:12]
    assert not runs(sealed[0]) & runs(sealed[1])


@pytest.mark.parametrize("hops", [2, 5])
def test_no_byte_of_a_layer_tells_its_stage(hops: int) -> None:
    """Chi-square of byte values over the layers of each depth; the bound is passed by chance once in 10^12."""
    counts = [Counter[int]() for _ in range(hops)]
    for seed in range(40):
        for packet in walk(wrap(hops=hops, seed=seed).packet, network=hops).packets:
            counts[packet.depth].update(bytes(packet.layer))

    for counted in counts:
        expected = counted.total() / 256
        chi_square = sum((counted[value] - expected) ** 2 for value in range(256)) / expected
        assert chi_square < 255 + 8 * 22.6
