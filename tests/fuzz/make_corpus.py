"""Makes tests/fuzz/corpus/: for each target inputs that are read (``good-…``) and that are not (``bad-…``).

Run it from the top of the checkout with ``python -m tests.fuzz.make_corpus``. Inputs that a fuzzer finds are added
by hand, named for what was wrong. Certificates are drawn anew, so theirs are made only where none is.
"""

from __future__ import annotations

import base64
import ssl
import struct
from dataclasses import replace
from pathlib import Path

from onionpath.crypto.certificates import make_link_certificate
from onionpath.crypto.reply_keys import seal_with
from onionpath.directory.descriptor import sign_descriptor
from onionpath.directory.difference import difference
from onionpath.directory.directory import encode_parts
from onionpath.directory.document import encode_document
from onionpath.directory.evidence import Evidence
from onionpath.directory.succession import sign_succession
from onionpath.link.frames import AnswerBody, CallBody, Kind, encode_answer, encode_call, encode_frame
from onionpath.link.proof import Claim
from onionpath.onion.geometry import SizeClass
from onionpath.path.middles import Middle
from onionpath.path.path_memory import PathMemory
from onionpath.path.path_memory_lines import encode_memory
from onionpath.path.sample import Guard
from onionpath.service import directory_wire
from onionpath.service.stream import ReplyFlags, RequestFlags, StreamReply, StreamRequest
from relay.authority.diary import Diary
from relay.keys import encode_seed
from relay.replay_files import _encode, _State
from relay.settings import AuthoritySettings, RelaySettings
from relay.settings_text import example_settings
from tests.directory.networks import NOW, authority_keys, bytes_of, descriptor, door, network
from tests.fuzz import (
    long_calls,
    ohttp,
    proxy,
    replica,
    session,
    session_door,
    session_network,
    storage,
    stories,
)
from tests.fuzz.files import SEED_HEADER
from tests.fuzz.targets import (
    DEPTH,
    GENERATION,
    IDENTITY,
    NETWORK_ID,
    PLAIN_SIZE,
    PRIVATE,
    REPLY_PLAIN_SIZE,
    SECRETS,
    SIZES,
    SLOT,
    known_document,
)
from tests.onion.independent import layers

FOLDER = Path(__file__).parent / "corpus"


def _payload(envelope: bytes) -> bytes:
    """The payload of an envelope, without checking anything."""
    return base64.b64decode(envelope.split(b'"payload":"')[1].split(b'"')[0])


def _frames() -> dict[str, bytes]:
    request = bytes(range(256)) * 32
    layer = request[: SIZES.request_layer_size(SizeClass.SMALL, DEPTH)]
    frame = encode_frame(SIZES, Kind.REQUEST, layer, depth=DEPTH, generation=9, slot=SLOT, exchange_id=7)
    ping = encode_frame(SIZES, Kind.PING, exchange_id=2**64 - 1)
    return {
        "good-request": frame,
        "good-ping-and-a-piece": ping + frame[:20],
        "bad-padding": frame[:-1] + b"\1",
        "bad-kind": b"\xff" + ping[1:],
    }


def _packets() -> dict[str, dict[str, bytes]]:
    head = layers.serve_head(1, bytes_of("seed"), 3, bytes(16), 4)
    plain = (head + b"body").ljust(PLAIN_SIZE, b"\0")
    context = layers.Context(NETWORK_ID, IDENTITY.relay_id, SLOT, GENERATION, 0, DEPTH)
    eseed = bytes_of("eseed") * 2
    layer = layers.seal_layer(PRIVATE.public.encoded, context, plain[:80], plain[80:], eseed=eseed)
    header = bytes([0, DEPTH, GENERATION]) + SLOT.to_bytes(4, "big")
    return {
        "packet": {"good-serve": header + layer, "bad-tag": header + layer[:-1] + b"\0"},
        "layer-plain": {
            "good-serve": head + b"body",
            "good-empty-body": layers.serve_head(0, bytes(32), 65535, b"k" * 16, 0),
            "bad-forward-at-the-end": layers.forward_head(0, 1, bytes(32), IDENTITY.relay_id),
            "bad-kind": b"\3" + head[1:],
            "bad-length": layers.serve_head(0, bytes(32), 1, bytes(16), 2**32 - 1),
        },
    }


def _replies() -> dict[str, dict[str, bytes]]:
    answered = layers.reply_plain(0, 0, 250, 6) + b"answer"
    refused = layers.reply_plain(2, 22, 0, 0)
    relayed = layers.reply_plain(1, 0, 250, REPLY_PLAIN_SIZE - 20)
    whole = seal_with(SECRETS[0].reveal(), refused.ljust(REPLY_PLAIN_SIZE, b"\0"), entropy=bytes)
    return {
        "reply": {"good-refused": whole, "bad-nonce": b"\1" + whole[1:]},
        "reply-plain-of-the-last": {"good-answered": answered, "bad-relayed": relayed},
        "reply-plain": {
            "bad-answered-by-the-first": answered,
            "good-refused": refused,
            "good-edge-failed": layers.reply_plain(3, 4, 9000, 0),
            "bad-relayed-junk": relayed,
            "bad-status": b"\4" + refused[1:],
            "bad-reason": layers.reply_plain(2, 8, 0, 0),
        },
    }


