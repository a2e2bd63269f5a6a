"""One member of a swarm: events go in, steps come out, and nothing else happens.

What may change its state: a request of a client, a question of another member, the result of something that it wanted
done, a new layout, and the clock's tick. Each starts a *job* or wakes one; a job is a generator that says what it wants
done and is given the results one by one. Two drivers carry the steps out: ``relay/store/driver.py`` and the virtual
one of the simulations. Spec: docs/specs/replication.md.
"""

from __future__ import annotations

from functools import partial
from random import Random
from typing import Any

from onionpath.crypto.identity import IdentityKey, RelayId
from onionpath.errors import MalformedError
from onionpath.onion.session_packets import SessionReply
from onionpath.swarm.nodes import Roster
from onionpath.swarm.operations import AccountId
from onionpath.swarm.planning import Jurisdiction, plan
from onionpath.swarm.reconciliation import Note, Noted, NoteFound, Settle
from onionpath.swarm.replies import NOT_READY
from relay.store.replica.duties import Duties, follow
from relay.store.replica.duties_form import NOTE, decode_duties, encode_duties
from relay.store.replica.jobs import Jobs
from relay.store.replica.layout import Layout
from relay.store.replica.messages import Answer, Said, decode_said
from relay.store.replica.questions import BUSY, MALFORMED, answer
from relay.store.replica.requests import request_job
from relay.store.replica.steps import AnswerClient, AnswerMember, FetchDocument, Job, Step
from relay.store.replica.surroundings import Surroundings
from relay.store.replica.talk import Talk, pause, store
from relay.store.replica.visits import Visits

# What waits is bounded: a request holds up to 10 MiB, a question up to 11 MiB, and each up to some seconds.
MAX_REQUESTS = 256
MAX_QUESTIONS = 256
# A store that doesn't answer is asked again after so long.
RETRY_S = 2.0


