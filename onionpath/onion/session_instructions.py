"""What an opened layer asks of the relay: the JSON beside its blob has exactly one of three keys that decides.

``headers``: answer it yourself. ``host``: post it to a server. ``destination``: pass it to a relay. The original looks
for them in this order and takes the first; here a layer that has two of them is refused, so that no two readers can
disagree. Spec: docs/specs/session-onion.md §4.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from onionpath.crypto.identity import RelayId, parse_relay_id
from onionpath.crypto.session_channels import Cipher, SessionPublicKey
from onionpath.errors import MalformedError
from onionpath.onion.session_fields import Fields, Form, to_form
from onionpath.onion.session_lsrpc import LsrpcServer

# Each cipher has two names. AES-CBC has two as well, which we refuse like any unknown one: it authenticates nothing.
_CIPHERS = {
    "aes-gcm": Cipher.AES_GCM,
    "gcm": Cipher.AES_GCM,
    "xchacha20": Cipher.XCHACHA20,
    "xchacha20-poly1305": Cipher.XCHACHA20,
}
# Session Desktop never names one.
DEFAULT_CIPHER_NAME = "aes-gcm"
_HEX_KEY = re.compile(r"[0-9a-fA-F]{64}")


@dataclass(frozen=True, slots=True)
class AnswerInstruction:
    """The blob is a call for this relay; how its reply is to be written."""

    wants_json: bool = False
    wants_base64: bool = True


@dataclass(frozen=True, slots=True)
class RelayInstruction:
    """The blob is the layer of this relay, sealed with this ephemeral key."""

    next_relay: RelayId
    ephemeral: SessionPublicKey
    cipher: Cipher


@dataclass(frozen=True, slots=True)
class ServerInstruction:
    """The blob is the layer of this server, sealed with this ephemeral key."""

    server: LsrpcServer
    ephemeral: SessionPublicKey
    cipher: Cipher


Instruction = AnswerInstruction | RelayInstruction | ServerInstruction


class _AnswerFields(Form, frozen=True):
    headers: Any  # no reader of ours or theirs looks into it
    json: bool = False
    base64: bool = True
    body: None = None  # Session Desktop says so in every request


class _RelayFields(Form, frozen=True):
    destination: str
    ephemeral_key: str
    enc_type: str = DEFAULT_CIPHER_NAME

    def parse(self) -> RelayInstruction:
        next_relay = _relay_id(parse_hex_key(self.destination))
        ephemeral = SessionPublicKey(parse_hex_key(self.ephemeral_key))
        return RelayInstruction(next_relay, ephemeral, parse_cipher(self.enc_type))


class _ServerFields(Form, frozen=True):
    host: str
    target: str
    ephemeral_key: str
    enc_type: str = DEFAULT_CIPHER_NAME
    port: int = 443
    protocol: str = "https"
    method: Literal["POST"] = "POST"

    def parse(self) -> ServerInstruction:
        # Clients pass on what a person has typed, and names don't depend on case.
        server = LsrpcServer(self.host.lower(), self.port, self.target, self.protocol)
        ephemeral = SessionPublicKey(parse_hex_key(self.ephemeral_key))
        return ServerInstruction(server, ephemeral, parse_cipher(self.enc_type))


# A relay forwards to few others again and again, and to check a point takes as long as the key exchange of a layer.
_relay_id = lru_cache(maxsize=4096)(parse_relay_id)


def parse_instruction(fields: Fields) -> Instruction:
    """Say what a layer's fields ask for.

    Raises:
        MalformedError: none or several of the three keys, or a field that is missing, unknown or wrong.
    """
    match sorted(fields.keys() & {"headers", "host", "destination"}):
        case ["headers"]:
            answer = to_form(fields, _AnswerFields)
            return AnswerInstruction(answer.json, answer.base64)
        case ["host"]:
            return to_form(fields, _ServerFields).parse()
        case ["destination"]:
            return to_form(fields, _RelayFields).parse()
    raise MalformedError("a layer has exactly one of headers, host and destination")


def fields_of_instruction(instruction: Instruction) -> Mapping[str, object]:
    """The fields as Session's own library writes them: defaults are left out where it leaves them out."""
    match instruction:
        case AnswerInstruction(wants_json, wants_base64):
            flags = {"json": wants_json, "base64": wants_base64}
            asked = {name: flag for name, flag in flags.items() if flag is not (name == "base64")}
            return {"headers": "", **asked}
        case RelayInstruction(next_relay, ephemeral, cipher):
            return {"destination": next_relay.hex(), **fields_of_layer(ephemeral, cipher)}
        case ServerInstruction(server, ephemeral, cipher):
            where = {"host": server.host, "port": server.port, "target": server.target}
            how = {"protocol": server.protocol, "method": "POST"}
            return {**where, **how, **fields_of_layer(ephemeral, cipher)}


def fields_of_layer(ephemeral: SessionPublicKey, cipher: Cipher) -> dict[str, object]:
    """The two fields that stand beside every sealed layer."""
    return {"ephemeral_key": ephemeral.encoded.hex(), "enc_type": cipher.value}


def parse_hex_key(text: str) -> bytes:
    """32 bytes from 64 hex digits of either case.

    Raises:
        MalformedError: anything else.
    """
    if not _HEX_KEY.fullmatch(text):
        raise MalformedError("a key is written in 64 hex digits")
    return bytes.fromhex(text)


def parse_cipher(name: str) -> Cipher:
    """The cipher of this name.

    Raises:
        MalformedError: an unknown one, or AES-CBC, which has no tag.
    """
    if name not in _CIPHERS:
        raise MalformedError("a layer is sealed with AES-GCM or XChaCha20 and nothing else")
    return _CIPHERS[name]
