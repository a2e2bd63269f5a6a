"""Which guard a path begins with: the sample, and what this process knows about who can be reached.

| a guard is …  | after …                                             | and is tried again …               |
|---------------|-----------------------------------------------------|------------------------------------|
| not marked    | the start; a success of its own                     | at any time                        |
| marked as down| it could not be reached, or broke the link protocol | when its delay has passed          |
| not marked    | the first success of any guard after a silence      | at any time (primaries; others if  |
|               |                                                     | they failed during the silence)    |

Marks live in memory only: a restart is a good moment to try again. Nothing that happens beyond the guard changes any of
this; such losses are counted as path bias, by ``after_attempt`` and ``after_use``, and may disable the guard.
Spec: docs/specs/guards.md §4 and §5.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum

from onionpath.crypto.identity import RelayId
from onionpath.errors import FIRST_EDGE, Edge
from onionpath.injected import UnixTime
from onionpath.path.bias import Outcome
from onionpath.path.candidates import Candidates
from onionpath.path.constraints import Taken
from onionpath.path.guard_numbers import GUARD_NUMBERS, GuardNumbers
from onionpath.path.relays import ListedRelay
from onionpath.path.sample import Sample, confirm, count, is_usable, renew


@dataclass(frozen=True, slots=True)
class Mark:
    """A guard that is down.

    Args:
        since: of its latest failure.
        delay_s: how long it was left alone after that failure.
    """

    relay_id: RelayId
    since: UnixTime
    delay_s: float

    @property
    def retry_at(self) -> UnixTime:
        """From then on it may be tried again."""
        return UnixTime(self.since + self.delay_s)


@dataclass(frozen=True, slots=True)
class Guards:
    """A client's guards.

    Args:
        sample: what is kept on disk.
        marks: the guards that are down, one mark each.
        last_success_at: of any guard in this process.
    """

    sample: Sample = ()
    marks: tuple[Mark, ...] = ()
    last_success_at: UnixTime | None = None
    numbers: GuardNumbers = GUARD_NUMBERS

    def mark(self, relay_id: RelayId) -> Mark | None:
        """The guard's mark, if it is down."""
        return next((mark for mark in self.marks if mark.relay_id == relay_id), None)

    def is_silent(self, now: UnixTime) -> bool:
        """Whether nothing has worked for so long that our own internet must be down."""
        return self.last_success_at is None or now - self.last_success_at >= self.numbers.silence_s


@dataclass(frozen=True, slots=True)
class NoneReachable:
    """Every guard that this path could take is down; the first will be tried again at ``retry_at``."""

    retry_at: UnixTime


@dataclass(frozen=True, slots=True)
class NoneAllowed:
    """The rest of the path leaves no guard; ``reasons`` counts why."""

    reasons: Mapping[str, int]


class Restriction(Enum):
    """How much of the sample a program's exclusions and the directory leave."""

    NONE = "enough"
    MEANINGFUL = "under 20 %"
    EXTREME = "under 1 %"


def after_directory(
    guards: Guards, candidates: Candidates, *, now: UnixTime, choice: random.Random
) -> Guards:
    """Take a directory that is valid now into account, at the start and whenever a new one came."""
    sample = renew(guards.sample, candidates, now=now, choice=choice, numbers=guards.numbers)
    return with_sample(guards, sample)


def with_sample(guards: Guards, sample: Sample) -> Guards:
    """The same knowledge about another sample, for example one that was merged with the file."""
    known = {guard.relay_id for guard in sample}
    return replace(
        guards, sample=sample, marks=tuple(mark for mark in guards.marks if mark.relay_id in known)
    )


def primaries(guards: Guards, candidates: Candidates) -> tuple[RelayId, ...]:
    """The guards that are tried before all others, unrelated to each other where that is possible."""
    return candidates.apart(_usable(guards, candidates), guards.numbers.primaries)


def in_use(guards: Guards, candidates: Candidates) -> tuple[RelayId, ...]:
    """The guards that carry all paths as long as they can be reached."""
    return primaries(guards, candidates)[: guards.numbers.in_use]


def guard_for(
    guards: Guards, candidates: Candidates, *, taken: Taken, now: UnixTime
) -> ListedRelay | NoneReachable | NoneAllowed:
    """The guard for a path whose other relays rule out some: the first in order that is allowed and not down."""
    reasons: Counter[str] = Counter()
    marks: list[Mark] = []
    for relay_id in _preferred(guards, candidates):
        relay = candidates.listed[relay_id]
        reason = taken.refusal(relay.descriptor)
        if reason is not None:
            reasons[reason] += 1
            continue
        mark = guards.mark(relay_id)
        if mark is None or mark.retry_at <= now:
            return relay
        marks.append(mark)
    return NoneReachable(min(mark.retry_at for mark in marks)) if marks else NoneAllowed(reasons)


