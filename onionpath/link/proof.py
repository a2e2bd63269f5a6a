"""How a relay that calls proves to the relay it called who it is.

TLS has already shown the caller whom it reached: the answering side's key hash stands in its signed descriptor. The
caller has no certificate, so it claims an identity and signs the other side's nonce together with both identities
and the answering side's TLS key. A relay in the middle cannot pass such a proof on: it names the relay it is for.

Spec: docs/specs/link.md §4.
"""

from __future__ import annotations

from typing import NamedTuple

from onionpath.crypto.identity import PUBLIC_SIZE, IdentityKey, RelayId, is_signed_by, parse_relay_id
from onionpath.errors import MalformedError
from onionpath.link.faults import Fault, FaultyPeerError

NONCE_SIZE = 32
CLAIM_SIZE = PUBLIC_SIZE + NONCE_SIZE
_LABEL = b"onionpath/1 link proof"


class Claim(NamedTuple):
    """Who the caller says it is, and its part of the freshness."""

    relay_id: RelayId
    nonce: bytes

    def encode(self) -> bytes:
        """64 bytes: relay id, nonce."""
        return self.relay_id + self.nonce

    @classmethod
    def decode(cls, body: bytes) -> Claim:
        """Read a CLAIM frame's body.

        Raises:
            FaultyPeerError: the relay id is no usable key, or the body has another length.
        """
        # Only fixed lengths keep the fields of the signed message apart.
        if len(body) != CLAIM_SIZE:
            raise FaultyPeerError(Fault.CLAIM_LENGTH)
        try:
            relay_id = parse_relay_id(bytes(body[:32]))
        except MalformedError as error:
            raise FaultyPeerError(Fault.CLAIM_KEY) from error
        return cls(relay_id, bytes(body[32:]))


class Parties(NamedTuple):
    """What both sides know when the proof is made and checked."""

    network_id: bytes
    caller: RelayId
    answerer: RelayId
    answerer_key_hash: bytes
    caller_nonce: bytes
    answerer_nonce: bytes

    def message(self) -> bytes:
        """The bytes that the caller signs; every field has a fixed length."""
        return _LABEL + b"".join(self)


def sign_proof(parties: Parties, key: IdentityKey) -> bytes:
    """The caller's signature, 64 bytes."""
    return key.sign(parties.message())


def check_proof(parties: Parties, signature: bytes) -> None:
    """Accept the caller's claim, or raise.

    Raises:
        FaultyPeerError: the signature is not the claimed relay's over these parties.
    """
    if not is_signed_by(parties.caller, signature, parties.message()):
        raise FaultyPeerError(Fault.PROOF_WRONG)
