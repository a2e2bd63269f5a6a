"""Authorities in virtual time: an event heap, visits question by question, disks, liars, partitions.

What honest authorities show to anybody is recorded, and ``check_safety`` looks whether they ever said two things.
"""

from __future__ import annotations

import heapq
import itertools
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from random import Random

from onionpath.crypto.identity import IdentityKey
from onionpath.directory.countersigned import open_countersigned
from onionpath.directory.descriptor import descriptor_digest, sign_descriptor
from onionpath.directory.document import Document, UnverifiedDocument
from onionpath.directory.evidence import Evidence
from onionpath.directory.trust import TrustRoot
from onionpath.directory.vote import MAX_VOTE_SIZE, VOTE_TYPE, Opening, Vote, decode_vote, sign_vote
from onionpath.errors import DirectoryError, MalformedError
from onionpath.injected import UnixTime
from relay.authority.actions import Actions
from relay.authority.agreement import Agreement
from relay.authority.ballots import Ballot, Choice, ballot_digest
from relay.authority.bulletin import Bulletin, decode_bulletin
from relay.authority.roll import Known
from relay.authority.rounds import Rounds
from relay.authority.visit import Kind, Outcome, Reply, Taken, Visit, answer, decode_question
from tests.directory.networks import NOW, PERIOD_S, authority_keys, descriptor, identity, network, root

ROOM = 16 * 1024
FIRST = int(NOW / PERIOD_S + 0.5)  # the number that is voted on first
RECOVERY = Opening(FIRST, int(NOW))


@lru_cache(maxsize=64)
def known(name: int, version: str = "0.1") -> Known:
    value = descriptor(name, version=version, published_at=UnixTime(NOW + len(version)))
    return Known(sign_descriptor(value, identity(name)), value)


@lru_cache(maxsize=16)
def genesis(count: int, threshold: int) -> Document:
    """The document before the first that is voted on."""
    keys, trust = authority_keys(count)[:threshold], root(count, threshold)
    return UnverifiedDocument(network(keys=keys, number=FIRST - 1).envelope).authenticate(trust)


def ballot_of(*descriptors: Known, capacity: int = 0) -> Ballot:
    return Ballot(
        {one.descriptor.relay_id: Choice(descriptor_digest(one.envelope), capacity) for one in descriptors}
    )


class Authority:
    """An honest one: its agreement, its disk, its clock, and which others it reaches."""

    def __init__(self, world: World, index: int) -> None:
        self.world, self.index = world, index
        self.key = world.keys[index]
        self.skew_s = world.random.uniform(-0.05, 0.05) * world.round_s
        self.disk: bytes | None = None
        self.agreement: Agreement | None = None
        self.documents: dict[int, Document] = {}
        self.evidence: list[Evidence] = []
        self.boot()

    def boot(self) -> None:
        self.agreement = self.awake(self.disk)
        self.taken: dict[int, Taken | None] = {}

    def awake(self, disk: bytes | None) -> Agreement:
        world = self.world
        return Agreement(
            identity=self.key,
            root=world.root,
            newest=world.genesis,
            state=disk,
            entropy=world.random.randbytes,
        )

    def crash(self) -> None:
        self.agreement = None

    @property
    def now(self) -> UnixTime:
        return UnixTime(self.world.now + self.skew_s)

    def ballot(self) -> tuple[Ballot, list[Known]]:
        """All see four relays; one of them has just published, and not everybody has it yet."""
        seen = [known(name, "0.2" if name == 0 and self.index % 2 else "0.1") for name in range(4)]
        return ballot_of(*seen, capacity=1000 + self.index), seen

    def tick(self) -> None:
        if self.agreement is None:
            return
        self.carry_out(self.agreement.tick(self.now))
        if self.agreement is not None and self.agreement.may_vote(self.now):
            self.carry_out(self.agreement.vote(*self.ballot(), self.now))

    def carry_out(self, actions: Actions) -> None:
        if actions.document is not None:
            self.documents[actions.document.number] = actions.document
        self.evidence += actions.evidence
        if actions.state is not None:
            self.store(actions.state)

    def store(self, state: bytes) -> None:
        # Crashes come before the disk has it, between disk and memory, or not at all.
        crash = (
            self.world.random.random() if self.world.crashes and self.index in self.world.crashing else 1.0
        )
        if crash > 0.1:
            self.disk = state
        if crash < 0.2:
            self.crash()
            self.world.at(0.3 * self.world.round_s, self.boot)
        elif self.agreement is not None:
            self.carry_out(self.agreement.stored(self.now))

    def answer(self, question: bytes, visitor: int) -> bytes | None:
        if self.agreement is None:
            return None
        self.world.record(self)
        return answer(self.agreement, question, room=ROOM)

    def visit(self, other: int) -> None:
        agreement = self.agreement
        if agreement is None or not self.world.connected(self.index, other):
            return
        visit = Visit(agreement, last=self.taken.get(other))
        self.world.later(lambda: self.ask(agreement, visit, other))

    def ask(self, agreement: Agreement, visit: Visit, other: int) -> None:
        question = visit.question
        if question is None:
            self.taken[other] = visit.taken
            return
        reply = self.world.authorities[other].answer(question, self.index)
        if reply is None or agreement is not self.agreement or not self.world.connected(self.index, other):
            return
        try:
            actions = visit.take(reply, self.now)
        except (MalformedError, DirectoryError):
            assert other in self.world.liars, "an honest authority was taken for a liar"
            return
        self.carry_out(actions)
        self.world.later(lambda: self.ask(agreement, visit, other))


