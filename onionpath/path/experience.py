"""Everything that a client has learned about relays: guards, sticky middles, blame and timeouts, as one value.

Each exchange that ends, and each directory that comes, gives a new one. What is kept on disk is its ``memory``.
Spec: docs/specs/paths.md and guards.md.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from onionpath.crypto.identity import RelayId
from onionpath.injected import UnixTime
from onionpath.path.bias import Outcome, outcome_for_guard
from onionpath.path.blame import Blame, relay_edge
from onionpath.path.candidates import Candidates
from onionpath.path.ended import Ended
from onionpath.path.guards import (
    Guards,
    after_attempt,
    after_directory,
    after_failure,
    after_success,
    after_use,
    in_use,
    with_sample,
)
from onionpath.path.middles import Middles, renew_middles
from onionpath.path.path_memory import PathMemory
from onionpath.path.timeouts import Timeouts


@dataclass(frozen=True, slots=True)
class Places:
    """What a directory offers for the first hop, and for the second, now."""

    first: Candidates
    second: Candidates


@dataclass(frozen=True, slots=True)
class Experience:
    """What a client knows about relays beyond its directory."""

    guards: Guards = field(default_factory=Guards)
    middles: Middles = ()
    blame: Blame = field(default_factory=Blame)
    timeouts: Timeouts = field(default_factory=Timeouts)

    @property
    def memory(self) -> PathMemory:
        """What outlives the process."""
        return PathMemory(self.guards.sample, self.middles)

    def with_memory(self, memory: PathMemory) -> Experience:
        """The same with guards and middles from disk."""
        return replace(self, guards=with_sample(self.guards, memory.guards), middles=memory.middles)

    def after_directory(self, places: Places, *, now: UnixTime, choice: random.Random) -> Experience:
        """A directory has come that is valid now: draw what is missing of guards and middles."""
        guards = after_directory(self.guards, places.first, now=now, choice=choice)
        used = in_use(guards, places.first)
        middles = renew_middles(self.middles, places.second, guards=used, now=now, choice=choice)
        return replace(self, guards=guards, middles=middles)

    def after_exchange(
        self,
        relays: Sequence[RelayId],
        ended: Ended,
        candidates: Candidates,
        *,
        is_first: bool,
        now: UnixTime,
        choice: random.Random,
    ) -> Experience:
        """Learn from one exchange over these relays.

        Args:
            relays: of the path, first hop first.
            candidates: for the first hop.
            is_first: whether it was the path's first.
        """
        blame = self._blame(relays, ended, now)
        guards = self._guards(relays[0], ended, candidates, now, choice)
        if is_first and not _is_ours(ended):
            guards = after_attempt(guards, relays[0], _outcome(relays, ended))
        return replace(self, guards=guards, blame=blame, timeouts=self._timeouts(ended))

    def after_path(self, relays: Sequence[RelayId], ended: Ended) -> Experience:
        """Count a path that was used after its first exchange and is retired; ``ended`` is its last exchange."""
        return replace(self, guards=after_use(self.guards, relays[0], _outcome(relays, ended)))

    def _blame(self, relays: Sequence[RelayId], ended: Ended, now: UnixTime) -> Blame:
        blame = self.blame
        if ended.speaker is not None:
            blame = blame.after_answer(relays[: ended.speaker + 1], now=now)
        if ended.edge is None or (edge := relay_edge(ended.edge, relays)) is None:
            return blame
        return blame.after_failure(edge, now=now, is_first=ended.edge.speaker == 0)

    def _guards(
        self, guard: RelayId, ended: Ended, candidates: Candidates, now: UnixTime, choice: random.Random
    ) -> Guards:
        if ended.speaker is not None and ended.speaker >= 1:
            return after_success(self.guards, guard, candidates, now=now, choice=choice)
        return after_failure(self.guards, guard, ended.edge, candidates, now=now, jitter=choice)

    def _timeouts(self, ended: Ended) -> Timeouts:
        if ended.is_answered:
            return self.timeouts.after_answer(ended.reply_class, ended.took_s)
        if ended.is_lost and not ended.is_ours:
            return self.timeouts.after_loss(ended.reply_class, ended.took_s)
        return self.timeouts


def _outcome(relays: Sequence[RelayId], ended: Ended) -> Outcome:
    # A guard that couldn't be reached has not been given the path; its mark says what there is to say. And where nobody
    # names edges, whoever is asked could lose what suits him, until the guards in use give way to others.
    if _is_ours(ended) or not ended.counts_for_guard:
        return Outcome.EXPLAINED
    return outcome_for_guard(ended.speaker, hops=len(relays))


def _is_ours(ended: Ended) -> bool:
    """Whether it ended between us and the first hop, so that nothing is said of what the guard does with paths."""
    return ended.is_ours or (ended.edge is not None and ended.edge.speaker < 0)