def _keys() -> dict[str, dict[str, bytes]]:
    public = PRIVATE.public.encoded
    return {
        "public-key": {
            "good": public,
            "bad-small-order": public[:1184] + bytes(32),
            "bad-lattice": b"\xff" * 1216,
        },
        "claim": {
            "good": Claim(IDENTITY.relay_id, bytes(32)).encode(),
            "bad-small-order": bytes(64),
            "bad-short": IDENTITY.relay_id,
        },
    }


def _certificates() -> dict[str, bytes]:
    pem = make_link_certificate().certificate_pem
    return {"good-pem": pem, "good-der": ssl.PEM_cert_to_DER_cert(pem.decode()), "bad": b"0\x82\xff\xff"}


def _calls() -> dict[str, dict[str, bytes]]:
    call = encode_call(CallBody(2, SizeClass.LARGE, b"what is new?"))
    answer = encode_answer(AnswerBody(0, 0, b"nothing"))
    return {
        "call": {"good": call + bytes(30), "bad-class": b"\0\1\2" + call[3:], "bad-length": call[:-1]},
        "answer": {"good": answer + bytes(30), "bad-zero": b"\0\1" + answer[2:], "bad-length": answer[:-1]},
    }


def _directory() -> dict[str, dict[str, bytes]]:
    # One packet key keeps the file small.
    relay = descriptor(0)
    small = network([descriptor(0, packet_keys=relay.packet_keys[:1]), descriptor(1)])
    envelope, root = small.descriptors[0], small.root.encode()
    ours = descriptor(0, relay_id=IDENTITY.relay_id, packet_keys=relay.packet_keys[:1])
    signed = sign_descriptor(ours, IDENTITY)
    with_door = _payload(sign_descriptor(replace(ours, session=door(0)), IDENTITY))
    changed = network([descriptor(0), descriptor(1), descriptor(3)], weights=[1, 9, 1]).verified()
    led = difference(known_document(), changed)
    step = sign_succession(small.root, replace(small.root, version=2), authority_keys(1))
    return {
        "descriptor": {"good": envelope, "bad-signature": envelope.replace(b'"sig":"', b'"sig":"AAAA', 1)},
        "descriptor-payload": {
            "good": _payload(signed),
            "good-session": with_door,
            "bad-session-port": with_door.replace(b'"port":22021', b'"port":0'),
            "bad-other-relay": _payload(envelope),
            "bad-empty": b"{}",
        },
        "document": {"good": small.envelope, "bad-cut": small.envelope[:-2]},
        "difference": {"good": led, "bad-base": led.replace(b'"known":"', b'"known":"A', 1)},
        "document-payload": {
            "good": encode_document(small.document),
            "bad-nested": b'{"network_id":' + b"[" * 5000,
        },
        "evidence": {
            "good": Evidence.of_documents((small.envelope, changed.envelope)).encode(),
            "bad-same-twice": Evidence.of_documents((small.envelope, small.envelope)).encode(),
        },
        "succession": {"good": step, "bad-signature": step.replace(b'"sig":"', b'"sig":"AAAA', 1)},
        "trust-root": {"good": root, "bad-threshold": root.replace(b'"threshold": 1', b'"threshold": 2')},
        "directory-parts": {"good": encode_parts([b"one", b"", b"three"]), "bad-length": b"\xff" * 8},
    }


def _wire() -> dict[str, dict[str, bytes]]:
    document = directory_wire.DocumentCall(known=3, wanted=4, offset=1024).encode()
    digests = directory_wire.DescriptorsCall((bytes(32), b"d" * 32)).encode()
    publish = directory_wire.PublishCall(bytes(32), 4, 0, b"part").encode()
    led = directory_wire.DifferenceCall(known=3, wanted=4, offset=1024).encode()
    successions = directory_wire.SuccessionsCall(version=7, offset=1024).encode()
    reply = directory_wire.part_of(b"c" * 1100, offset=0, capacity=1044, number=7).encode()
    return {
        "directory-call": {
            "good-document": document,
            "good-descriptors": digests,
            "good-publish": publish,
            "good-successions": successions,
            "good-difference": led,
            "bad-difference-from-none": led[:15] + b"\0" + led[16:],
            "bad-kind": b"\x09" + document[1:],
            "bad-count": digests[:1] + b"\xff" + digests[2:],
        },
        "directory-reply": {
            "good": reply,
            "bad-total": reply[:4] + bytes(4) + reply[8:],
            "bad-short": reply[:19],
        },
    }