class Liar(Authority):
    """Has two faces, shows each peer one of them, and signs with both.

    Either both faces vote, differently; or none does, and one victim is shown a vote late.
    """

    def boot(self) -> None:
        super().boot()
        self.face = self.awake(None)
        self.withheld: dict[bytes, bytes] = {}
        by_chance = Random(f"{self.world.seed} {self.index}").random() < 0.5
        self.is_late = by_chance if self.world.are_late is None else self.world.are_late

    def tick(self) -> None:
        for face, first in ((self.agreement, 0), (self.face, 2)):
            assert face is not None
            actions = face.tick(self.now)
            if face.may_vote(self.now) and not self.is_late:
                seen = [known(name) for name in range(first, first + 3)]
                actions = face.vote(ballot_of(*seen, capacity=10**9), seen, self.now)
            while actions.state is not None:
                actions = face.stored(self.now)

    def carry_out(self, actions: Actions) -> None:
        return

    def visit(self, other: int) -> None:
        super().visit(other)
        if self.world.connected(self.index, other):
            visit = Visit(self.face)
            while (question := visit.question) is not None:
                reply = self.world.authorities[other].answer(question, self.index)
                if reply is None:
                    return
                try:
                    visit.take(reply, self.now)
                except (MalformedError, DirectoryError):
                    return

    def answer(self, question: bytes, visitor: int) -> bytes | None:
        asked = decode_question(question)
        face = self.mood(visitor)
        if asked.kind is Kind.CONTENT:
            hidden = self.withheld.get(asked.digest)
            if hidden is not None:
                return Reply(Outcome.CONTENT, len(hidden), asked.digest, hidden).encode()
            return answer(face, question, room=ROOM)
        bulletin = decode_bulletin(face.bulletin())
        return self.show(replace(bulletin, votes=(*bulletin.votes, *self.late_votes(bulletin, visitor))))

    def show(self, bulletin: Bulletin) -> bytes:
        encoded = bulletin.encode()
        name = ballot_digest(encoded)
        self.withheld[name] = encoded
        return Reply(Outcome.CONTENT, len(encoded), name, encoded[: ROOM - 40]).encode()

    def mood(self, visitor: int) -> Agreement:
        assert self.agreement is not None
        moment = int(self.world.now / self.world.round_s)
        return Random(f"{self.world.seed} {self.index} {visitor} {moment}").choice(
            [self.agreement, self.face]
        )

    def late_votes(self, bulletin: Bulletin, visitor: int) -> list[bytes]:
        """One vote for one victim: first with its author's signature, some time later with all liars'."""
        choice = Random(f"{self.world.seed} {self.index} {bulletin.number}")
        count, threshold = len(self.world.authorities), self.world.root.threshold
        victim = choice.randrange(count - len(self.world.liars))
        shown = choice.uniform(1, count - threshold + 2)
        # Often right before the honest sign: what one of them takes then, the others don't see in time.
        last_moment = count - threshold + 3 - choice.uniform(0, 0.4)
        complete = choice.choice((choice.uniform(shown, last_moment), last_moment))
        begins_at = self.world.rounds.begins_at(bulletin.opening)
        now = 1 + (self.world.now - begins_at) / self.world.round_s
        if not self.is_late or not bulletin.number or visitor != victim or now < shown:
            return []
        return [self.forge(bulletin.opening, self.world.liars if now >= complete else ())]

    def forge(self, opening: Opening, countersigners: tuple[int, ...]) -> bytes:
        encoded = ballot_of(known(3)).encode()
        self.withheld[ballot_digest(encoded)] = encoded
        vote = Vote(
            network_id=self.world.root.network_id,
            root_version=self.world.root.version,
            number=opening.number,
            recovery_at=opening.recovery_at,
            author=self.key.public,
            last_number=0,
            last_digest=bytes(32),
            ballot=ballot_digest(encoded),
            salt=bytes(32),
        )
        signed = sign_vote(vote, self.key)
        for other in countersigners:
            signed = signed.signed_by(self.world.keys[other])
        return signed.encode()


