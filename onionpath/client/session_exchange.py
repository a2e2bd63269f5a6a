"""One onion of Session's over one path, and what the HTTP response that comes back means; no waiting.

Nothing but the one sealed reply is authenticated: whatever else comes may be anybody's on the path. It accuses no
relay and no edge. What can be told, and what cannot: docs/specs/paths.md §6.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from onionpath.client.http_exchange import HttpResponse
from onionpath.errors import BadLayerError, Edge, UnreachableError
from onionpath.injected import Entropy
from onionpath.onion.session import SessionOnion
from onionpath.onion.session_messages import encode_post
from onionpath.onion.session_packets import ServerCall, SessionCall, SessionHop, SessionOpener, SessionReply
from onionpath.onion.session_refusals import Refusal, read_hint
from onionpath.onion.session_v4 import V4Response
from onionpath.onion.statuses import Reason

OK = 200


@dataclass(frozen=True, slots=True)
class SessionAnswer:
    """See ``PathAnswer``.

    Args:
        hop: index of the last relay: the one that answered, or behind which the server did.
        reply: as it was opened.
    """

    hop: int
    reply: SessionReply | V4Response = field(repr=False)
    # The format has no place for what relays could say of themselves.
    held_s: float = 0.0
    lying_edge: Edge | None = None
    reason: Reason = Reason.NONE


@dataclass(frozen=True, slots=True)
class SessionExchange:
    """Made by ``begin``; of use once, as its packet is.

    Args:
        body: to post to the first relay.
    """

    body: bytes = field(repr=False)
    _onion: SessionOnion
    _opener: SessionOpener
    _last_hop: int

    @classmethod
    def begin(
        cls,
        onion: SessionOnion,
        hops: Sequence[SessionHop],
        call: SessionCall | ServerCall,
        *,
        entropy: Entropy,
    ) -> SessionExchange:
        """Seal a call for a path; see ``SessionOnion.wrap``."""
        wrapped = onion.wrap(hops, call, entropy=entropy)
        return cls(encode_post(wrapped.packet), onion, wrapped.opener, len(hops) - 1)

    def judge(self, response: HttpResponse) -> SessionAnswer:
        """What the relay or server that was asked has answered; its status is whoever called's to read.

        Raises:
            UnreachableError: the call, or its reply, got lost somewhere.
            MalformedError: whoever was asked wrote something else than a reply.
        """
        if response.status != OK:
            raise UnreachableError(_words(response))
        try:
            return SessionAnswer(self._last_hop, self._onion.open_reply(self._opener, response.body))
        except BadLayerError as error:
            message = (
                "the reply does not open: a relay of the path has damaged it, or put another in its place"
            )
            raise UnreachableError(message) from error


def _words(response: HttpResponse) -> str:
    hint = read_hint(response.status, response.body)
    what = f"status {response.status}" if hint is None else _HINT_WORDS[hint.refusal]
    return f"a relay of the path refused, and nobody can tell which: {what}"


_HINT_WORDS = {
    Refusal.UNREADABLE: "a layer could not be read",
    Refusal.PATH_TOO_LONG: "too many layers",
    Refusal.TOO_LARGE: "the packet is too large",
    Refusal.NEXT_MALFORMED: "the next relay answered nonsense",
    Refusal.NEXT_UNKNOWN: "the next relay is not known",
    Refusal.SERVER_UNREACHABLE: "the server could not be reached, or the exit's rules forbid it",
    Refusal.BUSY: "it sheds load",
    Refusal.NOT_READY: "the next relay is not ready",
    Refusal.NEXT_TIMED_OUT: "no answer of the next relay in time",
    Refusal.SERVER_TIMED_OUT: "no answer of the server in time",
}
