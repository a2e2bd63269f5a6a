"""Steps of a succession that are taken offline: what is proposed, and how signatures are joined.

Spec: docs/specs/directory.md §4.4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce

from onionpath.directory.countersigned import Countersigned, open_countersigned
from onionpath.directory.envelope import open_self_signed
from onionpath.directory.succession import MAX_SUCCESSION_SIZE, PAYLOAD_TYPE
from onionpath.directory.trust import Authority, TrustRoot
from onionpath.errors import MalformedError


def propose(before: TrustRoot, authorities: Sequence[Authority], threshold: int) -> TrustRoot:
    """The next version of a trust root, with these authorities.

    Raises:
        MalformedError: the threshold is no majority, or two authorities share something.
    """
    return replace(before, authorities=tuple(authorities), threshold=threshold, version=before.version + 1)


def join_signatures(envelopes: Sequence[bytes]) -> bytes:
    """The succession with the signatures of all these, each of which has one; whether they suffice is not checked.

    Raises:
        MalformedError: one is none, or they are not of the same succession.
        SignatureThresholdError: a signature is wrong.
    """
    signed = [_open(each) for each in envelopes]
    if len({each.payload for each in signed}) != 1:
        raise MalformedError("these signatures are not over the same succession")
    return reduce(Countersigned.merged, signed).encode()


def _open(envelope: bytes) -> Countersigned:
    signer, _ = open_self_signed(envelope, payload_type=PAYLOAD_TYPE, max_size=MAX_SUCCESSION_SIZE)
    return open_countersigned(
        envelope, payload_type=PAYLOAD_TYPE, signers=[signer], max_size=MAX_SUCCESSION_SIZE
    )
