"""Opens Session's layers and does what they ask: passes on, posts, or answers; without any socket of its own.

Whoever calls has drawn from a budget already. Spec: docs/specs/session-onion.md §4 to §9.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Protocol

import trio

from onionpath.injected import Entropy, UnixTime
from onionpath.onion.session import SessionOnion
from onionpath.onion.session_answers import MAX_BODY_SIZE, HopAnswer
from onionpath.onion.session_lsrpc import LsrpcServer
from onionpath.onion.session_messages import encode_hop_message
from onionpath.onion.session_packets import (
    ForwardToRelay,
    ForwardToServer,
    SessionHopKey,
    SessionReply,
    SessionServe,
)
from onionpath.onion.session_refusals import (
    Decision,
    Refusal,
    Refuse,
    decide_hop_message,
    decide_post,
    refuse,
)
from onionpath.service.calls import ServiceId
from relay.peers import AsksPeers
from relay.session.destination import Destination
from relay.session.layer_memory import LayerMemory
from relay.session.next_relay import answer_of

NEXT_RELAY_TIMEOUT_S = 30.0  # as the original waits
DESTINATION_TIMEOUT_S = 25.0  # so that the relay that has most to say speaks first
MAX_REPLY_SIZE = 7_800_000  # bytes: what the original's storage gives at most


class PostsToServers(Protocol):
    """An exit for requests to servers."""

    async def post(self, server: LsrpcServer, posted: bytes) -> HopAnswer:
        """The server's status and body as they are, or a refusal."""
        ...


class Onions:
    """What one relay does with Session's layers, however they came.

    Args:
        key: this relay's.
        memory: shared by everything that opens layers.
        exit_: None for a relay that posts to no servers.
        clock: Unix time that never goes back.
    """

    def __init__(
        self,
        key: SessionHopKey,
        memory: LayerMemory,
        *,
        peers: AsksPeers,
        destination: Destination,
        exit_: PostsToServers | None,
        entropy: Entropy,
        clock: Callable[[], UnixTime],
    ) -> None:
        self._onion = SessionOnion()
        self._key = key
        self._memory = memory
        self._peers = peers
        self._destination = destination
        self._exit = exit_
        self._entropy = entropy
        self._clock = clock
        self.failed: Counter[str] = Counter()  # exceptions of the destination by class; each is a bug

    async def answer_post(self, body: bytes) -> HopAnswer:
        """Answer what a client has posted."""
        return await self._answer(lambda: decide_post(self._onion, body, self._key))

    async def answer_hop_message(self, message: bytes) -> HopAnswer:
        """Answer what another relay has passed on."""
        return await self._answer(lambda: decide_hop_message(self._onion, message, self._key))

    async def answer_call(self, request: bytes) -> SessionReply:
        """Ask the destination itself, whatever becomes of it."""
        try:
            with trio.move_on_after(DESTINATION_TIMEOUT_S):
                return await self._destination.answer(request, max_reply=MAX_REPLY_SIZE)
        except Exception as error:
            # A bug of one method must end neither the connection nor the relay.
            self.failed[type(error).__name__] += 1
            return SessionReply(500, b"request failed")
        return SessionReply(504, b"Request time out")

    async def _answer(self, decide: Callable[[], Decision]) -> HopAnswer:
        not_ready = self._memory.refusal(self._clock())
        decision = not_ready or self._memory.admit(decide(), self._clock())
        match decision:
            case Refuse():
                return _refused(decision)
            case ForwardToRelay():
                return await self._forward(decision)
            case ForwardToServer(server, posted, _):
                return await self._post(server, posted)
            case SessionServe():
                return await self._serve(decision)

    async def _forward(self, forward: ForwardToRelay) -> HopAnswer:
        message = encode_hop_message(forward.packet)
        heard = await self._peers.ask(
            forward.next_relay, ServiceId.SESSION, message, timeout_s=NEXT_RELAY_TIMEOUT_S
        )
        return answer_of(forward.next_relay, heard)

    async def _post(self, server: LsrpcServer, posted: bytes) -> HopAnswer:
        if self._exit is None:
            return _refused(refuse(Refusal.SERVER_UNREACHABLE))
        return await self._exit.post(server, posted)

    async def _serve(self, serve: SessionServe) -> HopAnswer:
        reply = await self.answer_call(serve.body)
        sealed = self._onion.seal_reply(serve.reply_key, reply, entropy=self._entropy)
        if len(sealed) > MAX_BODY_SIZE:
            # Quotation marks double in a text within a text, so that the bound of a reply does not bound this.
            return _refused(refuse(Refusal.NEXT_MALFORMED))
        return HopAnswer(200, sealed)


def _refused(refused: Refuse) -> HopAnswer:
    return HopAnswer(refused.status, refused.body)
