"""Makes tests/vectors/onion-native/*.json with the independent implementation; nothing of onionpath is imported.

Run it from the top of the checkout with ``python -m tests.vectors.make_onion_native``. The output depends on
nothing but the files of this folder and ``tests/onion/independent``, so a changed byte is a changed specification.

Layers of the large class are kept as SHA-256 only; whoever wants the bytes gets them from ``bytes_of_path``. The bad
requests stand at the last depths of five hops, where a layer is shortest.
"""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

from tests.onion.independent import layers
from tests.vectors.onion_native_defects import DEEP, TWO, bad_replies, bad_requests
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

FOLDER = Path(__file__).parent / "onion-native"


def text_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def kept(data: bytes) -> dict[str, str]:
    """Small layers whole, large ones by digest."""
    return {"base64": text_of(data)} if len(data) < 8192 else {"sha256": sha256(data)}


def bound(path: Sending) -> dict[str, Any]:
    return {
        "network_id": NETWORK_ID.hex(),
        "hops": path.hops,
        "frame_sizes": list(layers.CLASS_SIZES),
        "slot": SLOT,
        "request_class": path.request_class,
        "reply_class": path.reply_class,
    }


def relay_fields(depth: int) -> dict[str, Any]:
    hop = relay(depth)
    return {
        "relay_id": hop.relay_id.hex(),
        "generation": hop.generation,
        "key_seed": hop.key_seed.hex(),
        "public_key_sha256": sha256(hop.pair.public),
    }


def layer_fields(path: Sending, depth: int) -> dict[str, Any]:
    layer = bytes_of_path(path)[depth]
    # The inner layers are found by opening the outer ones, so their digest is enough.
    fields = {"depth": depth, "eseed": path.eseed(depth).hex(), "seed": path.seed(depth).hex()}
    return fields | {"size": len(layer), "layer": kept(layer) if depth == 0 else {"sha256": sha256(layer)}}


def reply_fields(path: Sending, answering: Answering) -> dict[str, Any]:
    made = bytes_of_reply(path, answering)
    return {
        "name": answering.name,
        "hop": answering.hop,
        "status": answering.status,
        "reason": answering.reason,
        "hold_ms": [hold_ms(depth) for depth in range(answering.hop + 1)],
        "nonces": [nonce(path, answering, depth).hex() for depth in range(answering.hop + 1)],
        "body": answering.body.hex() if len(answering.body) < 64 else {"sha256": sha256(answering.body)},
        "layers_sha256": [sha256(layer) for layer in made],
        "layer": kept(made[0]) if answering.name == "answered" else {"sha256": sha256(made[0])},
    }


def good(path: Sending) -> dict[str, Any]:
    return bound(path) | {
        "relays": [relay_fields(depth) for depth in range(path.hops)],
        "call": {
            "service": path.service,
            "idempotency_key": path.idempotency_key.hex(),
            "body": path.body.hex(),
        },
        "layers": [layer_fields(path, depth) for depth in range(path.hops)],
        "replies": [reply_fields(path, each) for each in answers(path)],
    }


def bad_request(name: str, depth: int, refused: str, layer: bytes) -> dict[str, Any]:
    return bound(DEEP) | {
        "defect": name,
        "refused_as": refused,
        "depth": depth,
        "relay": relay_fields(depth),
        "layer": {"base64": text_of(layer)},
    }


def bad_reply(name: str, refused: str, hop: int, layer: bytes) -> dict[str, Any]:
    return bound(TWO) | {
        "defect": name,
        "refused_as": refused,
        "hop": hop,
        "seeds": [TWO.seed(depth).hex() for depth in range(2)],
        "layer": {"base64": text_of(layer)},
    }


def vectors() -> dict[str, dict[str, Any]]:
    """Every vector by its file's name."""
    made = {f"good-{path.name}-{path.service}.json": good(path) for path in good_paths()}
    made |= {f"{each[0]}.json": bad_request(*each) for each in bad_requests()}
    return made | {f"{each[0]}.json": bad_reply(*each) for each in bad_replies()}


def encode(name: str, vector: dict[str, Any]) -> str:
    origin = {
        "origin": "tests/vectors/make_onion_native.py",
        "spec": "docs/specs/onion-native.md",
        "name": name,
    }
    return json.dumps(origin | vector, indent=1) + "\n"


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, vector in vectors().items():
        (FOLDER / name).write_text(encode(name.removesuffix(".json"), vector))


if __name__ == "__main__":
    main()
