"""What a client can say of its paths: its guards and middles, a path as it would draw one now, and why that one.

A report is a value; making one changes nothing, and the path in it is used by nobody.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from onionpath.client.path_draw import PathDraw
from onionpath.client.ready_path import NOTHING_LEFT_OUT, Need
from onionpath.crypto.identity import RelayId
from onionpath.errors import NoPathError
from onionpath.injected import UnixTime
from onionpath.path.bias import PathBias
from onionpath.path.candidates import Candidates
from onionpath.path.choose import Refusals
from onionpath.path.experience import Experience
from onionpath.path.guards import Guards, Restriction, in_use, primaries, restriction
from onionpath.path.sample import Guard


class GuardState(Enum):
    """What a guard is now; the first that applies."""

    DISABLED = "disabled"  # it carried too few of its paths, and is never used again
    UNLISTED = "unlisted"  # the directory doesn't have it
    UNUSABLE = "unusable"  # without weight, without a key for now, or not wanted
    DOWN = "down"  # could not be reached; tried again at ``retry_at``
    IN_USE = "in use"  # paths begin here
    PRIMARY = "primary"  # the next one, and for paths whose ends suit no other
    SPARE = "spare"  # only when all primaries are down


@dataclass(frozen=True, slots=True)
class GuardReport:
    """One guard.

    Args:
        since: of the state where that has a date, otherwise of the first use or the draw; up to 12 days too early.
        is_confirmed: a path over it has worked.
        retry_at: when one that is down is tried again; only this process knows.
        bias: how many paths it was given, and how many it carried.
    """

    relay_id: RelayId
    state: GuardState
    since: UnixTime
    is_confirmed: bool
    retry_at: UnixTime | None
    bias: PathBias


@dataclass(frozen=True, slots=True)
class MiddleReport:
    """One sticky middle, and until when it stays."""

    relay_id: RelayId
    until: UnixTime
    is_usable: bool


@dataclass(frozen=True, slots=True)
class PathReport:
    """All of it.

    Args:
        guards, middles: in their order.
        restriction: how much of the sample can be used.
        path: first hop first; empty if there is none.
        failure: why there is none.
        positions: in the order of drawing, who was refused there and why; empty without a path.
        exits: all relays that may be last.
    """

    guards: tuple[GuardReport, ...]
    middles: tuple[MiddleReport, ...]
    restriction: Restriction
    path: tuple[RelayId, ...]
    failure: NoPathError | None
    positions: tuple[Refusals, ...]
    exits: frozenset[RelayId]


def report_of(
    draw: PathDraw, need: Need, experience: Experience, *, choice: random.Random, now: UnixTime
) -> PathReport:
    """What is known now, with a path that is drawn for this report only.

    Raises:
        MissingDirectoryError: too little of the network can be used.
    """
    places = draw.places(now)
    path: tuple[RelayId, ...] = ()
    positions: tuple[Refusals, ...] = ()
    failure: NoPathError | None = None
    try:
        ready = draw.draw(need, experience, NOTHING_LEFT_OUT, choice=choice, now=now)
    except NoPathError as error:
        failure = error
    else:
        path = ready.relays
        positions = draw.explain(need, experience, ready.path, now=now)
    return PathReport(
        guards=_guards(experience.guards, places.first, now),
        middles=tuple(
            MiddleReport(
                each.relay_id, each.until, now < each.until and each.relay_id in places.second.usable
            )
            for each in experience.middles
        ),
        restriction=restriction(experience.guards, places.first),
        path=path,
        failure=failure,
        positions=positions,
        exits=draw.exits(need, now=now),
    )


def _guards(guards: Guards, candidates: Candidates, now: UnixTime) -> tuple[GuardReport, ...]:
    states: dict[RelayId, GuardState] = dict.fromkeys(primaries(guards, candidates), GuardState.PRIMARY)
    states |= dict.fromkeys(in_use(guards, candidates), GuardState.IN_USE)
    return tuple(_guard(each, guards, candidates, states, now) for each in guards.sample)


def _guard(
    guard: Guard,
    guards: Guards,
    candidates: Candidates,
    states: Mapping[RelayId, GuardState],
    now: UnixTime,
) -> GuardReport:
    mark = guards.mark(guard.relay_id)
    is_confirmed = guard.confirmed_at is not None
    since = guard.added_at if guard.confirmed_at is None else guard.confirmed_at
    retry_at = None
    if guard.is_disabled:
        state = GuardState.DISABLED
    elif guard.unlisted_since is not None:
        state, since = GuardState.UNLISTED, guard.unlisted_since
    elif guard.relay_id not in candidates.usable:
        state = GuardState.UNUSABLE
    elif mark is not None and mark.retry_at > now:
        state, since, retry_at = GuardState.DOWN, mark.since, mark.retry_at
    else:
        state = states.get(guard.relay_id, GuardState.SPARE)
    return GuardReport(guard.relay_id, state, since, is_confirmed, retry_at, guard.bias)
