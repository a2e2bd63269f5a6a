"""Every parser of bytes that come from somebody else, as a function that a fuzzer can call.

A target returns what it read, encoded again, or None where there is nothing to compare; it may raise the errors
that are declared beside it and no other. ``atheris`` and the tests of this folder use the same table.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from random import Random
from typing import NamedTuple

import msgspec

from onionpath.crypto.certificates import certificate_key_hash, pem_key_hash
from onionpath.crypto.hybrid import HybridPrivateKey, HybridPublicKey
from onionpath.crypto.identity import IdentityKey
from onionpath.crypto.reply_keys import ReplySecret, seal_with
from onionpath.directory.descriptor import (
    MAX_DESCRIPTOR_SIZE,
    PAYLOAD_TYPE,
    parse_descriptor,
)
from onionpath.directory.difference import apply_difference, difference
from onionpath.directory.directory import decode_parts, encode_parts
from onionpath.directory.document import (
    MAX_DOCUMENT_SIZE,
    Document,
    UnverifiedDocument,
    decode_document,
    encode_document,
)
from onionpath.directory.document import PAYLOAD_TYPE as DOCUMENT_TYPE
from onionpath.directory.envelope import open_signed, sign
from onionpath.directory.evidence import decode_evidence, verify_evidence
from onionpath.directory.succession import verify_succession
from onionpath.directory.trust import TrustRoot
from onionpath.errors import (
    BadLayerError,
    DirectoryError,
    KeyFileError,
    MalformedError,
    SettingsError,
    SignatureThresholdError,
    UsageError,
)
from onionpath.link.frames import (
    FrameReader,
    decode_answer,
    decode_call,
    encode_answer,
    encode_call,
    encode_frame,
)
from onionpath.link.proof import Claim
from onionpath.onion.geometry import Geometry, SizeClass
from onionpath.onion.native import NativeOnion
from onionpath.onion.packets import HopKey, Packet, ReplyOpener
from onionpath.path.countries import Countries
from onionpath.service import directory_wire
from onionpath.service.exit_policy import ExitPolicy
from onionpath.service.stream import StreamReply, StreamRequest
from tests.directory.networks import NOW, descriptor, network, root
from tests.fuzz import (
    files,
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

# Five hops, because the last of their layers are the shortest.
SIZES = Geometry(5)
NETWORK_ID = hashlib.sha256(b"fuzzed network").digest()
ONION = NativeOnion(SIZES, NETWORK_ID)
SLOT, GENERATION, DEPTH = 5_000_000, 9, 4
IDENTITY = IdentityKey(hashlib.sha256(b"fuzzed relay").digest())
PRIVATE = HybridPrivateKey(hashlib.sha256(b"fuzzed packets").digest())
KEY = HopKey(IDENTITY.relay_id, GENERATION, PRIVATE)
SECRETS = tuple(ReplySecret(bytes([hop]) * 32) for hop in range(5))
PLAIN_SIZE = SIZES.request_layer_size(SizeClass.SMALL, DEPTH) - 1136
REPLY_PLAIN_SIZE = SIZES.reply_layer_size(SizeClass.SMALL, 0) - 28


class Target(NamedTuple):
    """A parser, and what it may raise.

    Args:
        is_sealed: what it reads is sealed or signed, so nothing that was changed may be read.
        slowest_s: CPU seconds for one input.
    """

    parse: Callable[[bytes], bytes | None]
    errors: tuple[type[Exception], ...] = (MalformedError,)
    is_sealed: bool = False
    slowest_s: float = 0.05


def _frames(data: bytes) -> bytes:
    reader, read = FrameReader(SIZES), b""
    reader.feed(data)
    while (frame := reader.next_frame()) is not None:
        read += encode_frame(
            SIZES,
            frame.kind,
            frame.body,
            size_class=frame.size_class,
            depth=frame.depth,
            generation=frame.generation,
            slot=frame.slot,
            exchange_id=frame.exchange_id,
        )
    return read + data[len(data) - reader.waiting :]


def _packet(data: bytes) -> None:
    """A header's class, depth, generation and slot, and a layer."""
    if len(data) < 7 or data[0] > 1:
        raise MalformedError("the frame reader gives no such packet")
    slot = int.from_bytes(data[3:7], "big")
    ONION.peel(Packet(SizeClass(data[0]), data[1], data[2], slot, data[7:]), KEY)