def _streams() -> dict[str, dict[str, bytes]]:
    token = bytes(range(16))
    opening = StreamRequest(
        token=token, flags=RequestFlags.OPEN, host=b"example.org", port=443, data=b"hello", at_most=100
    )
    reply = StreamReply(5, 7, b"data", ReplyFlags.END).encode()
    return {
        "stream-request": {
            "good-open": opening.encode(),
            "good-close": StreamRequest(token=token, flags=RequestFlags.CLOSE).encode(),
            "bad-flags": b"\xff" + opening.encode()[1:],
            "bad-short": opening.encode()[:63],
        },
        "stream-reply": {"good": reply, "bad-flags": b"\3" + reply[1:], "bad-short": reply[:23]},
        "exit-policy": {
            "good": b"accept *:443\nreject 10.0.0.0/8:*\naccept [2001:db8::/32]:1-1024",
            "bad-port": b"accept *:99999",
        },
        "countries": {
            "good": b"10.0.0.0/8,DE\n192.0.2.0/24,NL\n2001:db8::/32,FR\n",
            "bad-overlap": b"10.0.0.0/8,DE\n10.1.0.0/16,NL\n",
            "bad-zone": b"fe80::%1/64,DE\n",
        },
    }


def _files() -> dict[str, dict[str, bytes]]:
    """What lies on disks, and what a person types."""
    small = network(
        [descriptor(number, packet_keys=descriptor(number).packet_keys[:1]) for number in range(2)]
    )
    kept = small.directory().encode()
    number = small.document.number
    diary = Diary(
        voted=number, recovery_at=int(NOW), draft=small.envelope, newest=small.envelope, signed=number
    )
    record = b'{"event":"linked","at":0.5,"link":1,"address":"127.0.0.1:1","called":null}\n'
    replay = _encode(_State("a boot", bytes_of("tags").hex(), 300.0, 1024, 6_000_000, 5_999_999, clean=True))
    guard = Guard(descriptor(0).relay_id, NOW, confirmed_at=NOW, is_disabled=True)
    middle = Middle(descriptor(1).relay_id, NOW)
    guards = encode_memory(PathMemory((guard,), (middle,)), small.document.network_id)
    key = encode_seed(SEED_HEADER, bytes_of("key"))
    return {
        "host": {"good-name": b"example.org", "good-v6": b"2001:db8::1", "bad-number": b"127.1"},
        "url": {
            "good": b"https://example.org:8443/a?b=c#d",
            "good-idn": "http://b\u00fccher.example/\u00fc".encode(),
            "good-literal": b"https://[2001:db8::1]/",
            "bad-utf-8": b"https://example.org/\xff",
            "bad-scheme": b"ftp://example.org/",
            "bad-port": b"https://example.org:x/",
        },
        "relay-settings": {
            "good": example_settings(RelaySettings).encode(),
            "good-empty": b"",
            "bad-key": b"[relay]\nlisten = 7740\n",
            "bad-number-of-5000-digits": b"[limits]\nin_flight = " + b"9" * 5000,
            "bad-port-of-5000-digits": b'[relay]\nlisten = ["127.0.0.1:' + b"9" * 5000 + b'"]\n',
            "bad-home-of-nobody": b'[relay]\nstate = "~no-such-person/state"\n',
            "bad-path-with-nul": b'[relay]\nstate = "a\\u0000b"\n',
        },
        "authority-settings": {
            "good": example_settings(AuthoritySettings).encode(),
            "bad-key": b"[authority]\nfirst_document_relays = 0\n",
        },
        "key-file": {"good": key, "bad-upper-case": key.upper(), "bad-cut": key[:-1]},
        "replay-state": {"good": replay, "bad-digit": replay.replace(b"6000000", b"6000001")},
        "authority-state": {
            "good": diary.encode(),
            "bad-number": diary.encode().replace(struct.pack(">Q", number), bytes(8)),
            "bad-document": replace(diary, newest=small.envelope[:-1]).encode(),
        },
        "path-memory": {
            "good": guards,
            "bad-digest": guards.replace(b"true", b"null"),
            "bad-cut": guards[:-1],
        },
        "snapshot": {"good": kept, "bad-cut": kept[:-1], "bad-magic": b"O" + kept[1:]},
        "frame-records": {
            "good": record + b'{"event":"frame","at":1.0,"link":1,"sent":true,"kind":"PING","size":8192}\n',
            "bad-event": record.replace(b"linked", b"unlinked"),
        },
        "switch": stories.good_stories(),
    }


def corpus() -> dict[str, dict[str, bytes]]:
    """Every input by target and name, but for the certificates."""
    return {
        "frames": _frames(),
        **_packets(),
        **_replies(),
        **_keys(),
        **_calls(),
        **_directory(),
        **_wire(),
        **_streams(),
        **long_calls.inputs(),
        **ohttp.inputs(),
        **session.inputs(),
        **session_door.inputs(),
        **session_network.inputs(),
        **storage.inputs(),
        **replica.inputs(),
        **proxy.inputs(),
        **_files(),
    }


def main() -> None:
    made = corpus()
    if not (FOLDER / "certificate").exists():
        made["certificate"] = _certificates()
    for target, inputs in made.items():
        (FOLDER / target).mkdir(parents=True, exist_ok=True)
        for name, data in inputs.items():
            (FOLDER / target / name).write_bytes(data)


if __name__ == "__main__":
    main()
