"""Who seems to be at fault: scores of edges and relays that fade, and what a client avoids because of them.

A failure that a relay reports proves only that it says so, so it falls on the edge between the two. A relay is blamed
when several words stand against it, never because of one. All values are frozen; each event gives a new one.
Spec: docs/specs/paths.md §3.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from types import MappingProxyType
from typing import NamedTuple, TypeVar

from onionpath.crypto.identity import RelayId
from onionpath.errors import Edge
from onionpath.injected import UnixTime

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")

HALF_LIFE_S = 1_800.0
# The first is long enough for a relay to restart; the longest, for its operator to notice.
MIN_QUARANTINE_S, MAX_QUARANTINE_S = 300.0, 21_600.0
# A failure counts against others for one half-life.
MIN_SCORE = 0.5
# One could be a liar. Those who speak about an exit are few: a client has four middles.
MIN_SPEAKERS = 2
# A relay that speaks about many may just be honest in a bad hour, so one more, and more than it carried.
MIN_ACCUSED = 3
# A client meets a few relays a minute, and what is older than some half-lives counts for nothing.
MAX_EDGES = 512
MAX_RELAYS = 512


class RelayEdge(NamedTuple):
    """Two neighbours: the one that speaks, and the next one, about which it speaks."""

    speaker: RelayId
    about: RelayId


@dataclass(frozen=True, slots=True)
class Avoided:
    """What a path should not have; true if there is anything."""

    relays: frozenset[RelayId] = frozenset()
    edges: frozenset[RelayEdge] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.relays or self.edges)


NOTHING_AVOIDED = Avoided()


@dataclass(frozen=True, slots=True)
class Score:
    """Events that each count half after every half-life."""

    value: float
    at: UnixTime

    def value_at(self, now: UnixTime) -> float:
        """What they are worth together now."""
        return self.value * math.pow(0.5, (now - self.at) / HALF_LIFE_S)

    def plus_one(self, now: UnixTime) -> Score:
        """With one more event."""
        return Score(self.value_at(now) + 1.0, now)


@dataclass(frozen=True, slots=True)
class Quarantine:
    """How long something is avoided; each time soon after the last one is twice as long."""

    until: UnixTime
    duration_s: float

    def holds(self, now: UnixTime) -> bool:
        """Whether it is not over yet."""
        return now < self.until


@dataclass(frozen=True, slots=True)
class Accusation:
    """What an edge has on its score, how long it is avoided, and how long its second relay is on this word alone.

    Args:
        is_by_first: the speaker stood first, so that its word gets nobody blamed: all guards of a client speak about
            the same middles, and two of them may have one owner.
    """

    score: Score
    quarantine: Quarantine
    suspected_until: UnixTime
    is_by_first: bool


@dataclass(frozen=True, slots=True)
class Blame:
    """Everything that a client remembers of failures between relays.

    Args:
        accusations: by edge, at most 512, the latest last.
        quarantines: of blamed relays, at most 512, the latest last.
        carried: exchanges that came back through a relay from one behind it, at most 512, the latest last.
    """

    accusations: Mapping[RelayEdge, Accusation] = field(default_factory=lambda: MappingProxyType({}))
    quarantines: Mapping[RelayId, Quarantine] = field(default_factory=lambda: MappingProxyType({}))
    carried: Mapping[RelayId, Score] = field(default_factory=lambda: MappingProxyType({}))

    def after_failure(self, edge: RelayEdge, *, now: UnixTime, is_first: bool = False) -> Blame:
        """A relay has said, under its seal, that it and the next one could not do it.

        Args:
            is_first: it stood first on the path.
        """
        blame = self._accuse(edge, now, is_first=is_first)
        # The second first: if several accuse it, that explains what the first one said.
        for relay in (edge.about, edge.speaker):
            if blame._is_at_fault(relay, now):
                quarantine = _next_quarantine(blame.quarantines.get(relay), now)
                quarantines = _with_last(blame.quarantines, relay, quarantine, MAX_RELAYS)
                blame = replace(blame, quarantines=quarantines)
        return blame

    def after_answer(self, relays: Sequence[RelayId], *, now: UnixTime) -> Blame:
        """The last of these relays was heard through all the others; they stand in the order of the path."""
        carried = self.carried
        for relay in relays[:-1]:
            score = carried.get(relay, Score(0.0, now)).plus_one(now)
            carried = _with_last(carried, relay, score, MAX_RELAYS)
        crossed = {RelayEdge(*edge) for edge in pairwise(relays)}
        accusations = self.accusations
        if not crossed.isdisjoint(accusations):
            kept = {edge: each for edge, each in accusations.items() if edge not in crossed}
            accusations = MappingProxyType(kept)
        return replace(self, accusations=accusations, carried=carried)

    def avoided(self, now: UnixTime) -> Avoided:
        """What new paths should do without now."""
        edges = {edge for edge, each in self.accusations.items() if each.quarantine.holds(now)}
        blamed = {relay for relay, each in self.quarantines.items() if each.holds(now)}
        suspects = {edge.about for edge, each in self.accusations.items() if now < each.suspected_until}
        return Avoided(frozenset(blamed | suspects), frozenset(edges))

    def is_blamed(self, relay: RelayId, now: UnixTime) -> bool:
        """Whether enough words stood against this relay, and its quarantine isn't over."""
        quarantine = self.quarantines.get(relay)
        return quarantine is not None and quarantine.holds(now)

    def _accuse(self, edge: RelayEdge, now: UnixTime, *, is_first: bool) -> Blame:
        last = self.accusations.get(edge)
        score = (last.score if last is not None else Score(0.0, now)).plus_one(now)
        quarantine = _next_quarantine(None if last is None else last.quarantine, now)
        # With one suspect at a time, a liar's words take no more than one honest relay from us.
        has_suspect = any(
            now < each.suspected_until
            for other, each in self.accusations.items()
            if other.speaker == edge.speaker
        )
        suspected_until = now if has_suspect else UnixTime(now + MIN_QUARANTINE_S)
        if last is not None:
            suspected_until = max(suspected_until, last.suspected_until)
        accusations = self.accusations
        if last is None and len(accusations) >= MAX_EDGES:
            accusations = _without_one(accusations)
        accusation = Accusation(score, quarantine, suspected_until, is_first)
        return replace(self, accusations=_with_last(accusations, edge, accusation, MAX_EDGES))

    def _is_at_fault(self, relay: RelayId, now: UnixTime) -> bool:
        spoken, heard = self._words_of(relay, now), self._words_about(relay, now)
        if len(heard) >= MIN_SPEAKERS:
            return True
        carried = self.carried.get(relay, Score(0.0, now)).value_at(now)
        return len(spoken) >= MIN_ACCUSED and sum(spoken) > carried

    def _words_of(self, relay: RelayId, now: UnixTime) -> list[float]:
        """The scores that it gave to others; those of blamed ones need no further explanation."""
        scores = [
            each.score.value_at(now)
            for edge, each in self.accusations.items()
            if edge.speaker == relay and not self.is_blamed(edge.about, now)
        ]
        return [score for score in scores if score >= MIN_SCORE]

    def _words_about(self, relay: RelayId, now: UnixTime) -> list[float]:
        """The scores that others gave to it; the word of blamed ones and of first hops counts for nothing."""
        scores = [
            each.score.value_at(now)
            for edge, each in self.accusations.items()
            if edge.about == relay and not each.is_by_first and not self.is_blamed(edge.speaker, now)
        ]
        return [score for score in scores if score >= MIN_SCORE]


