"""What clients, gateways and those between them send in Oblivious HTTP, as functions for ``targets``."""

from __future__ import annotations

import hashlib
from random import Random

from onionpath.crypto.oblivious import ObliviousPrivateKey
from onionpath.ohttp.binary import (
    check_message,
    decode_request,
    decode_response,
    encode_request,
    encode_response,
)
from onionpath.ohttp.encapsulation import GatewayKey, GatewayKeys, seal_request
from onionpath.ohttp.keys import decode_key_configurations, encode_key_configurations
from onionpath.ohttp.messages import Limits

KEY = GatewayKey(1, ObliviousPrivateKey(hashlib.sha256(b"fuzzed gateway").digest()))
KEYS = GatewayKeys([KEY])
LIMITS = Limits(body_bytes=4096, head_bytes=1024, fields=16)
# A reader's bound holds what it reads; written anew it may take a few bytes more or less.
WRITTEN = Limits(body_bytes=4096, head_bytes=2048, fields=16)
REQUEST, SECRET = seal_request(b"message", KEY.configuration, entropy=Random(1).randbytes)
RESPONSE = SECRET.seal(b"answer", entropy=Random(2).randbytes)


def binary_request(data: bytes) -> None:
    """Two forms and any padding mean the same, so what is read must survive one form of its own."""
    read = decode_request(data, LIMITS)
    check_message(read, WRITTEN)
    if decode_request(encode_request(read), WRITTEN) != read:
        raise AssertionError("a request changes when it is written")


def binary_response(data: bytes) -> None:
    read = decode_response(data, LIMITS)
    check_message(read, WRITTEN)
    if decode_response(encode_response(read), WRITTEN) != read:
        raise AssertionError("a response changes when it is written")


def key_configurations(data: bytes) -> None:
    """What we don't speak is passed over, so only the rest can come back."""
    read = decode_key_configurations(data)
    if decode_key_configurations(encode_key_configurations(read)) != read:
        raise AssertionError("key configurations change when they are written")


def encapsulated_request(data: bytes) -> None:
    KEYS.open(data)


def encapsulated_response(data: bytes) -> None:
    SECRET.open(data)


def inputs() -> dict[str, dict[str, bytes]]:
    """The corpus of these targets."""
    head = b"\x04POST\x05https\x0bexample.org\x06/a?b=c"
    keys = encode_key_configurations((KEY.configuration,))
    return {
        "ohttp-binary-request": {
            "good": b"\0" + head + b"\x0d\x04host\x01a\x01b\x03c d\x04body\0\0\0\0",
            "good-indeterminate": b"\x02" + head + b"\x01b\x03c d\0\x02bo\x02dy\0\x01t\x01u\0\0\0",
            "good-cut-off": b"\0" + head,
            "bad-padding": b"\0" + head + b"\0\0\0\x01",
            "bad-name": b"\0" + head + b"\x04\x01\n\x01a",
            "bad-length-of-2-to-62": b"\0" + head + b"\xff" * 8,
        },
        "ohttp-binary-response": {
            "good": b"\x01\x40\xc8\x08\x01b\x05c d e\x04body\0\0",
            "good-informational": b"\x03\x40\x67\x01a\x01b\0\x40\xc8\x01a\x01b\0\x02bo\x02dy\0\0",
            "bad-status": b"\x01\x43\xe8\0\0",
            "bad-switch-of-protocols": b"\x01\x40\x65\0\x40\xc8",
        },
        "ohttp-keys": {
            "good": keys,
            "good-with-another-kem": b"\0\x07\x02\x64\x7aabcd" + keys,
            "bad-twice": keys + keys,
            "bad-cut": keys[:-1],
        },
        "ohttp-request": {
            "good": REQUEST,
            "bad-key": b"\x02" + REQUEST[1:],
            "bad-point": REQUEST[:7] + bytes(32) + REQUEST[39:],
            "bad-tag": REQUEST[:-1] + b"\0",
        },
        "ohttp-response": {"good": RESPONSE, "bad-cut": RESPONSE[:16], "bad-nonce": b"\0" + RESPONSE[1:]},
    }
