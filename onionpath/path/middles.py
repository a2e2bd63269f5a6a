"""Sticky middles: few relays that stand second on all paths for days.

Whoever kills paths would otherwise force new draws until a middle of his own comes up. Therefore what happens on paths
never changes this set; a middle goes only when its time is over, the directory no longer lists it, or the program's
user excludes it.
Spec: docs/specs/guards.md §6.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass

from onionpath.crypto.identity import RelayId
from onionpath.injected import UnixTime
from onionpath.path.candidates import Candidates
from onionpath.path.choose import weighted_choice
from onionpath.path.guard_numbers import MIDDLE_NUMBERS, MiddleNumbers
from onionpath.path.relays import ListedRelay


@dataclass(frozen=True, slots=True)
class Middle:
    """A relay that stands second until ``until``, whole seconds."""

    relay_id: RelayId
    until: UnixTime


Middles = tuple[Middle, ...]


def renew_middles(
    middles: Middles,
    candidates: Candidates,
    *,
    guards: Iterable[RelayId],
    now: UnixTime,
    choice: random.Random,
    numbers: MiddleNumbers = MIDDLE_NUMBERS,
) -> Middles:
    """Let go whose time is over, who is unlisted or excluded, and draw others by weight until there are enough.

    Args:
        guards: those in use; a middle that is related to none of them fits any path.
        now: vouched for by a directory that is valid.
    """
    kept = [
        middle
        for middle in middles
        # A lifetime that ends beyond the longest was written under a clock that was ahead.
        if now < middle.until <= now + numbers.longest_s
        and middle.relay_id in candidates.listed
        and middle.relay_id not in candidates.excluded
    ]
    while len(kept) < numbers.count:
        relay = _drawn(kept, candidates, guards, choice)
        if relay is None:
            break
        kept.append(Middle(relay.relay_id, _until(now, choice, numbers)))
    return tuple(kept)


def usable_middles(middles: Middles, candidates: Candidates, *, now: UnixTime) -> frozenset[RelayId]:
    """The relays that may stand second now."""
    return frozenset(
        middle.relay_id for middle in middles if now < middle.until and middle.relay_id in candidates.usable
    )


def _drawn(
    kept: list[Middle], candidates: Candidates, guards: Iterable[RelayId], choice: random.Random
) -> ListedRelay | None:
    """A relay unrelated to the guards and the other middles; where there is none, any that is not yet a middle."""
    chosen = {middle.relay_id for middle in kept}
    pool = [candidates.listed[relay_id] for relay_id in sorted(candidates.usable - chosen)]
    taken = candidates.taken_by([*guards, *chosen])
    apart = [relay for relay in pool if taken.refusal(relay.descriptor) is None]
    return weighted_choice(apart or pool, choice) if pool else None


def _until(now: UnixTime, choice: random.Random, numbers: MiddleNumbers) -> UnixTime:
    lifetime_s = max(choice.uniform(numbers.shortest_s, numbers.longest_s) for _ in range(2))
    return UnixTime(float(int(now + lifetime_s)))
