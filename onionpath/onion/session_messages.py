"""A Session packet as it travels: what a client posts to the first relay, and what relays send each other.

A posted packet is a framing; relays of the original send a bencoded dict over a transport of their own. Both hold the
same four things. Spec: docs/specs/session-onion.md §5 and §8.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from onionpath.crypto.session_channels import Cipher, SessionPublicKey
from onionpath.errors import MalformedError
from onionpath.onion.session_bencode import decode_dict, encode_dict
from onionpath.onion.session_fields import Form, to_form
from onionpath.onion.session_framing import MAX_FRAMING_SIZE, decode_framing, encode_framing
from onionpath.onion.session_instructions import (
    DEFAULT_CIPHER_NAME,
    fields_of_layer,
    parse_cipher,
    parse_hex_key,
)
from onionpath.onion.session_packets import SessionPacket

# The original's servers count to 15. The value is judged when the packet is peeled, where its refusal has a text.
MAX_WRITTEN_DEPTH = 2**31 - 1
_HOP_KEYS = {b"data", b"enc_type", b"ephemeral_key", b"hop_no"}
_REQUIRED_HOP_KEYS = {b"data", b"ephemeral_key", b"hop_no"}


class _PostFields(Form, frozen=True):
    ephemeral_key: str
    enc_type: str = DEFAULT_CIPHER_NAME
    hop_no: Annotated[int, msgspec.Meta(ge=0, le=MAX_WRITTEN_DEPTH)] = 0


def encode_post(packet: SessionPacket) -> bytes:
    """The body of ``POST /onion_req/v2``."""
    depth: dict[str, object] = {"hop_no": packet.depth} if packet.depth else {}
    return encode_framing(packet.layer, {**fields_of_layer(packet.ephemeral, packet.cipher), **depth})


def decode_post(body: bytes, *, max_size: int = MAX_FRAMING_SIZE) -> SessionPacket:
    """Read the body of ``POST /onion_req/v2``.

    Raises:
        MalformedError: not a framing, or a field that is missing, unknown or wrong.
    """
    layer, fields = decode_framing(body, max_size=max_size)
    form = to_form(fields, _PostFields)
    ephemeral = SessionPublicKey(parse_hex_key(form.ephemeral_key))
    return SessionPacket(ephemeral, parse_cipher(form.enc_type), layer, form.hop_no)


def encode_hop_message(packet: SessionPacket) -> bytes:
    """What one relay of the original sends to the next."""
    return encode_dict(
        {
            b"data": packet.layer,
            b"enc_type": packet.cipher.value.encode(),
            b"ephemeral_key": packet.ephemeral.encoded,
            b"hop_no": packet.depth,
        }
    )


def decode_hop_message(message: bytes, *, max_size: int = MAX_FRAMING_SIZE) -> SessionPacket:
    """Read what a relay sends to the next.

    Raises:
        MalformedError: not this dict, or a depth that only the first relay sees.
    """
    if len(message) > max_size:
        raise MalformedError(f"a hop message has at most {max_size} bytes")
    items = decode_dict(message, at_most=len(_HOP_KEYS))
    if not _REQUIRED_HOP_KEYS <= items.keys() <= _HOP_KEYS:
        raise MalformedError("a hop message lacks a key or has an unknown one")
    layer, ephemeral, depth = items[b"data"], items[b"ephemeral_key"], items[b"hop_no"]
    if not (isinstance(layer, bytes) and isinstance(ephemeral, bytes) and isinstance(depth, int)):
        raise MalformedError("a hop message holds a value of the wrong type")
    if not 1 <= depth <= MAX_WRITTEN_DEPTH:
        raise MalformedError("a hop message comes from a relay, so its depth is at least 1")
    return SessionPacket(SessionPublicKey(ephemeral), _hop_cipher(items.get(b"enc_type")), layer, depth)


def _hop_cipher(name: bytes | int | None) -> Cipher:
    if name is None:
        return parse_cipher(DEFAULT_CIPHER_NAME)
    if not (isinstance(name, bytes) and name.isascii()):
        raise MalformedError("a cipher's name is ASCII")
    return parse_cipher(name.decode())
