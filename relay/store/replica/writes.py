"""One change, made by a majority before it is acknowledged. Spec: docs/specs/replication.md §2.

    made here and asked of all others ─┬─ outdone by something later ──> again, above that
                                       ├─ W have it ── the same rows? ──no──> bring them together, or
                                       │                    │                 drop who lies and go on with the others
                                       │                    └─ yes, or done ──> reply once nobody is worth waiting for
                                       └─ nobody is left to answer ──> reply: 503

The job goes on after its reply, until each member has answered or failed, and notes what those are owed that failed.
"""

from __future__ import annotations

from typing import NamedTuple

from onionpath.crypto.identity import RelayId
from onionpath.onion.session_packets import SessionReply
from onionpath.onion.statuses import Reason
from onionpath.swarm.forwarding import forward
from onionpath.swarm.majorities import majority
from onionpath.swarm.operations import Change, NewestVersion, Result, Version, VersionFound
from onionpath.swarm.parts import Failed, Part, decode_part
from onionpath.swarm.plans import Write
from onionpath.swarm.reconciliation import Owe
from onionpath.swarm.replies import NOT_READY
from relay.store.replica import messages
from relay.store.replica.changes import brought_by, is_made, keys_of, outdone_by, touched_by
from relay.store.replica.layout import name_of
from relay.store.replica.rows import give, take
from relay.store.replica.steps import Apply, Ask, Event, Job, Pause, Start
from relay.store.replica.surroundings import Surroundings
from relay.store.replica.talk import ASK_TIMEOUT_S, Talk, store

# Healthy members answer in milliseconds; who takes longer has died a moment ago, and is not waited for again.
GRACE_S = 0.25
# Whoever is outdone again has met clients that change the same message as fast as it does.
MAX_PROPOSALS = 4

_GRACE = "grace"


def write(around: Surroundings, plan: Write) -> Job:
    """Make a change; gives its ``SessionReply``."""
    known = yield from _look(plan)
    if isinstance(known, SessionReply):
        return known
    for _ in range(MAX_PROPOSALS):
        if not around.is_ready or around.ours not in around.members_of(plan.account):
            return NOT_READY
        proposal = _Proposal(around, plan, around.next_version(known))
        outdone = yield from proposal.run()
        if outdone is None:
            return None  # it has replied itself
        known = outdone
    return NOT_READY


def _look(plan: Write) -> Talk[int | SessionReply]:
    """The newest version that our store knows, unless the subaccount was revoked."""
    newest = NewestVersion(plan.account)
    if plan.gate is None:
        (found,) = yield from store(newest)
    else:
        answer, found = yield from store(plan.gate.question, newest)
        if plan.gate.refuses(answer):
            return plan.gate.refusal
    return found.version if isinstance(found, VersionFound) else 0


class _Tag(NamedTuple):
    """Whose answer it is, and of which proposal."""

    proposal: _Proposal
    relay: RelayId