def _layer_plain(data: bytes) -> None:
    """What a dishonest client could put into a seal that opens."""
    plain = data[:PLAIN_SIZE].ljust(PLAIN_SIZE, b"\0")
    info = (
        b"onionpath/1 layer"
        + NETWORK_ID
        + KEY.relay_id
        + SLOT.to_bytes(4, "big")
        + bytes([GENERATION, 0, DEPTH])
    )
    ONION.peel(Packet(SizeClass.SMALL, DEPTH, GENERATION, SLOT, PRIVATE.public.seal(plain, info=info)), KEY)


def _reply(data: bytes) -> None:
    ONION.open_reply(ReplyOpener(SECRETS, SizeClass.SMALL), data)


def _reply_plain(data: bytes) -> None:
    """What a dishonest first relay could put into its own seal."""
    _reply(_sealed_reply(data))


def _last_reply_plain(data: bytes) -> None:
    """What the relay that was asked could put into its own."""
    ONION.open_reply(ReplyOpener(SECRETS[:1], SizeClass.SMALL), _sealed_reply(data))


def _sealed_reply(data: bytes) -> bytes:
    plain = data[:REPLY_PLAIN_SIZE].ljust(REPLY_PLAIN_SIZE, b"\0")
    return seal_with(SECRETS[0].reveal(), plain, entropy=Random(0).randbytes)


def _call(data: bytes) -> bytes:
    return encode_call(decode_call(data)).ljust(len(data), b"\0")


def _answer(data: bytes) -> bytes:
    return encode_answer(decode_answer(data)).ljust(len(data), b"\0")


def _descriptor(data: bytes) -> None:
    parse_descriptor(data)


def _descriptor_payload(data: bytes) -> None:
    """What a dishonest relay could sign."""
    parse_descriptor(sign(PAYLOAD_TYPE, data, [IDENTITY]))


@cache
def _root() -> TrustRoot:
    return root()


def _document(data: bytes) -> None:
    UnverifiedDocument(data).verify(_root(), now=NOW, seen=None)


def _document_payload(data: bytes) -> bytes:
    """What dishonest authorities could sign."""
    return encode_document(decode_document(data))


@cache
def known_document() -> Document:
    """What the reader of a difference has."""
    return network([descriptor(0), descriptor(1), descriptor(2)]).verified()


def _difference(data: bytes) -> bytes:
    """Whoever makes one may sign nothing; what comes of it must be a document for the fuzzer to go on."""
    envelope = apply_difference(data, known_document())
    payload = open_signed(
        envelope, payload_type=DOCUMENT_TYPE, signers=(), threshold=0, max_size=MAX_DOCUMENT_SIZE
    )
    return difference(known_document(), replace(decode_document(payload), envelope=envelope))


def _evidence(data: bytes) -> None:
    verify_evidence(decode_evidence(data), _root())


def _succession(data: bytes) -> None:
    verify_succession(data, _root())


def _trust_root(data: bytes) -> None:
    # White space is free in a trust root, so it has many encodings; what is read must survive one of its own.
    read = TrustRoot.decode(data)
    if TrustRoot.decode(read.encode()) != read:
        raise AssertionError("a trust root changes when it is written")


def _parts(data: bytes) -> bytes:
    return encode_parts(decode_parts(data, max_parts=64, max_size=MAX_DESCRIPTOR_SIZE))


def _exit_policy(data: bytes) -> None:
    try:
        lines = data.decode("ascii").split("\n")
    except UnicodeDecodeError:
        return
    policy = ExitPolicy.parse(lines)
    if ExitPolicy.parse(policy.rules) != policy:
        raise AssertionError("an exit policy changes when it is written")


def _countries(data: bytes) -> None:
    try:
        text = data.decode("ascii")
    except UnicodeDecodeError:
        return
    table = Countries.parse(text)
    for host in ("192.0.2.1", "2001:db8::1", "2002:c000:201::"):
        table.country(host)


def _certificate(data: bytes) -> None:
    pem_key_hash(data) if data.startswith(b"-----") else certificate_key_hash(data)


_SEALED = (MalformedError, BadLayerError)
_SIGNED = (MalformedError, SignatureThresholdError)

