"""A member's own work: it visits each of the others again and again, one visit at a time each.

A visit delivers what the other is owed, and compares all that both have to do with: what both hold, what we are behind
with, what we hand over. Spec: docs/specs/replication.md §2.5, §3, §4.
"""

from __future__ import annotations

from random import Random

from onionpath.crypto.identity import RelayId
from onionpath.swarm.arcs import Arc
from onionpath.swarm.majorities import majority
from onionpath.swarm.reconciliation import Count, Counted, Digested, Digests, LetGo, Owed, OwedFound
from relay.store.replica.comparing import Comparison, compare, list_here
from relay.store.replica.duties import Duties, Holding, newcomer_debt
from relay.store.replica.layout import Layout
from relay.store.replica.rows import deliver
from relay.store.replica.steps import Job
from relay.store.replica.surroundings import Surroundings
from relay.store.replica.talk import Talk, store

# Fixed by the specification (§3.1).
MIN_PAUSE_S = 30.0
MAX_PAUSE_S = 60.0
# While somebody is behind or hands over.
BUSY_PAUSE_S = 2.0
NEVER_MS = 2**63 - 1


class Visits:
    """What is to be done with the others, and when.

    Args:
        choice: draws when.
    """

    def __init__(self, around: Surroundings, choice: Random) -> None:
        self._around = around
        self._choice = choice
        self._next_ms: dict[RelayId, int] = {}
        self._wake_ms = 0  # before then nobody is due, unless others have come or returned
        self._running: set[RelayId] = set()
        self._known: tuple[Duties, Layout] | None = None
        self._others: frozenset[RelayId] = frozenset()
        self._confirmed: dict[Arc, frozenset[RelayId]] = {}

    def soon(self) -> None:
        """Visit everybody: the members have changed, or we have just started."""
        self._next_ms.clear()
        self._wake_ms = 0
        self._confirmed.clear()

    def due(self) -> list[Job]:
        """The visits that begin now."""
        around = self._around
        self._find_others()
        # Every event asks, and hardly ever is anybody due.
        if not around.returned and around.now_ms < self._wake_ms:
            return []
        for relay in around.returned - self._running:
            self._next_ms.pop(relay, None)
        # Who is being visited as he returns is visited again: this visit may have found him away.
        around.returned &= self._running
        waiting = {relay: self._next_ms.get(relay, around.now_ms) for relay in self._others - self._running}
        begin = sorted(relay for relay, when_ms in waiting.items() if when_ms <= around.now_ms)
        later = (when_ms for when_ms in waiting.values() if when_ms > around.now_ms)
        self._wake_ms = min(later, default=NEVER_MS)
        self._running.update(begin)
        return [self._visit(relay) for relay in begin]

    def _find_others(self) -> None:
        """Whoever we have something to do with."""
        around = self._around
        known = around.duties, around.layout
        if known == self._known:
            return
        self._known = known
        self._others = around.duties.partners & around.layout.listed - {around.ours}
        self._next_ms = {relay: when for relay, when in self._next_ms.items() if relay in self._others}
        self._wake_ms = 0

    def _visit(self, relay: RelayId) -> Job:
        try:
            yield from self._deliver(relay)
            for holding in tuple(self._around.duties.holdings):
                if relay in holding.partners:
                    yield from self._compare(relay, holding)
        finally:
            self._running.discard(relay)
        is_busy = any(each.debts or each.is_leaving for each in self._around.duties.holdings)
        pause_s = BUSY_PAUSE_S if is_busy else self._choice.uniform(MIN_PAUSE_S, MAX_PAUSE_S)
        self._next_ms[relay] = self._around.now_ms + int(pause_s * 1000)
        self._wake_ms = min(self._wake_ms, self._next_ms[relay])

    def _deliver(self, relay: RelayId) -> Talk[None]:
        """What the other has missed of changes that came by us."""
        while True:
            (owed,) = yield from store(Owed(relay))
            if not isinstance(owed, OwedFound) or not owed.keys:
                return
            if not (yield from deliver(self._around, relay, owed.keys)):
                return

    def _compare(self, relay: RelayId, holding: Holding) -> Talk[None]:
        around = self._around
        takes = not holding.is_leaving or bool(holding.debts)
        gives = relay in holding.members
        comparison = yield from compare(around, relay, holding.arc, takes=takes, gives=gives)
        now = around.current(holding)
        if comparison is None or now is None or comparison.number < around.layout.number:
            return
        if now.debts and comparison.has_taken:
            around.change_holding(now, _heard(around, now, relay, comparison))
        elif now.is_leaving and not now.debts and comparison.has_given:
            yield from self._confirm(relay, now)

    def _confirm(self, relay: RelayId, holding: Holding) -> Talk[None]:
        """One more of the present members has all that we hand over; let go once a majority has."""
        confirmed = self._confirmed.get(holding.arc, frozenset()) | {relay}
        self._confirmed[holding.arc] = confirmed
        if len(confirmed) < majority(len(holding.members)):
            return
        del self._confirmed[holding.arc]
        if (yield from self._let_go(holding)):
            self._around.change_holding(holding, None)

    def _let_go(self, holding: Holding) -> Talk[bool]:
        """Forget all rows of a holding; whether none is left."""
        (digested,) = yield from store(Digests(holding.arc))
        for each in digested.buckets if isinstance(digested, Digested) else ():
            found = yield from list_here(each.bucket, holding.arc)
            if found is None or self._around.current(holding) != holding:
                return False
            yield from store(LetGo(tuple(found.values())))
        (counted,) = yield from store(Count(holding.arc))
        return isinstance(counted, Counted) and not counted.messages and not counted.traces


def _heard(around: Surroundings, holding: Holding, relay: RelayId, comparison: Comparison) -> Holding:
    """What a holding is after we have compared it with another relay."""
    told = comparison.told
    listed = around.layout.listed
    heard = holding.heard(relay, listed, owes_since=told.owes_since, is_new=told.is_new)
    if not told.holds and not told.is_new:
        # It has let go of what present members have confirmed to have, so we have to hear those as well.
        return heard.owing(newcomer_debt(holding.members, around.ours, around.layout.number), listed)
    return heard