class World:
    """N authorities, M of which must sign.

    Args:
        liars: how many of them lie; they are the last ones.
        are_late: whether the liars bring one vote late instead of two in time; None for some of each.
        is_new: whether there is no document yet; otherwise the one before the first is there.
        crashing: these crash now and then when they store, and come back from disk.
    """

    def __init__(
        self,
        seed: int,
        *,
        count: int,
        threshold: int,
        liars: int = 0,
        are_late: bool | None = None,
        is_new: bool = False,
        crashing: tuple[int, ...] = (),
    ) -> None:
        self.seed, self.random = seed, Random(seed)
        self.are_late = are_late
        self.root: TrustRoot = root(count, threshold)
        self.keys: list[IdentityKey] = authority_keys(count)
        self.liars = tuple(range(count - liars, count))
        self.crashing, self.crashes = crashing, bool(crashing)
        self.rounds = Rounds.of(self.root)
        self.genesis = None if is_new else genesis(count, threshold)
        self.round_s = self.rounds.round_s(RECOVERY if is_new else Opening(FIRST))
        begins_at = NOW if is_new else self.rounds.begins_at(Opening(FIRST))
        self.start = begins_at - 0.2 * self.round_s
        self.now = self.start
        self.split: frozenset[int] = frozenset()
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self.shown: defaultdict[tuple[int, Opening], set[bytes]] = defaultdict(set)
        self.drafts: defaultdict[tuple[int, int], set[bytes]] = defaultdict(set)
        self._recorded: set[bytes] = set()
        self.authorities: list[Authority] = [
            (Liar if index in self.liars else Authority)(self, index) for index in range(count)
        ]
        self.arm()

    @property
    def honest(self) -> list[Authority]:
        return [one for one in self.authorities if one.index not in self.liars]

    def connected(self, one: int, other: int) -> bool:
        return (one in self.split) == (other in self.split)

    def at(self, delay_s: float, event: Callable[[], None]) -> None:
        heapq.heappush(self._heap, (self.now + delay_s, next(self._order), event))

    def later(self, event: Callable[[], None]) -> None:
        self.at(self.random.uniform(0, 0.02) * self.round_s, event)

    def every(self, part: float, event: Callable[[], None]) -> None:
        """After each such part of a round."""

        def again() -> None:
            event()
            self.at(part * self.round_s * self.random.uniform(0.8, 1.2), again)

        self.at(part * self.round_s * self.random.random(), again)

    def recover(self) -> None:
        """Rounds are those of recovery from now on."""
        self.round_s = self.rounds.round_s(RECOVERY)
        for one in self.authorities:
            one.skew_s = self.random.uniform(-0.05, 0.05) * self.round_s
        self._heap.clear()
        self.arm()

    def arm(self) -> None:
        """Have all authorities tick and visit."""
        for one in self.authorities:
            self.every(1 / 12, one.tick)
            for other in range(len(self.authorities)):
                if other != one.index:
                    self.every(1 / 3, lambda one=one, other=other: one.visit(other))  # type: ignore[misc]

    def run_until(self, time: float) -> None:
        while self._heap and self._heap[0][0] <= time:
            self.now, _, event = heapq.heappop(self._heap)
            event()
        self.now = time

    def run_to_period(self, number: int) -> None:
        """Until the document ``number`` should be there: the beginning of its period."""
        self.run_until(number * PERIOD_S)

    def record(self, one: Authority) -> None:
        """What this honest authority shows now."""
        assert one.agreement is not None
        encoded = one.agreement.bulletin()
        if encoded in self._recorded:
            return
        self._recorded.add(encoded)
        bulletin = decode_bulletin(encoded)
        if bulletin.draft:
            self.drafts[one.index, bulletin.number].add(bulletin.draft)
        for envelope in bulletin.votes:
            opened = open_countersigned(
                envelope, payload_type=VOTE_TYPE, signers=self.root.signers, max_size=MAX_VOTE_SIZE
            )
            if decode_vote(opened.payload).author == one.key.public:
                self.shown[one.index, bulletin.opening].add(opened.payload)

    def documents(self, number: int) -> list[Document]:
        """That honest authorities hold, in their order; those without one are left out."""
        held = [one.documents.get(number) for one in self.honest]
        return [document for document in held if document is not None]

    def check_safety(self) -> None:
        """No honest authority said two things; no number has two documents."""
        assert all(len(votes) == 1 for votes in self.shown.values())
        assert all(len(drafts) == 1 for drafts in self.drafts.values())
        if len(self.liars) < 2 * self.root.threshold - len(self.authorities):
            numbers = {number for one in self.honest for number in one.documents}
            assert all(len({one.digest for one in self.documents(number)}) == 1 for number in numbers)