TARGETS: dict[str, Target] = {
    "frames": Target(_frames),
    "packet": Target(_packet, _SEALED, is_sealed=True),
    "layer-plain": Target(_layer_plain),
    "reply": Target(_reply, _SEALED, is_sealed=True),
    "reply-plain": Target(_reply_plain, _SEALED),
    "reply-plain-of-the-last": Target(_last_reply_plain, _SEALED),
    "public-key": Target(lambda data: HybridPublicKey(data).encoded),
    "certificate": Target(_certificate),
    "claim": Target(lambda data: Claim.decode(data).encode()),
    "call": Target(_call),
    "answer": Target(_answer),
    "descriptor": Target(_descriptor, _SIGNED, is_sealed=True),
    "descriptor-payload": Target(_descriptor_payload),
    "document": Target(_document, _SIGNED, is_sealed=True),
    "document-payload": Target(_document_payload),
    "difference": Target(_difference),
    "evidence": Target(_evidence, (MalformedError, DirectoryError), is_sealed=True),
    "succession": Target(_succession, (MalformedError, DirectoryError), is_sealed=True),
    "trust-root": Target(_trust_root),
    "directory-parts": Target(_parts),
    "directory-call": Target(lambda data: directory_wire.decode_call(data).encode()),
    "directory-reply": Target(lambda data: directory_wire.decode_reply(data).encode()),
    "stream-request": Target(lambda data: StreamRequest.decode(data).encode()),
    "stream-reply": Target(lambda data: StreamReply.decode(data).encode()),
    "long-call-part": Target(long_calls.asked),
    "long-call-answer": Target(long_calls.told),
    "long-call-parts": Target(long_calls.parts),
    "ohttp-binary-request": Target(ohttp.binary_request),
    "ohttp-binary-response": Target(ohttp.binary_response),
    "ohttp-keys": Target(ohttp.key_configurations),
    "ohttp-request": Target(ohttp.encapsulated_request, (BadLayerError,), is_sealed=True),
    "ohttp-response": Target(ohttp.encapsulated_response, (BadLayerError,), is_sealed=True),
    "session-post": Target(session.post),
    "session-hop-message": Target(session.hop_message),
    "session-layer": Target(session.layer, _SEALED, is_sealed=True),
    "session-layer-plain": Target(session.layer_plain),
    "session-reply-plain": Target(session.reply_plain),
    "session-posted": Target(session.posted, _SEALED),
    "session-server-plain": Target(session.server_plain),
    "session-v4-request": Target(session.v4_request),
    "session-v4-response": Target(session.v4_response),
    "session-bencode": Target(session.bencode),
    "session-hint": Target(session.hint),
    "session-door": Target(session_door.door),
    "session-server-response": Target(session_door.server_response),
    "session-hop-answer": Target(session_door.hop_answer),
    "session-nodes": Target(session_network.nodes),
    "session-seed": Target(session_network.seed),
    "session-network-call": Target(session_network.call),
    "storage-request": Target(storage.request),
    "storage-forwarded": Target(storage.forwarded),
    "storage-part": Target(storage.part),
    "replica-question": Target(replica.question, slowest_s=0.2),
    "replica-answer": Target(replica.answer),
    "exit-policy": Target(_exit_policy, (UsageError,)),
    "countries": Target(_countries, (UsageError,)),
    "host": Target(files.host),
    "url": Target(files.url, (UsageError,)),
    "proxy-socks": Target(proxy.socks),
    "proxy-http": Target(proxy.http),
    "relay-settings": Target(files.relay_settings, (SettingsError,)),
    "authority-settings": Target(files.authority_settings, (SettingsError,)),
    "key-file": Target(files.key_file, (KeyFileError,)),
    "replay-state": Target(files.replay_state),
    "authority-state": Target(files.authority_state, (MalformedError, DirectoryError, UsageError)),
    "path-memory": Target(files.path_memory),
    "snapshot": Target(files.snapshot, (MalformedError, DirectoryError)),
    # A file of our own experiments: whoever damages it gets the decoder's own error.
    "frame-records": Target(files.frame_records, (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)),
    # A story is hundreds of packets long, and each may be opened.
    "switch": Target(stories.tell, slowest_s=0.5),
}


def fuzz_one(name: str, data: bytes) -> bool:
    """Run one input; True if it was read.

    Raises:
        AssertionError: two encodings mean the same. Any other exception is a bug of the parser.
    """
    target = TARGETS[name]
    try:
        again = target.parse(data)
    except target.errors:
        return False
    if again is not None and again != data:
        raise AssertionError(f"{name} reads an encoding that it would not write")
    return True
