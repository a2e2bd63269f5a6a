"""The vectors of the native onion: ours and the independent implementation must agree on every one of them."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from onionpath.crypto.hybrid import HybridPrivateKey
from onionpath.crypto.identity import RelayId
from onionpath.crypto.reply_keys import ReplySecret, derive_reply_key
from onionpath.errors import BadLayerError, MalformedError, PeerError
from onionpath.onion.geometry import Geometry, SizeClass
from onionpath.onion.native import NativeOnion
from onionpath.onion.packets import (
    Forward,
    Hop,
    HopKey,
    OnionCall,
    Packet,
    ReplyHead,
    ReplyKey,
    ReplyOpener,
    Serve,
)
from onionpath.onion.statuses import Reason, ReplyStatus
from tests.onion.independent import hpke, layers
from tests.vectors.make_onion_native import encode, vectors
from tests.vectors.onion_native_packets import (
    NETWORK_ID,
    SLOT,
    Answering,
    Sending,
    answers,
    bytes_of_path,
    bytes_of_reply,
    good_paths,
    hold_ms,
    nonce,
    relay,
)

FOLDER = Path(__file__).parents[1] / "vectors" / "onion-native"
REFUSALS: dict[str, tuple[type[PeerError], type[Exception]]] = {
    "does-not-open": (BadLayerError, hpke.DoesNotOpenError),
    "malformed": (MalformedError, layers.BreaksSpecificationError),
}


def files(field: str) -> list[Path]:
    return [path for path in sorted(FOLDER.glob("*.json")) if field in json.loads(path.read_text())]


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())


def layer_of(vector: dict[str, Any]) -> bytes:
    return base64.b64decode(vector["layer"]["base64"])


def native(hops: int) -> NativeOnion:
    return NativeOnion(Geometry(hops), NETWORK_ID)


def hop_key(depth: int) -> HopKey:
    return HopKey(
        RelayId(relay(depth).relay_id), relay(depth).generation, HybridPrivateKey(relay(depth).key_seed)
    )


def test_the_committed_files_are_what_the_generator_makes() -> None:
    made = {name: encode(name.removesuffix(".json"), vector) for name, vector in vectors().items()}

    assert made == {path.name: path.read_text() for path in FOLDER.glob("*.json")}


def test_good_and_bad_vectors_are_there() -> None:
    assert (7, 32, 19) == tuple(len(files(field)) for field in ("layers", "relay", "seeds"))


@pytest.mark.parametrize("path", files("layers"), ids=lambda path: path.stem)
def test_every_relay_peels_the_recorded_values(path: Path) -> None:
    vector, sending = (
        read(path),
        next(each for each in good_paths() if path.stem.startswith(f"good-{each.name}-")),
    )
    onion = native(vector["hops"])
    layer: bytes | memoryview = bytes_of_path(sending)[0]
    generation = vector["relays"][0]["generation"]
    size_class = SizeClass(vector["request_class"])
    for depth, recorded in enumerate(vector["layers"]):
        # A large layer is recorded by its digest, and a small one is recorded whole.
        digest = hashlib.sha256(layer).hexdigest()
        assert digest == recorded["layer"].get("sha256", digest)
        if "base64" in recorded["layer"]:
            assert base64.b64decode(recorded["layer"]["base64"]) == layer
        assert recorded["size"] == len(layer)

        peeled = onion.peel(Packet(size_class, depth, generation, vector["slot"], layer), hop_key(depth))

        assert recorded["seed"] == peeled.seed.hex()
        assert (vector["reply_class"], depth) == (peeled.reply_key.reply_class, peeled.reply_key.depth)
        if depth == vector["hops"] - 1:
            assert isinstance(peeled, Serve)
            assert vector["call"] == {
                "service": peeled.service,
                "idempotency_key": peeled.idempotency_key.hex(),
                "body": peeled.body.hex(),
            }
        else:
            after = vector["relays"][depth + 1]
            assert isinstance(peeled, Forward)
            assert after["relay_id"] == peeled.next_relay.hex()
            onward = peeled.packet
            assert (size_class, depth + 1) == (onward.size_class, onward.depth)
            assert (after["generation"], vector["slot"]) == (onward.generation, onward.slot)
            layer, generation = peeled.packet.layer, peeled.packet.generation


@pytest.mark.parametrize("path", files("layers"), ids=lambda path: path.stem)
def test_our_keys_grow_from_the_recorded_seeds(path: Path) -> None:
    for each in read(path)["relays"]:
        public = HybridPrivateKey(bytes.fromhex(each["key_seed"])).public.encoded

        assert each["public_key_sha256"] == hashlib.sha256(public).hexdigest()


REPLIES = [(sending, each) for sending in good_paths() for each in answers(sending)]


def replying(pair: tuple[Sending, Answering]) -> str:
    return f"{pair[0].name}-{pair[0].service}-{pair[1].name}"


@pytest.mark.parametrize("pair", REPLIES, ids=replying)
def test_our_relays_seal_the_recorded_replies(pair: tuple[Sending, Answering]) -> None:
    sending, answering = pair
    onion, size_class = native(sending.hops), SizeClass(sending.reply_class)
    inner, head = answering.body, (ReplyStatus(answering.status), Reason(answering.reason))
    made: list[bytes] = []
    for depth in reversed(range(answering.hop + 1)):
        key = ReplyKey(derive_reply_key(sending.seed(depth)), size_class, depth)
        nonce_here = nonce(sending, answering, depth)
        inner = onion.seal_reply(
            key, ReplyHead(*head, hold_ms(depth)), inner, entropy=lambda _, nonce_here=nonce_here: nonce_here
        )
        made.insert(0, inner)
        head = (ReplyStatus.RELAYED, Reason.NONE)

    assert bytes_of_reply(sending, answering) == tuple(made)


@pytest.mark.parametrize("pair", REPLIES, ids=replying)
def test_our_client_opens_the_recorded_replies(pair: tuple[Sending, Answering]) -> None:
    sending, answering = pair
    secrets = tuple(ReplySecret.from_seed(sending.seed(depth)) for depth in range(sending.hops))
    opener = ReplyOpener(secrets, SizeClass(sending.reply_class))

    answer = native(sending.hops).open_reply(opener, bytes_of_reply(sending, answering)[0])

    assert answering.hop == answer.hop
    assert answering.body == answer.body
    assert (answering.status, answering.reason) == (answer.head.status, answer.head.reason)
    assert tuple(hold_ms(depth) for depth in range(answering.hop + 1)) == answer.hold_ms
    assert answer.lying_edge is None


@pytest.mark.parametrize("path", files("layers"), ids=lambda path: path.stem)
def test_the_recorded_replies_are_the_generators(path: Path) -> None:
    sending = next(each for each in good_paths() if path.stem.startswith(f"good-{each.name}-"))
    for recorded, answering in zip(read(path)["replies"], answers(sending), strict=True):
        made = bytes_of_reply(sending, answering)

        assert recorded["layers_sha256"] == [hashlib.sha256(layer).hexdigest() for layer in made]


@pytest.mark.parametrize("path", files("relay"), ids=lambda path: path.stem)
def test_a_request_with_one_defect_is_refused_for_it(path: Path) -> None:
    vector = read(path)
    depth, layer, (ours, theirs) = vector["depth"], layer_of(vector), REFUSALS[vector["refused_as"]]
    key, size_class = hop_key(depth), SizeClass(vector["request_class"])
    context = layers.Context(NETWORK_ID, key.relay_id, SLOT, key.generation, size_class, depth)

    with pytest.raises(ours):
        native(vector["hops"]).peel(Packet(size_class, depth, key.generation, SLOT, layer), key)
    with pytest.raises(theirs):
        layers.open_layer(relay(depth).pair, context, layer, hops=vector["hops"])


@pytest.mark.parametrize("path", files("seeds"), ids=lambda path: path.stem)
def test_a_reply_with_one_defect_is_refused_for_it_and_the_hop_is_named(path: Path) -> None:
    vector = read(path)
    seeds, (ours, theirs) = [bytes.fromhex(seed) for seed in vector["seeds"]], REFUSALS[vector["refused_as"]]
    opener = ReplyOpener(tuple(map(ReplySecret.from_seed, seeds)), SizeClass(vector["reply_class"]))

    with pytest.raises(ours) as refusal:
        native(vector["hops"]).open_reply(opener, layer_of(vector))
    with pytest.raises(theirs):
        layers.open_reply(seeds, vector["reply_class"], layer_of(vector))

    assert vector["hop"] == refusal.value.hop


@pytest.mark.parametrize("request_class", [0, 1])
@pytest.mark.parametrize("hops", [2, 3, 4, 5])
def test_the_independent_implementation_opens_what_we_wrap(hops: int, request_class: int) -> None:
    entropy = iter(bytes([number]) * 32 for number in range(hops))
    path = [
        Hop(hop_key(depth).relay_id, hop_key(depth).private.public, relay(depth).generation)
        for depth in range(hops)
    ]
    call = OnionCall(3, b"body", b"k" * 16, SizeClass(request_class), SizeClass.LARGE)

    packet = native(hops).wrap(path, call, slot=SLOT, entropy=lambda _: next(entropy)).packet

    layer = bytes(packet.layer)
    for depth in range(hops):
        hop = relay(depth)
        context = layers.Context(NETWORK_ID, hop.relay_id, SLOT, hop.generation, request_class, depth)
        opened = layers.open_layer(hop.pair, context, layer, hops=hops)
        assert (bytes([depth]) * 32, 1) == (opened.seed, opened.reply_class)
        if depth < hops - 1:
            after = relay(depth + 1)
            assert ("forward", after.relay_id, after.generation) == (
                opened.kind,
                opened.next_relay,
                opened.next_generation,
            )
        layer = opened.rest
    assert ("serve", 3, b"k" * 16, b"body") == (opened.kind, opened.service, opened.idempotency_key, layer)
