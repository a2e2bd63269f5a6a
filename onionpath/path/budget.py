"""The privacy budget: how likely it is that somebody with a part of the network has seen something of us, and when.

Closed forms over one directory and our own numbers; what they take for granted stands in docs/guides/paths.md.
Spec: docs/specs/guards.md §10.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from onionpath.crypto.identity import RelayId
from onionpath.path.exposure import exposure, guard_exposure, middle_exposure
from onionpath.path.guard_numbers import DAY_S, GUARD_NUMBERS, MIDDLE_NUMBERS
from onionpath.path.relays import ListedRelay, RelayList

MARKS_DAYS = (30, 180, 365)
# About a day of use: a path lives for ten minutes, and each destination has its own.
MANY_PATHS = 50
# With two hops the second one is the exit, and nobody stands between.
HOPS_WITH_MIDDLE = 3


@dataclass(frozen=True, slots=True)
class Exposed:
    """What has happened until then: probabilities.

    Args:
        guard: we have used a bad guard.
        middle: we have used a bad sticky middle; None where paths have none.
    """

    days: int
    guard: float
    middle: float | None


@dataclass(frozen=True, slots=True)
class Budget:
    """What one adversary gains; shares are of the network's weight, 0 to 1.

    Args:
        bad_share: his, which is assumed.
        largest_relay, largest_family: what single relays and declared families have, to judge the assumption by.
        exits: relays that may be last on the path in question.
        exit_share: theirs.
        bad_exits: his share of the exits, if all his relays are among them.
        linked_now: the probability that both ends of one path are his.
        linked_of_many: the probability that both ends of one or more of 50 paths are his, over a guard of his.
        over_time: after 30, 180 and 365 days.
    """

    bad_share: float
    largest_relay: float
    largest_family: float
    exits: int
    exit_share: float
    bad_exits: float
    linked_now: float
    linked_of_many: float
    over_time: tuple[Exposed, ...]


def budget(directory: RelayList, exits: Collection[RelayId], *, bad_share: float) -> Budget:
    """The budget of a client of any age.

    Args:
        exits: relays of the directory that may be last; with none, no path is linked, since there is none.
        bad_share: above 0, below 1.
    """
    relays = directory.relays
    total = max(sum(relay.weight for relay in relays.values()), 1)
    exit_share = sum(relays[each].weight for each in exits) / total
    bad_exits = min(1.0, bad_share / exit_share) if exit_share else 0.0
    has_middles = directory.hops >= HOPS_WITH_MIDDLE
    return Budget(
        bad_share=bad_share,
        largest_relay=max((relay.weight for relay in relays.values()), default=0) / total,
        largest_family=max((_family_weight(relay, relays) for relay in relays.values()), default=0) / total,
        exits=len(exits),
        exit_share=exit_share,
        bad_exits=bad_exits,
        linked_now=bad_share * bad_exits,
        linked_of_many=exposure(bad_exits, MANY_PATHS),
        over_time=tuple(_exposed(bad_share, days, has_middles=has_middles) for days in MARKS_DAYS),
    )


def _exposed(bad_share: float, days: int, *, has_middles: bool) -> Exposed:
    lifetime_days = GUARD_NUMBERS.lifetime_s / DAY_S
    guard = guard_exposure(bad_share, guards=GUARD_NUMBERS.in_use, days=days, lifetime_days=lifetime_days)
    middle = middle_exposure(
        bad_share,
        middles=MIDDLE_NUMBERS.count,
        days=days,
        mean_lifetime_days=MIDDLE_NUMBERS.mean_s / DAY_S,
    )
    return Exposed(days, guard, middle if has_middles else None)


def _family_weight(relay: ListedRelay, relays: Mapping[RelayId, ListedRelay]) -> int:
    """Of a relay and all those that it names; whom others name beside counts where those are asked."""
    named = {relay.relay_id, *relay.descriptor.family}
    return sum(relays[each].weight for each in named if each in relays)
