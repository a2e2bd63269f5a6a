"""What relays ask each other over their links, without an onion, on trio: who asks, and who is asked.

    peers = Peers(links, geometry, entropy=os.urandom)
    await peers.ask(relay, ServiceId.REPLICA, body, timeout_s=10)

    services[ServiceId.REPLICA] = PeerCalls(service, nursery)        # on the other side, service is a PeerService

Spec: docs/specs/link.md §9.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import trio

from onionpath.crypto.identity import RelayId
from onionpath.errors import MalformedError
from onionpath.injected import Entropy
from onionpath.onion.geometry import Geometry
from onionpath.onion.statuses import Reason
from onionpath.service.calls import Call, Limits, Reply
from onionpath.service.long_call_parts import MOST_BYTES, Asked, State, Told, Verb, encode_told, parse_asked
from onionpath.service.transfers import LIFE_S, POLL_S, Begin, Ended, Outcome, Taken, Transfer, Transfers
from relay.conversations import Asker, Conversations

# Of calls, most of which wait for a service that works; their bytes are bounded by ``Transfers``.
LIMITS = Limits(concurrent=4_096, has_effects=False, relays_only=True)


class AsksPeers(Protocol):
    """Whoever can ask another relay; ``Peers`` does it over the links of this relay."""

    async def ask(self, relay: RelayId, service: int, body: bytes, *, timeout_s: float) -> bytes | Reason:
        """Ask a relay of the newest document, and wait for its answer for so long.

        Args:
            service: its number on the wire, a ``ServiceId`` that is for relays only.
            body: up to ``MOST_BYTES`` bytes; the answer has as many at most.

        Returns:
            The answer, or why there is none: the peer's own reason, or ``NEXT_…`` if it could not be asked. Only
            ``NEXT_UNKNOWN`` and ``NEXT_UNREACHABLE`` say that the peer did not act on it.

        Raises:
            UsageError: the body is too long.
        """
        ...


class PeerService(Protocol):
    """What another relay may ask of us, and nobody else."""

    async def answer(self, peer: RelayId, body: bytes) -> bytes | Reason:
        """Answer a relay that has proven itself, with ``MOST_BYTES`` bytes at most, or refuse by value.

        It is cancelled when the peer gives up, or after the time that a transfer has. Raising is a bug, which is
        answered as ``SERVICE_FAILED`` and counted.
        """
        ...


class Peers:
    """The other relays, as they can be asked over the links of this one.

    Args:
        links: carries single calls.
        entropy: for names of transfers.
    """

    def __init__(self, links: Asker, geometry: Geometry, *, entropy: Entropy) -> None:
        self._conversations = Conversations(links, geometry, entropy=entropy)

    async def ask(self, relay: RelayId, service: int, body: bytes, *, timeout_s: float) -> bytes | Reason:
        """See ``AsksPeers.ask``. Whoever is cancelled here has the peer's work on it cancelled."""
        heard = _Heard()
        conversation = self._conversations.begin(relay, service, body, timeout_s=timeout_s, told=heard.take)
        try:
            with trio.move_on_after(timeout_s):
                await heard.event.wait()
        finally:
            self._conversations.end(conversation)
        return heard.result


@dataclass(slots=True)
class _Heard:
    """What is waited for, and what came of it."""

    event: trio.Event = field(default_factory=trio.Event)
    result: bytes | Reason = Reason.NEXT_TIMED_OUT

    def take(self, result: bytes | Reason) -> None:
        self.result = result
        self.event.set()


@dataclass(slots=True)
class _Life:
    """A transfer's time: its task ends when the scope is cancelled, or its deadline comes."""

    scope: trio.CancelScope
    complete: trio.Event = field(default_factory=trio.Event)
    answered: trio.Event = field(default_factory=trio.Event)
    _request: bytes = b""

    def begin(self, request: bytes) -> None:
        """Let the service have this request."""
        self._request = request
        self.complete.set()

    def take_request(self) -> bytes:
        """The request, once: it may be large, and only the service needs it."""
        request, self._request = self._request, b""
        return request


