"""Steps of a succession that are taken offline: what is proposed, and how signatures are joined.

Spec: docs/specs/directory.md §4.4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from onionpath.directory.envelope import SignatureForm, join, open_self_signed, signatures_of
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
    payloads = {_payload(each) for each in envelopes}
    if len(payloads) != 1:
        raise MalformedError("these signatures are not over the same succession")
    signatures = {one.keyid: one for each in envelopes for one in _signatures(each)}
    return join(PAYLOAD_TYPE, payloads.pop(), [signatures[keyid] for keyid in sorted(signatures)])


def _payload(envelope: bytes) -> bytes:
    return open_self_signed(envelope, payload_type=PAYLOAD_TYPE, max_size=MAX_SUCCESSION_SIZE)[1]


def _signatures(envelope: bytes) -> tuple[SignatureForm, ...]:
    return signatures_of(envelope, payload_type=PAYLOAD_TYPE, max_size=MAX_SUCCESSION_SIZE)
