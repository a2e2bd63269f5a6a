"""One relay's machine: a member, its store, a clock that may be wrong, and everything that can happen to them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

from onionpath.crypto.identity import IdentityKey, RelayId
from onionpath.onion.session_packets import SessionReply
from onionpath.swarm.nodes import Roster
from relay.store.inline import UNLIMITED_SIZE, InlineStore
from relay.store.replica.layout import Layout
from relay.store.replica.member import Member
from relay.store.replica.steps import AnswerClient, AnswerMember, Apply, Ask, Do, FetchDocument, Pause, Step
from simulations.virtual.heap import Process

if TYPE_CHECKING:
    from simulations.virtual.swarm.world import World

TICK_EVERY_S = 1.0
FULL_DISK_SIZE = 0
USUAL_COMMIT_S, SLOW_COMMIT_S = 0.005, 1.0  # at most
MAX_REPLY = 10 * 1024 * 1024


@dataclass
class Known:
    """What a machine has on disk beside its store: the newest document."""

    layout: Layout
    roster: Roster


class Machine:
    """See above. A killed one keeps its disk; ``lose_disk`` takes that, too."""

    def __init__(self, world: World, identity: IdentityKey, choice: Random) -> None:
        self.identity = identity
        self.name: RelayId = identity.relay_id
        self.skew_s = 0.0
        self.is_disk_full = False
        self.slowest_s = USUAL_COMMIT_S
        self.is_up = False
        self.known: Known | None = None
        self._world = world
        self._choice = choice
        self._life = 0
        self._numbers = 0
        self._replies: dict[int, Callable[[SessionReply], None]] = {}
        self._answers: dict[int, Callable[[bytes], None]] = {}
        self._store_free_at = 0.0
        self.store = self._new_store()
        self.process = Process(world.heap)
        self.member = self._new_member()

    # What happens to it.

    def start(self) -> None:
        """Begin to live, with what is on the disk."""
        self._life += 1
        self.is_up = True
        self.process = Process(self._world.heap)
        self.member = self._new_member()
        self._replies.clear()
        self._answers.clear()
        if self.known is not None:
            self._carry_out(self.member.use(self.known.layout, self.known.roster, now_ms=self.now_ms))
        self._tick(self._life)

    def kill(self) -> None:
        """Stop at once; what was committed stays."""
        self._life += 1
        self.is_up = False
        self._store_free_at = 0.0

    def lose_disk(self) -> None:
        """The store is damaged beyond repair, and begins anew."""
        was_up = self.is_up
        self.kill()
        self.store.close()
        self.store = self._new_store()
        if was_up:
            self.start()

    @property
    def now_ms(self) -> int:
        """By its own clock."""
        return int((self._world.heap.now + self.skew_s) * 1000)

    # What it is told.

    def learn(self, known: Known) -> None:
        """It has fetched a document."""
        if self.known is None or known.layout.number > self.known.layout.number:
            self.known = known
            if self.is_up:
                self._carry_out(self.member.use(known.layout, known.roster, now_ms=self.now_ms))

    def request(self, text: bytes, on_reply: Callable[[SessionReply], None]) -> None:
        """A client asks."""
        if self.is_up:
            self._numbers += 1
            self._replies[self._numbers] = on_reply
            steps = self.member.request(self._numbers, text, max_reply=MAX_REPLY, now_ms=self.now_ms)
            self._carry_out(steps)

    def question(self, relay: RelayId, body: bytes, on_answer: Callable[[bytes], None]) -> None:
        """Another member asks."""
        if self.is_up:
            self._numbers += 1
            self._answers[self._numbers] = on_answer
            self._carry_out(self.member.question(self._numbers, relay, body, now_ms=self.now_ms))

    # What it does.

    def _carry_out(self, steps: tuple[Step, ...]) -> None:
        for step in steps:
            match step:
                case Do(ticket, Apply(operations)):
                    self._apply(ticket, operations)
                case Do(ticket, Ask() as ask):
                    self._world.ask(self, ask, self._later(ticket))
                case Do(ticket, Pause(seconds)):
                    self.process.after(seconds, self._later(ticket), None)
                case AnswerClient(number, reply):
                    self._replies.pop(number)(reply)
                case AnswerMember(number, body):
                    self._answers.pop(number)(body)
                case FetchDocument():
                    self._world.fetch(self)

    def _apply(self, ticket: int, operations: tuple[object, ...]) -> None:
        """One writer, which takes its time; the answer comes after the commit, and may never come."""
        heap = self._world.heap
        begins = max(heap.now, self._store_free_at)
        self._store_free_at = begins + self._choice.uniform(0.0, self.slowest_s)
        self.process.at(self._store_free_at, self._commit, self._life, ticket, operations)

    def _commit(self, life: int, ticket: int, operations: tuple[object, ...]) -> None:
        if life == self._life:
            results = self.store.apply(operations, now_ms=self.now_ms)  # type: ignore[arg-type]
            self.process.after(0.0005, self._later(ticket), results)

    def _later(self, ticket: int) -> Callable[[Any], None]:
        """Gives the member a result, if it still lives."""
        life = self._life

        def done(result: Any) -> None:
            if life == self._life:
                self._carry_out(self.member.done(ticket, result, now_ms=self.now_ms))

        return done

    def _tick(self, life: int) -> None:
        if life == self._life:
            self._carry_out(self.member.tick(now_ms=self.now_ms))
            self.process.after(TICK_EVERY_S, self._tick, life)

    def _new_member(self) -> Member:
        return Member(self.identity, Random(self._choice.random()))

    def _new_store(self) -> InlineStore:
        return InlineStore(disk_free_size=lambda: FULL_DISK_SIZE if self.is_disk_full else UNLIMITED_SIZE)