class PeerCalls:
    """The service of a registry that takes long calls from relays and has a ``PeerService`` answer them.

    Args:
        service: answers whole requests.
        nursery: where transfers live; cancelling it ends them.
        transfers: what may be held.
        life_s: how long a transfer may last.
    """

    def __init__(
        self,
        service: PeerService,
        nursery: trio.Nursery,
        *,
        limits: Limits = LIMITS,
        transfers: Transfers | None = None,
        life_s: float = LIFE_S,
    ) -> None:
        self._service = service
        self._nursery = nursery
        self._limits = limits
        # Who asks shall hear that we still work before the call's own time is over.
        self._poll_s = min(POLL_S, limits.timeout_s / 2)
        self._transfers = Transfers() if transfers is None else transfers
        self._life_s = life_s
        self._lives: dict[Transfer, _Life] = {}
        self._failed: Counter[str] = Counter()

    @property
    def limits(self) -> Limits:
        """Callable by relays that ask for themselves."""
        return self._limits

    @property
    def failed(self) -> Mapping[str, int]:
        """Exceptions of the service by class name; each is a bug."""
        return dict(self._failed)

    async def answer(self, call: Call) -> Reply:
        """Take one part."""
        if call.peer is None:
            return Reply.refused(Reason.WRONG_DEPTH)
        try:
            asked = parse_asked(call.body)
        except MalformedError:
            return Reply.refused(Reason.BAD_CALL)
        told = await self._tell(call, asked, self._transfers.take(call.peer, asked))
        return Reply.refused(told) if isinstance(told, Reason) else Reply(encode_told(told))

    async def _tell(self, call: Call, asked: Asked, outcome: Outcome | Reason) -> Told | Reason:
        match outcome:
            case Reason():
                return outcome
            case Ended():
                self._let_go(outcome.transfer)
                return Told(State.TAKEN) if outcome.reason is None else outcome.reason
            case Taken():
                self._life_of(outcome.transfer)
                return Told(State.TAKEN)
            case Begin():
                self._life_of(outcome.transfer).begin(outcome.request)
        return await self._wait(outcome.transfer, asked, call.reply_capacity)

    async def _wait(self, transfer: Transfer, asked: Asked, capacity: int) -> Told | Reason:
        life = self._life_of(transfer)
        # The rest of a reply is asked for when there is one; waiting for it would cost a turn of the scheduler.
        if not life.answered.is_set():
            with trio.move_on_after(self._poll_s):
                await life.answered.wait()
        told = self._transfers.tell(transfer, 0 if asked.verb is Verb.PUT else asked.offset, capacity)
        if transfer.is_over:
            self._let_go(transfer)
        return told

    # Lives.

    def _life_of(self, transfer: Transfer) -> _Life:
        life = self._lives.get(transfer)
        if life is None:
            scope = trio.CancelScope(deadline=trio.current_time() + self._life_s)
            life = self._lives[transfer] = _Life(scope)
            self._nursery.start_soon(self._live, transfer, life)
        return life

    def _let_go(self, transfer: Transfer | None) -> None:
        life = None if transfer is None else self._lives.get(transfer)
        if life is not None:
            life.scope.cancel()

    async def _live(self, transfer: Transfer, life: _Life) -> None:
        try:
            with life.scope:
                # An asker who has given up before this task begins has no work done: this wait is where it ends.
                await life.complete.wait()
                self._transfers.finish(transfer, await self._answered(transfer.peer, life.take_request()))
                life.answered.set()
                # What it answered is held until the asker has it.
                await trio.sleep_forever()
            self._transfers.finish(transfer, Reason.SERVICE_TIMED_OUT)
        finally:
            self._transfers.end(transfer)
            del self._lives[transfer]
            life.answered.set()

    async def _answered(self, peer: RelayId, request: bytes) -> bytes | Reason:
        try:
            reply = await self._service.answer(peer, request)
        except Exception as error:  # A service's bug must cost its asker an answer, not the relay its life.
            self._failed[type(error).__name__] += 1
            return Reason.SERVICE_FAILED
        if isinstance(reply, bytes) and len(reply) > MOST_BYTES:
            self._failed["ImpossibleReply"] += 1
            return Reason.SERVICE_FAILED
        return reply