def reachable(guards: Guards, candidates: Candidates, *, now: UnixTime) -> tuple[RelayId, ...]:
    """The usable guards that are not down, or are due, in the order in which paths take them."""
    marks = ((relay_id, guards.mark(relay_id)) for relay_id in _preferred(guards, candidates))
    return tuple(relay_id for relay_id, mark in marks if mark is None or mark.retry_at <= now)


def after_success(
    guards: Guards, relay_id: RelayId, candidates: Candidates, *, now: UnixTime, choice: random.Random
) -> Guards:
    """A seal of hop 2 or later was opened over this guard: it is there, and it forwards."""
    was_silent = guards.is_silent(now)
    # Looked up after a silence only: each answer comes here, and relations of relays take longer than all the rest.
    first = primaries(guards, candidates) if was_silent else ()
    sample = guards.sample
    # What happens to answer first when the internet comes back must not become our guard for months:
    # the primaries get their chance, and only if they are still down will this one be confirmed.
    if not was_silent or relay_id in first:
        sample = confirm(sample, relay_id, now=now, choice=choice, numbers=guards.numbers)
    marks = tuple(mark for mark in guards.marks if mark.relay_id != relay_id)
    if was_silent:
        marks = tuple(mark for mark in marks if not _is_forgiven(mark, guards, first))
    return replace(guards, sample=sample, marks=marks, last_success_at=now)


def after_failure(
    guards: Guards,
    relay_id: RelayId,
    edge: Edge | None,
    candidates: Candidates,
    *,
    now: UnixTime,
    jitter: random.Random,
) -> Guards:
    """A path over this guard failed. Only a failure between the client and the guard itself marks it as down."""
    is_ours = any(guard.relay_id == relay_id for guard in guards.sample)
    if edge != FIRST_EDGE or not is_ours:
        return guards
    is_primary = relay_id in primaries(guards, candidates)
    mark = Mark(relay_id, now, _delay_s(guards, relay_id, is_primary=is_primary, now=now, jitter=jitter))
    others = tuple(each for each in guards.marks if each.relay_id != relay_id)
    return replace(guards, marks=(*others, mark))


def after_attempt(guards: Guards, relay_id: RelayId, outcome: Outcome) -> Guards:
    """Count the first exchange over a new path that began with this guard; see ``PathBias``."""
    return replace(guards, sample=count(guards.sample, relay_id, lambda bias: bias.after_attempt(outcome)))


def after_use(guards: Guards, relay_id: RelayId, outcome: Outcome) -> Guards:
    """Count a path over this guard that was used and is retired now; see ``PathBias``."""
    return replace(guards, sample=count(guards.sample, relay_id, lambda bias: bias.after_use(outcome)))


def restriction(guards: Guards, candidates: Candidates) -> Restriction:
    """How much of the sample is left; an empty sample leaves nothing."""
    usable = len(_usable(guards, candidates))
    if usable == 0 or usable < guards.numbers.extreme_restriction * len(guards.sample):
        return Restriction.EXTREME
    if usable < guards.numbers.meaningful_restriction * len(guards.sample):
        return Restriction.MEANINGFUL
    return Restriction.NONE


def _usable(guards: Guards, candidates: Candidates) -> list[RelayId]:
    return [guard.relay_id for guard in guards.sample if is_usable(guard, candidates)]


def _preferred(guards: Guards, candidates: Candidates) -> list[RelayId]:
    usable = _usable(guards, candidates)
    first = candidates.apart(usable, guards.numbers.primaries)
    return [*first, *(relay_id for relay_id in usable if relay_id not in first)]


def _is_forgiven(mark: Mark, guards: Guards, first: tuple[RelayId, ...]) -> bool:
    """Whether the silence that has just ended explains this mark, or the guard is worth another try at once."""
    last = guards.last_success_at
    return mark.relay_id in first or last is None or mark.since > last


def _delay_s(
    guards: Guards, relay_id: RelayId, *, is_primary: bool, now: UnixTime, jitter: random.Random
) -> float:
    """Decorrelated jitter: each delay is drawn between the base and three times the one before it."""
    numbers = guards.numbers
    base_s = numbers.primary_retry_base_s if is_primary else numbers.other_retry_base_s
    cap_s = numbers.primary_retry_cap_s if is_primary else numbers.other_retry_cap_s
    before = guards.mark(relay_id)
    # During a silence the guard isn't to blame, so that its delay doesn't grow.
    if before is None or guards.is_silent(now):
        return base_s
    return min(cap_s, jitter.uniform(base_s, max(base_s, 3 * before.delay_s)))
