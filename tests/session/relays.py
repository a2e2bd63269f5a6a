"""Relays that serve Session's format, with everything but sockets and links: asking the next one is a call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from onionpath.crypto.identity import RelayId
from onionpath.crypto.tags import TagKey
from onionpath.injected import UnixTime
from onionpath.onion.replay import MemoryTables, ReplayMemory
from onionpath.onion.session_answers import HopAnswer
from onionpath.onion.session_lsrpc import LsrpcServer
from onionpath.onion.session_packets import SessionReply
from onionpath.onion.statuses import Reason
from onionpath.swarm.nodes import Roster
from relay.peers import PeerService
from relay.session.budget import Budget, BudgetLimits
from relay.session.destination import Destination
from relay.session.hop_messages import HopMessages
from relay.session.layer_memory import LayerMemory
from relay.session.onions import Onions
from relay.session.requests import Requests
from tests.onion.session_paths import entropy, hop_key

SLOT_S = 300
NOW = UnixTime(1_700_000_000.0)
PLENTY = BudgetLimits(source_per_second=1e6, source_burst=1e6, per_second=1e6, burst=1e6)


class Clock:
    """A clock that stands until it is set."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> UnixTime:
        return self.now


class Neighbours:
    """Every relay reaches every other one; what was asked is kept."""

    def __init__(self) -> None:
        self.services: dict[RelayId, PeerService] = {}
        self.reasons: dict[RelayId, Reason] = {}
        self.answers: dict[RelayId, bytes] = {}
        self.asked: list[RelayId] = []

    async def ask(self, relay: RelayId, service: int, body: bytes, *, timeout_s: float) -> bytes | Reason:
        self.asked.append(relay)
        if relay in self.reasons:
            return self.reasons[relay]
        if relay in self.answers:
            return self.answers[relay]
        if relay not in self.services:
            return Reason.NEXT_UNKNOWN
        return await self.services[relay].answer(hop_key(0).relay_id, body)


class Echo:
    """A destination that tells what it was asked."""

    async def answer(self, request: bytes, *, max_reply: int) -> SessionReply:
        return SessionReply(200, b"asked: " + request)


@dataclass
class Exit:
    """An exit that notes whom it was to post to."""

    answer: HopAnswer = field(default_factory=lambda: HopAnswer(207, b"from the server"))
    posted: list[tuple[LsrpcServer, bytes]] = field(default_factory=list)

    async def post(self, server: LsrpcServer, posted: bytes) -> HopAnswer:
        self.posted.append((server, posted))
        return self.answer


@dataclass(frozen=True)
class SessionRelay:
    """One relay's parts."""

    onions: Onions
    requests: Requests
    hop_messages: HopMessages


@dataclass
class World:
    """Relays 0 to ``relays`` - 1, of the keys that ``session_paths`` gives them."""

    relays: int = 4
    destination: Destination = field(default_factory=Echo)
    exit_: Exit | None = None
    clients: BudgetLimits = PLENTY
    peers: BudgetLimits = PLENTY
    tables: Mapping[int, MemoryTables] = field(default_factory=dict)
    roster: Callable[[], Roster | None] = lambda: None

    def __post_init__(self) -> None:
        self.clock = Clock()
        self.neighbours = Neighbours()
        self.all = [self._build(number) for number in range(self.relays)]
        for number, relay in enumerate(self.all):
            self.neighbours.services[hop_key(number).relay_id] = relay.hop_messages

    @property
    def guard(self) -> SessionRelay:
        """Relay 0."""
        return self.all[0]

    def _build(self, number: int) -> SessionRelay:
        key = hop_key(number)
        tables = self.tables.get(number) or MemoryTables()
        memory = ReplayMemory(tables, TagKey(bytes(32)), slot_s=SLOT_S)
        onions = Onions(
            key,
            LayerMemory(memory, slot_s=SLOT_S, ours=key.relay_id),
            peers=self.neighbours,
            destination=self.destination,
            exit_=self.exit_,
            entropy=entropy(number),
            clock=self.clock,
        )
        requests = Requests(
            onions,
            Budget(self.clients, now=NOW),
            relay_id=key.relay_id,
            roster=self.roster,
            clock=self.clock,
        )
        return SessionRelay(
            onions, requests, HopMessages(onions, Budget(self.peers, now=NOW), clock=self.clock)
        )