def relay_edge(edge: Edge, relays: Sequence[RelayId]) -> RelayEdge | None:
    """The relays of an edge of this path; None if the client is one end, since that blames no relay."""
    if edge.speaker < 0 or edge.about >= len(relays):
        return None
    return RelayEdge(relays[edge.speaker], relays[edge.about])


def _next_quarantine(last: Quarantine | None, now: UnixTime) -> Quarantine:
    if last is None or now >= last.until + HALF_LIFE_S + last.duration_s:
        return Quarantine(UnixTime(now + MIN_QUARANTINE_S), MIN_QUARANTINE_S)
    # What fails while it is avoided was under way before, and is the same failure.
    if last.holds(now):
        return last
    duration_s = min(2 * last.duration_s, MAX_QUARANTINE_S)
    return Quarantine(UnixTime(now + duration_s), duration_s)


def _with_last(values: Mapping[_Key, _Value], key: _Key, value: _Value, most: int) -> Mapping[_Key, _Value]:
    """These values with one set as the latest, without the oldest if they are too many."""
    changed = {other: each for other, each in values.items() if other != key}
    changed[key] = value
    if len(changed) > most:
        del changed[next(iter(changed))]
    return MappingProxyType(changed)


def _without_one(accusations: Mapping[RelayEdge, Accusation]) -> Mapping[RelayEdge, Accusation]:
    """Without the oldest edge of the speaker that has most, so that nobody's words push out another's."""
    busiest, _ = Counter(edge.speaker for edge in accusations).most_common(1)[0]
    oldest = next(edge for edge in accusations if edge.speaker == busiest)
    return MappingProxyType({edge: each for edge, each in accusations.items() if edge != oldest})
