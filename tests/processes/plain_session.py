"""A client of Session's network as its wire has it, and nothing of ours: HTTPS, JSON, two ciphers and one curve.

It verifies no certificate and believes the seed, as Session's clients do.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
import os
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_decrypt as xchacha_decrypt,
)
from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_encrypt as xchacha_encrypt,
)

TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Node:
    """One entry of a seed's list."""

    host: str
    port: int
    ed25519: str
    x25519: bytes


class Answer(NamedTuple):
    """What a node said, outside of every seal."""

    status: int
    content_type: str
    body: bytes


def request(host: str, port: int, target: str, body: bytes | None = None, *, method: str = "POST") -> Answer:
    """One request with the headers of Session Desktop."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    connection = http.client.HTTPSConnection(host, port, context=context, timeout=TIMEOUT_S)
    try:
        connection.request(method, target, body, {"User-Agent": "WhatsApp", "Accept-Language": "en-us"})
        response = connection.getresponse()
        return Answer(response.status, response.headers["Content-Type"], response.read())
    finally:
        connection.close()


def nodes_of_seed(host: str, port: int) -> list[Node]:
    """What a seed says who is there."""
    fields = ["public_ip", "storage_port", "pubkey_ed25519", "pubkey_x25519"]
    params = {"active_only": True, "fields": dict.fromkeys(fields, True)}
    call = {"jsonrpc": "2.0", "id": "0", "method": "get_n_service_nodes", "params": params}
    answer = request(host, port, "/json_rpc", json.dumps(call).encode())
    assert (200, "application/json") == (answer.status, answer.content_type)
    states = json.loads(answer.body)["result"]["service_node_states"]
    return [
        Node(
            state["public_ip"],
            state["storage_port"],
            state["pubkey_ed25519"],
            bytes.fromhex(state["pubkey_x25519"]),
        )
        for state in states
    ]


@dataclass(frozen=True)
class Sealed:
    """A layer, with what opens the reply to it."""

    ciphertext: bytes
    ephemeral: bytes
    cipher: str
    key: bytes

    def open(self, reply: bytes) -> bytes:
        """Open a reply that was sealed to this layer."""
        if self.cipher == "xchacha20":
            return xchacha_decrypt(reply[24:], None, reply[:24], self.key)
        return AESGCM(self.key).decrypt(reply[:12], reply[12:], None)


def seal(plaintext: bytes, x25519: bytes, cipher: str) -> Sealed:
    """One layer under a fresh key."""
    private = X25519PrivateKey.generate()
    public = private.public_key().public_bytes_raw()
    shared = private.exchange(X25519PublicKey.from_public_bytes(x25519))
    if cipher == "xchacha20":
        key, nonce = hashlib.blake2b(shared + public + x25519, digest_size=32).digest(), os.urandom(24)
        return Sealed(nonce + xchacha_encrypt(plaintext, None, nonce, key), public, cipher, key)
    key, nonce = hmac.digest(b"LOKI", shared, "sha256"), os.urandom(12)
    return Sealed(nonce + AESGCM(key).encrypt(nonce, plaintext, None), public, cipher, key)


def framing(blob: bytes, fields: dict[str, Any]) -> bytes:
    """Length, blob and JSON."""
    return len(blob).to_bytes(4, "little") + blob + json.dumps(fields, separators=(",", ":")).encode()


def beside(layer: Sealed) -> dict[str, Any]:
    """The fields beside a layer; Session Desktop names no cipher, and then it is AES-GCM."""
    named = {"enc_type": layer.cipher} if layer.cipher == "xchacha20" else {}
    return {"ephemeral_key": layer.ephemeral.hex(), **named}


def wrap(innermost: Sealed, destination: Node, path: Sequence[Node]) -> bytes:
    """The layers of a path around a destination's, as the body of a request to its first node."""
    layer, next_node = innermost, destination
    for node in reversed(path):
        layer = seal(
            framing(layer.ciphertext, {"destination": next_node.ed25519, **beside(layer)}),
            node.x25519,
            layer.cipher,
        )
        next_node = node
    return framing(layer.ciphertext, beside(layer))


def call(path: Sequence[Node], destination: Node, body: dict[str, Any], cipher: str) -> tuple[int, Any]:
    """Ask a node over a path; the status and body inside of its reply."""
    fields = {"headers": "", "body": None} if cipher == "aes-gcm" else {"headers": ""}
    innermost = seal(framing(json.dumps(body).encode(), fields), destination.x25519, cipher)
    first = [*path, destination][0]
    answer = request(first.host, first.port, "/onion_req/v2", wrap(innermost, destination, path))
    assert (200, "text/plain") == (answer.status, answer.content_type), answer
    reply = json.loads(innermost.open(base64.b64decode(answer.body)))
    try:
        return reply["status"], json.loads(reply["body"])
    except json.JSONDecodeError:
        return reply["status"], reply["body"]


@dataclass(frozen=True)
class Server:
    """A server with a key of its own."""

    host: str
    port: int
    x25519: bytes


def call_server(
    path: Sequence[Node], server: Server, method: str, endpoint: str, body: bytes | None, cipher: str
) -> tuple[int, bytes]:
    """Ask a server over a path, the last node of which posts to it; the code and body of its response."""
    head = json.dumps({"method": method, "endpoint": endpoint, "headers": {}}).encode()
    strings = [head] if body is None else [head, body]
    innermost = seal(b"l" + b"".join(map(bencoded, strings)) + b"e", server.x25519, cipher)
    where = {"host": server.host, "port": server.port, "target": "/oxen/v4/lsrpc", "protocol": "http"}
    last = path[-1]
    layer = seal(
        framing(innermost.ciphertext, {**where, "method": "POST", **beside(innermost)}), last.x25519, cipher
    )
    answer = request(path[0].host, path[0].port, "/onion_req/v2", wrap(layer, last, path[:-1]))
    assert 200 == answer.status, answer
    opened = innermost.open(answer.body)
    head, rest = unbencoded(opened[1:])
    content, end = unbencoded(rest)
    assert b"e" == end
    return json.loads(head)["code"], content


def bencoded(text: bytes) -> bytes:
    return b"%d:%b" % (len(text), text)


def unbencoded(data: bytes) -> tuple[bytes, bytes]:
    """One string, and what follows it."""
    length, _, rest = data.partition(b":")
    return rest[: int(length)], rest[int(length) :]
