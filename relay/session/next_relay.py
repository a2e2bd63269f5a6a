"""What the previous hop is told of the next relay's answer, or of the reason why there is none.

Spec: docs/specs/session-onion.md §8.3, §9.1 and §9.2.
"""

from __future__ import annotations

from onionpath.crypto.identity import RelayId
from onionpath.errors import MalformedError
from onionpath.onion.session_answers import HopAnswer, decode_hop_answer
from onionpath.onion.session_refusals import Refusal, passed_status, refuse
from onionpath.onion.statuses import Reason

_REFUSALS = {
    Reason.NEXT_UNKNOWN: Refusal.NEXT_UNKNOWN,
    # A relay that takes no onions of Session is none of the network that its clients know.
    Reason.SERVICE_UNKNOWN: Refusal.NEXT_UNKNOWN,
    Reason.WRONG_DEPTH: Refusal.NEXT_UNKNOWN,
    Reason.NEXT_CONGESTED: Refusal.BUSY,
    Reason.SERVICE_BUSY: Refusal.BUSY,
    Reason.HOP_BUSY: Refusal.BUSY,
    Reason.NEXT_MALFORMED: Refusal.NEXT_MALFORMED,
    Reason.BAD_CALL: Refusal.NEXT_MALFORMED,
    Reason.SERVICE_FAILED: Refusal.NEXT_MALFORMED,
}


def answer_of(next_relay: RelayId, heard: bytes | Reason) -> HopAnswer:
    """What to answer when the next relay was asked and this came of it."""
    if isinstance(heard, Reason):
        return _refused(_REFUSALS.get(heard, Refusal.NEXT_TIMED_OUT), next_relay)
    try:
        answer = decode_hop_answer(heard)
    except MalformedError:
        return _refused(Refusal.NEXT_MALFORMED, next_relay)
    return HopAnswer(passed_status(answer.status), answer.body)


def _refused(refusal: Refusal, next_relay: RelayId) -> HopAnswer:
    refused = refuse(refusal, named=next_relay if refusal is Refusal.NEXT_UNKNOWN else None)
    return HopAnswer(refused.status, refused.body)
