"""The sample of guards: who is in it, in which order, and for how long. It is what a client must not forget.

| a guard is … | until … |
|---|---|
| added at the end, drawn by weight | it is used, or its lifetime ends |
| confirmed: a path over it worked; it moves behind those confirmed before it | its lifetimes end |
| unlisted: not used, but remembered in its place | it is listed again, or 20 days have passed |
| disabled: the path bias says that it kills paths; never used again | its lifetimes end |

The order never changes otherwise. Failures of any kind neither remove a guard nor add one; whether a guard can be
reached is none of this module's business (``guards``). Spec: docs/specs/guards.md §2 and §3.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from onionpath.crypto.identity import RelayId
from onionpath.injected import UnixTime
from onionpath.path.bias import PathBias
from onionpath.path.candidates import Candidates
from onionpath.path.choose import weighted_choice
from onionpath.path.guard_numbers import GuardNumbers


@dataclass(frozen=True, slots=True)
class Guard:
    """One relay of the sample. Dates are whole seconds and back-dated at random.

    Args:
        confirmed_at: when a path over it first worked.
        unlisted_since: when a directory first left it out; None while it is listed.
        is_disabled: whether its path bias was judged too bad, once and for all.
    """

    relay_id: RelayId
    added_at: UnixTime
    confirmed_at: UnixTime | None = None
    unlisted_since: UnixTime | None = None
    is_disabled: bool = False
    bias: PathBias = field(default_factory=PathBias)


Sample = tuple[Guard, ...]
"""In the order of preference: the confirmed ones as they were confirmed, then the others as they were drawn."""


def renew(
    sample: Sample, candidates: Candidates, *, now: UnixTime, choice: random.Random, numbers: GuardNumbers
) -> Sample:
    """Take a directory into account: note who is listed, let go whose time is over, and draw what is missing.

    Args:
        now: vouched for by a directory that is valid, since dates decide who is let go.
    """
    noted = (_noted(guard, candidates, now, choice, numbers) for guard in sample)
    kept = tuple(guard for guard in noted if not _is_over(guard, now, numbers))
    return _extended(kept, candidates, now=now, choice=choice, numbers=numbers)


def confirm(
    sample: Sample, relay_id: RelayId, *, now: UnixTime, choice: random.Random, numbers: GuardNumbers
) -> Sample:
    """Note that a path over this guard worked; it keeps its place if that was known, or it is no guard."""
    date = _back_dated(now, numbers.confirmed_lifetime_s, choice, numbers)
    fresh = [
        replace(guard, confirmed_at=date)
        for guard in sample
        if guard.relay_id == relay_id and guard.confirmed_at is None
    ]
    if not fresh:
        return sample
    confirmed = [guard for guard in sample if guard.confirmed_at is not None]
    others = [guard for guard in sample if guard.confirmed_at is None and guard.relay_id != relay_id]
    return (*confirmed, *fresh, *others)


def count(sample: Sample, relay_id: RelayId, counted: Callable[[PathBias], PathBias]) -> Sample:
    """Count something of a guard; one that is disabled by it stays so, and in its place, lest it be drawn anew."""
    others = [guard.bias for guard in sample if guard.relay_id != relay_id and not guard.is_disabled]
    return tuple(
        _judged(guard, counted(guard.bias), others) if guard.relay_id == relay_id else guard
        for guard in sample
    )


def is_usable(guard: Guard, candidates: Candidates) -> bool:
    """Whether a path may begin with this guard now, as far as the sample knows."""
    return not guard.is_disabled and guard.relay_id in candidates.usable


def _judged(guard: Guard, bias: PathBias, others: Sequence[PathBias]) -> Guard:
    is_bad = any(bias.is_worse_than(other) for other in others)
    return replace(guard, bias=bias, is_disabled=guard.is_disabled or is_bad)


def _noted(
    guard: Guard, candidates: Candidates, now: UnixTime, choice: random.Random, numbers: GuardNumbers
) -> Guard:
    unlisted_since = guard.unlisted_since
    if guard.relay_id in candidates.listed:
        unlisted_since = None
    elif unlisted_since is None:
        unlisted_since = _back_dated(now, numbers.unlisted_lifetime_s, choice, numbers)
    # A clock that was ahead when a date was written must not keep a guard for years.
    return replace(
        guard,
        added_at=min(guard.added_at, now),
        confirmed_at=None if guard.confirmed_at is None else min(guard.confirmed_at, now),
        unlisted_since=None if unlisted_since is None else min(unlisted_since, now),
    )


def _is_over(guard: Guard, now: UnixTime, numbers: GuardNumbers) -> bool:
    if guard.unlisted_since is not None and now - guard.unlisted_since >= numbers.unlisted_lifetime_s:
        return True
    is_old = now - guard.added_at >= numbers.lifetime_s
    return is_old and (guard.confirmed_at is None or now - guard.confirmed_at >= numbers.confirmed_lifetime_s)


def _extended(
    sample: Sample, candidates: Candidates, *, now: UnixTime, choice: random.Random, numbers: GuardNumbers
) -> Sample:
    known = {guard.relay_id for guard in sample}
    pool = [candidates.listed[relay_id] for relay_id in sorted(candidates.usable - known)]
    while pool and _wants_more(sample, candidates, numbers):
        if len(sample) >= numbers.max_sample:
            sample = _with_room(sample)
        if len(sample) >= numbers.max_sample:
            break
        relay = weighted_choice(pool, choice)
        pool.remove(relay)
        added_at = _back_dated(now, numbers.lifetime_s, choice, numbers)
        sample = (*sample, Guard(relay.relay_id, added_at))
    return sample


def _wants_more(sample: Sample, candidates: Candidates, numbers: GuardNumbers) -> bool:
    usable = sum(is_usable(guard, candidates) for guard in sample)
    if usable < numbers.fewest_usable:
        return True
    if usable >= numbers.enough_usable or len(sample) >= numbers.max_sample:
        return False
    known = [candidates.listed[guard.relay_id] for guard in sample if guard.relay_id in candidates.listed]
    total = sum(relay.weight for relay in candidates.listed.values())
    return 100 * sum(relay.weight for relay in known) < numbers.max_sample_weight_percent * total


def _with_room(sample: Sample) -> Sample:
    """Forget the guard that is unlisted for longest: a full sample of vanished relays would end the client."""
    unlisted = [guard for guard in sample if guard.unlisted_since is not None and not guard.is_disabled]
    longest = min(unlisted, key=lambda guard: guard.unlisted_since or 0.0, default=None)
    return tuple(guard for guard in sample if guard is not longest)


def _back_dated(now: UnixTime, lifetime_s: float, choice: random.Random, numbers: GuardNumbers) -> UnixTime:
    return UnixTime(float(int(now - choice.random() * lifetime_s * numbers.back_dating)))