class _Proposal:
    """The change under one version."""

    def __init__(self, around: Surroundings, plan: Write, version: Version) -> None:
        self._around = around
        self._plan = plan
        self._change: Change = brought_by(plan.change(version), around.ours)
        self._members = around.members_of(plan.account)
        self._forwarded = messages.Change(name_of(self._members), forward(plan, version))
        self._parts: dict[RelayId, Part | Failed] = {}
        self._touched: dict[RelayId, frozenset[str]] = {}  # of those who have made it
        self._waiting = set(self._members)
        self._outdone: Version | None = None
        self._later: list[Event] = []

    def run(self) -> Talk[Version | None]:
        """Make it; gives the version by which it was outdone, or None once the client has its reply."""
        yield from self._begin()
        is_durable = yield from self._become_durable()
        if self._outdone is not None and not is_durable:
            return self._outdone
        yield from self._wait_for_the_rest()
        yield from self._reply(is_durable)
        while self._waiting:
            yield from self._go_on()
        yield from self._note_missed()
        return None

    def _become_durable(self) -> Talk[bool]:
        """Go on until a majority has the same rows; False if it was outdone, or nobody is left who could help."""
        while True:
            while self._outdone is None and self._waiting and not self._is_made_by_enough():
                yield from self._go_on()
            if self._outdone is not None or not self._is_made_by_enough():
                return False
            if self._agree() or (yield from self._bring_together()):
                return True
            if not self._waiting:
                return False
            # Of those who have answered meanwhile, one may stand in for whoever was dropped.
            yield from self._go_on()

    def _begin(self) -> Talk[None]:
        around, body = self._around, self._around.ask(self._forwarded)
        others = sorted(self._members - {around.ours})
        asks = ((_Tag(self, relay), Ask(relay, body, ASK_TIMEOUT_S)) for relay in others)
        ours = (_Tag(self, around.ours), Apply((self._change,)))
        self._later.append((yield Start((ours, *asks))))

    def _go_on(self) -> Talk[object]:
        """Take the next event; gives its tag."""
        tag, result = self._later.pop(0) if self._later else (yield Start())
        # What was said of an earlier proposal came under another version, and counts for nothing now.
        if isinstance(tag, _Tag) and tag.proposal is self:
            self._waiting.discard(tag.relay)
            if tag.relay == self._around.ours:
                self._made_here(result[0])
            else:
                self._answered(tag.relay, result)
        return tag

    def _made_here(self, result: Result) -> None:
        ours = self._around.ours
        outdone = outdone_by(result)
        if outdone is not None and self._around.is_credible(outdone):
            self._outdone = Version(max(self._outdone or 0, outdone))
        self._parts[ours] = self._plan.part(result, self._around.identity)
        if is_made(result):
            self._touched[ours] = frozenset(touched_by(self._change, result))

    def _answered(self, relay: RelayId, result: bytes | Reason) -> None:
        heard = self._around.hear(relay, result)
        if heard is None:
            self._parts[relay] = Failed.TIMEOUT
            return
        match heard.answer:
            case messages.Made(body, touched):
                part = decode_part(body, self._plan.request)
                self._parts[relay] = part
                if isinstance(part, Part):
                    self._touched[relay] = frozenset(touched)
            case messages.Outdone(version) if self._around.is_credible(version):
                self._outdone = Version(max(self._outdone or 0, version))
            case messages.NotMade(why):
                self._parts[relay] = why
            case messages.Refused():
                self._parts[relay] = Failed.REFUSED
            case _:
                self._parts[relay] = Failed.BAD_REPLY

    def _is_made_by_enough(self) -> bool:
        return len(self._touched) >= majority(len(self._members))

    def _agree(self) -> bool:
        """Whether all who have made it have touched the same rows.

        That a majority has is not enough: of a row that only the others have, the reply would say what few have done.
        """
        return len(set(self._touched.values())) == 1

    def _bring_together(self) -> Talk[bool]:
        """Let all who have made it have the same rows; whether a majority has them then."""
        ours = self._around.ours
        if ours not in self._touched:
            return False
        # Whoever can't show what it says that it has touched counts as one that hasn't made the change.
        for relay, touched in list(self._touched.items()):
            missing = keys_of(self._change, touched - self._touched[ours])
            if missing and not (yield from take(self._around, relay, missing, later=self._later)):
                del self._touched[relay]
        union = frozenset().union(*self._touched.values())
        for relay, touched in list(self._touched.items()):
            missing = keys_of(self._change, union - touched)
            if relay == ours or not missing:
                continue
            if not (yield from give(self._around, relay, missing, later=self._later)):
                del self._touched[relay]
        return self._is_made_by_enough()

    def _wait_for_the_rest(self) -> Talk[None]:
        """As long as somebody may answer who has answered lately, but not long."""
        has_begun = False
        while self._waiting - self._around.down:
            if not has_begun:
                self._later.append((yield Start(((_GRACE, Pause(GRACE_S)),))))
                has_begun = True
            if (yield from self._go_on()) == _GRACE:
                return

    def _reply(self, is_durable: bool) -> Talk[None]:
        missing = dict.fromkeys(self._members - self._parts.keys(), Failed.TIMEOUT)
        parts = {relay: (self._parts | missing)[relay] for relay in sorted(self._members)}
        reply = self._plan.reply(parts, is_durable=is_durable, now_ms=self._around.now_ms)
        self._later.append((yield Start(((None, Pause(0)),), reply)))

    def _note_missed(self) -> Talk[None]:
        touched = set().union(*self._touched.values())
        keys = keys_of(self._change, touched)
        missed = sorted(self._members - self._touched.keys() - {self._around.ours})
        if keys and missed:
            yield from store(*(Owe(relay, keys) for relay in missed))
            counts = self._around.counts
            self._around.counts = counts._replace(owed=counts.owed + len(keys) * len(missed))
