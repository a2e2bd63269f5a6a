"""How two relays get to know each other over a new link: which frame follows which, and what it proves.

    our side                we called             they called
    -----------------------------------------------------------------------
    CLAIMING / OPEN         sends CLAIM           CLAIM comes, sends CHALLENGE
    CLAIMING / CLAIMED      CHALLENGE comes,      PROOF comes
                            sends PROOF
    PROVEN                  done                  done

Anything else ends the link. Spec: docs/specs/link.md §4.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from onionpath.crypto.identity import IdentityKey, RelayId
from onionpath.injected import Entropy
from onionpath.link.faults import Fault, FaultyPeerError
from onionpath.link.frames import Frame, Kind
from onionpath.link.proof import NONCE_SIZE, Claim, Parties, check_proof, sign_proof
from relay.link import Link, LinkState


class Greeting(NamedTuple):
    """What follows: a frame to send, and the relay that is known from now on."""

    kind: Kind | None = None
    body: bytes = b""
    known: RelayId | None = None


class Acquaintance:
    """One relay's part in it.

    Args:
        identity: who we are.
        network_id: 32 bytes.
        link_key_hash: of our own TLS certificate, which callers prove themselves against.
        entropy: for nonces.
    """

    def __init__(
        self, identity: IdentityKey, *, network_id: bytes, link_key_hash: bytes, entropy: Entropy
    ) -> None:
        self._identity = identity
        self._network_id = network_id
        self._link_key_hash = link_key_hash
        self._entropy = entropy

    def begin(self, link: Link) -> Greeting:
        """We called: say who we are."""
        link.our_nonce = self._entropy(NONCE_SIZE)
        return Greeting(Kind.CLAIM, Claim(self._identity.relay_id, link.our_nonce).encode())

    def take(self, link: Link, frame: Frame, key_hashes: Mapping[RelayId, bytes]) -> Greeting:
        """Take the next frame of it; may change the link's state up to, and not including, PROVEN.

        Args:
            key_hashes: the relays of the newest document, each with the hash of its link key.

        Raises:
            FaultyPeerError: wrong, unknown, or out of order.
        """
        match (frame.kind, link.state):
            case (Kind.CLAIM, LinkState.OPEN):
                link.claim = Claim.decode(bytes(frame.body))
                link.our_nonce = self._entropy(NONCE_SIZE)
                link.state = LinkState.CLAIMED
                return Greeting(Kind.CHALLENGE, link.our_nonce)
            case (Kind.CHALLENGE, LinkState.CLAIMING) if link.peer is not None:
                return self._prove(link, link.peer, bytes(frame.body), key_hashes)
            case (Kind.PROOF, LinkState.CLAIMED) if link.claim is not None:
                return self._check(link, link.claim, bytes(frame.body), key_hashes)
            case _:
                raise FaultyPeerError(Fault.PROOF_OUT_OF_ORDER)

    def _prove(
        self, link: Link, peer: RelayId, their_nonce: bytes, key_hashes: Mapping[RelayId, bytes]
    ) -> Greeting:
        if peer not in key_hashes:
            raise FaultyPeerError(Fault.PEER_LEFT_NETWORK)
        ours = self._identity.relay_id
        parties = Parties(self._network_id, ours, peer, key_hashes[peer], link.our_nonce, their_nonce)
        return Greeting(Kind.PROOF, sign_proof(parties, self._identity), peer)

    def _check(
        self, link: Link, claim: Claim, signature: bytes, key_hashes: Mapping[RelayId, bytes]
    ) -> Greeting:
        caller, ours = claim.relay_id, self._identity.relay_id
        if caller not in key_hashes or caller == ours:
            raise FaultyPeerError(Fault.PROOF_UNKNOWN_RELAY)
        parties = Parties(self._network_id, caller, ours, self._link_key_hash, claim.nonce, link.our_nonce)
        check_proof(parties, signature)
        return Greeting(known=caller)
