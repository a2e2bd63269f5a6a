"""A refusal in words: which hop refused, and what. The names are those of docs/specs/onion-native.md §5."""

from __future__ import annotations

from onionpath.errors import RefusedError
from onionpath.onion.packets import Answer
from onionpath.onion.statuses import Reason

_WORDS: dict[Reason, str] = {
    Reason.SERVICE_UNKNOWN: "it does not offer this service",
    Reason.WRONG_DEPTH: "it offers this service only as the last relay of a path",
    Reason.SERVICE_BUSY: "the service has more calls than it takes",
    Reason.SERVICE_TIMED_OUT: "the service took too long",
    Reason.SERVICE_FAILED: "the service failed",
    Reason.BAD_CALL: "the call is not of the service's form",
    Reason.HOP_BUSY: "it sheds load",
    Reason.CALL_UNKNOWN: "it may have carried out this call before it was restarted",
}

_STREAM_WORDS: dict[Reason, str] = {
    Reason.PORT_REFUSED: "the exit's policy does not allow port {port}",
    Reason.ADDRESS_FORBIDDEN: "the exit refuses {host}: it leads to an address that no exit may reach",
    Reason.NAME_NOT_FOUND: "the exit cannot resolve {host}",
    Reason.NAME_TIMED_OUT: "the exit got no answer when it resolved {host}",
    Reason.CONNECTION_REFUSED: "{host} refuses connections on port {port}",
    Reason.CONNECTION_TIMED_OUT: "{host} does not answer on port {port}",
    Reason.STREAM_UNKNOWN: "the exit no longer knows this stream",
    Reason.STREAM_LIMIT: "a limit of the exit is reached: its streams, connections to {host}, a stream's life or bytes",
}


def refusal(answer: Answer) -> RefusedError:
    """The error for an answer that is a refusal."""
    return _error(answer, _WORDS.get(answer.head.reason))


def stream_refusal(answer: Answer, host: str, port: int) -> RefusedError:
    """The same for a stream to this host and port."""
    words = _STREAM_WORDS.get(answer.head.reason, _WORDS.get(answer.head.reason))
    return _error(answer, words and words.format(host=host, port=port))


def _error(answer: Answer, words: str | None) -> RefusedError:
    reason = answer.head.reason.name.lower()
    return RefusedError(f"hop {answer.hop + 1}: {words or reason}", reason=reason, hop=answer.hop)
