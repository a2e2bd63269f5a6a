"""Session relays with real keys, and the way of a call there and back, for the tests of Session's format."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from random import Random

from onionpath.crypto.identity import IdentityKey
from onionpath.crypto.session_channels import Cipher, SessionPrivateKey
from onionpath.onion.session import SessionOnion
from onionpath.onion.session_framing import encode_framing
from onionpath.onion.session_packets import (
    ForwardToRelay,
    SessionCall,
    SessionHop,
    SessionHopKey,
    SessionPacket,
    SessionPeeled,
    SessionWrapped,
)

ONION = SessionOnion()
QUESTION = b'{"method":"info","params":{}}'


def entropy(seed: int) -> Callable[[int], bytes]:
    return Random(seed).randbytes


@cache
def hop_key(number: int) -> SessionHopKey:
    identity = IdentityKey(hashlib.sha256(b"session identity %d" % number).digest())
    return SessionHopKey(
        identity.relay_id, SessionPrivateKey(hashlib.sha256(b"session %d" % number).digest())
    )


def hops_of(numbers: Sequence[int], cipher: Cipher = Cipher.XCHACHA20) -> list[SessionHop]:
    return [SessionHop(hop_key(each).relay_id, hop_key(each).private.public, cipher) for each in numbers]


def wrap(call: SessionCall | None = None, *, hops: int = 4, seed: int = 0) -> SessionWrapped:
    """A packet over relays 0, 1, …"""
    return ONION.wrap(hops_of(range(hops)), call or SessionCall(QUESTION), entropy=entropy(seed))


def packet_to(
    number: int, plaintext: bytes, *, cipher: Cipher = Cipher.XCHACHA20, depth: int = 0
) -> SessionPacket:
    """A layer for a relay with this plaintext, as a dishonest client could seal it."""
    ephemeral = SessionPrivateKey.generate(entropy(99))
    secret = ephemeral.secret_to(hop_key(number).private.public, cipher)
    return SessionPacket(ephemeral.public, cipher, secret.seal(plaintext, entropy=entropy(98)), depth)


def peel_fields(fields: dict[str, object], blob: bytes = b"blob", *, depth: int = 0) -> SessionPeeled:
    """What relay 0 makes of a layer with these fields."""
    return ONION.peel(packet_to(0, encode_framing(blob, fields), depth=depth), hop_key(0))


@dataclass(frozen=True)
class Walk:
    """What each relay got, and what it made of it."""

    packets: tuple[SessionPacket, ...]
    peeled: tuple[SessionPeeled, ...]


def walk(packet: SessionPacket) -> Walk:
    """Carry a packet through relays 0, 1, … until one does not pass it to a relay."""
    packets, peeled = [packet], [ONION.peel(packet, hop_key(0))]
    while isinstance(onward := peeled[-1], ForwardToRelay):
        packets.append(onward.packet)
        peeled.append(ONION.peel(onward.packet, hop_key(len(peeled))))
    return Walk(tuple(packets), tuple(peeled))