class Member:
    """A relay's part in its swarm.

    Args:
        identity: our own; signs what we say in replies.
        choice: draws when others are visited.
    """

    def __init__(self, identity: IdentityKey, choice: Random) -> None:
        self.around = Surroundings(identity)
        self._visits = Visits(self.around, choice)
        self._jobs = Jobs()
        self._roster: Roster | None = None
        self._wanted: Layout | None = None  # the newest; followed once our duties by it are on disk
        self._noted: Duties | None = None  # what is on disk
        self._is_noting = False
        self._requests = 0
        self._questions = 0
        self._answers: list[AnswerClient | AnswerMember] = []

    @property
    def number(self) -> int:
        """Of the newest document that it was told of; 0 before the first."""
        return self._wanted.number if self._wanted else 0

    # Events.

    def use(self, layout: Layout, roster: Roster, *, now_ms: int) -> tuple[Step, ...]:
        """There is a new document.

        Args:
            roster: what clients are told of it.
        """
        if self._wanted is None or layout.number > self._wanted.number:
            self._roster, self._wanted = roster, layout
            self.around.is_ready = False
        return self._go_on(now_ms)

    def request(self, number: int, text: bytes, *, max_reply: int, now_ms: int) -> tuple[Step, ...]:
        """A client asks; ``AnswerClient`` of the same number comes, now or later.

        Args:
            text: JSON, unchecked.
            max_reply: bytes that the reply's body may have.
        """
        self.around.now_ms = now_ms
        self._requests += 1
        if self._requests > MAX_REQUESTS or self._roster is None:
            self._answer_client(number, NOT_READY)
        else:
            planned = plan(text, Jurisdiction(self._roster, self._stores), now_ms=now_ms, max_reply=max_reply)
            job = request_job(self.around, planned, max_reply=max_reply)
            self._jobs.begin(job, partial(self._answer_client, number))
        return self._go_on(now_ms)

    def question(self, number: int, relay: RelayId, body: bytes, *, now_ms: int) -> tuple[Step, ...]:
        """Another member asks; ``AnswerMember`` of the same number comes, now or later.

        Args:
            body: unchecked.
        """
        self.around.now_ms = now_ms
        self._questions += 1
        said = _read(body)
        if said is None or self._questions > MAX_QUESTIONS:
            self._answer_member(number, MALFORMED if said is None else BUSY)
        else:
            self._jobs.begin(answer(self.around, relay, said), partial(self._answer_member, number))
        return self._go_on(now_ms)

    def done(self, ticket: int, result: Any, *, now_ms: int) -> tuple[Step, ...]:
        """What a ``Do`` has led to: the store's results, a member's bytes or a ``Reason``, or None."""
        self._jobs.resume(ticket, result)
        return self._go_on(now_ms)

    def tick(self, *, now_ms: int) -> tuple[Step, ...]:
        """Time has passed; once a second is enough."""
        return self._go_on(now_ms)

    # What follows from them.

    def _go_on(self, now_ms: int) -> tuple[Step, ...]:
        """Let all jobs go on, begin what is due, and say what is to be carried out."""
        around = self.around
        around.now_ms = now_ms
        wanted = self._jobs.run()
        if not self._is_noting and self._wanted is not None and self._has_news(self._wanted):
            self._is_noting = True
            self._jobs.begin(self._note_duties(self._wanted), self._has_noted)
        if around.is_ready:
            for visit in self._visits.due():
                self._jobs.begin(visit, _forget)
        wanted += self._jobs.run()
        fetches = (FetchDocument(),) if around.wants_document else ()
        around.wants_document = False
        answers, self._answers = self._answers, []
        return (*wanted, *answers, *fetches)

    def _stores(self, account: AccountId) -> bool:
        return self.around.ours in self.around.members_of(account)

    def _answer_client(self, number: int, reply: SessionReply) -> None:
        self._requests -= 1
        self._answers.append(AnswerClient(number, reply))

    def _answer_member(self, number: int, answered: Answer) -> None:
        self._questions -= 1
        self._answers.append(AnswerMember(number, self.around.answer(answered)))

    # Duties.

    def _has_news(self, wanted: Layout) -> bool:
        """Whether there is a document to follow, or something to be written down."""
        is_behind = not self.around.is_ready and self.around.duties.number <= wanted.number
        return is_behind or (self.around.duties is not self._noted and self.around.duties != self._noted)

    def _has_noted(self, _: object) -> None:
        self._is_noting = False

    def _note_duties(self, wanted: Layout) -> Job:
        """Follow the newest document, unless that was done, and write down what our duties are."""
        around = self.around
        if self._noted is None:
            yield from self._load()
        if wanted.number >= around.duties.number:
            before = around.layout if around.layout.number else None
            if wanted.number > around.duties.number:
                around.duties = follow(around.duties, wanted, before=before, ours=around.ours)
            around.follow(wanted)
        duties = around.duties
        # What relays were owed that we have nothing to do with any more is theirs to hear from others.
        gone = sorted(self._noted.partners - duties.partners) if self._noted else []
        forget = (Settle(relay, None) for relay in gone)
        found, *_ = yield from store(Note(NOTE, encode_duties(duties)), *forget)
        if not isinstance(found, NoteFound):
            yield from pause(RETRY_S)
            return
        self._noted = duties
        if not around.is_ready and self._wanted is wanted and duties.number == wanted.number:
            around.is_ready = True
            self._visits.soon()

    def _load(self) -> Talk[None]:
        """What we have noted before; a store without it is new."""
        while True:
            (found,) = yield from store(Noted(NOTE))
            if isinstance(found, NoteFound):
                break
            yield from pause(RETRY_S)
        self.around.duties = self._noted = Duties() if found.value is None else decode_duties(found.value)


def _read(body: bytes) -> Said | None:
    try:
        return decode_said(body)
    except MalformedError:
        return None


def _forget(_: object) -> None:
    """Nobody waits for it."""
