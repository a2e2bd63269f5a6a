"""What a client says of its paths, without using any."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from onionpath.client.path_pool import PathPool
from onionpath.client.path_report import GuardState, PathReport
from onionpath.client.ready_path import Need
from onionpath.crypto.identity import RelayId
from onionpath.errors import Edge
from onionpath.injected import UnixTime
from onionpath.onion.geometry import SizeClass
from onionpath.path.constraints import Constraints
from onionpath.path.ended import Ended
from onionpath.path.guards import Restriction
from onionpath.path.sample import Guard
from onionpath.service.calls import ServiceId
from tests.directory.networks import NOW, descriptor, network

STREAM = Need(ServiceId.STREAM, 443)
TWELVE = network([descriptor(name, exit_policy=("accept *:443",)) for name in range(12)]).directory()


@pytest.fixture
def paths() -> PathPool:
    pool = PathPool(random.Random(1))
    pool.use(TWELVE, now=NOW)
    return pool


def report(paths: PathPool, *, need: Need = STREAM) -> PathReport:
    return paths.report(TWELVE, need, now=NOW)


def states(found: PathReport) -> list[GuardState]:
    return [each.state for each in found.guards]


def change_guard(paths: PathPool, index: int, **changes: object) -> RelayId:
    """The guard at this place of the sample, changed."""
    guards = paths.experience.guards
    sample: list[Guard] = list(guards.sample)
    sample[index] = replace(sample[index], **changes)  # type: ignore[arg-type]
    paths.experience = replace(paths.experience, guards=replace(guards, sample=tuple(sample)))
    return sample[index].relay_id


def test_a_path_is_drawn_by_the_rules_and_kept_by_nobody(paths: PathPool) -> None:
    before = paths.memory
    found = report(paths)

    assert 3 == len(set(found.path))
    assert found.path[0] in {each.relay_id for each in found.guards if each.state is GuardState.IN_USE}
    assert found.path[1] in {each.relay_id for each in found.middles}
    assert found.path[2] in found.exits
    assert (0, before) == (len(paths), paths.memory)


def test_of_fresh_guards_two_are_in_use_and_one_is_next(paths: PathPool) -> None:
    found = report(paths)

    assert [GuardState.IN_USE, GuardState.IN_USE, GuardState.PRIMARY] == states(found)[:3]
    assert {GuardState.SPARE} >= set(states(found)[3:])
    assert Restriction.NONE is found.restriction


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({"is_disabled": True}, GuardState.DISABLED),
        ({"is_disabled": True, "unlisted_since": NOW}, GuardState.DISABLED),
        ({"unlisted_since": UnixTime(NOW - 5)}, GuardState.UNLISTED),
        ({"relay_id": RelayId(bytes(32))}, GuardState.UNUSABLE),
    ],
)
def test_a_guard_that_is_not_used_says_why(
    paths: PathPool, changes: dict[str, object], state: GuardState
) -> None:
    relay = change_guard(paths, 0, **changes)
    first = report(paths).guards[0]

    assert (relay, state) == (first.relay_id, first.state)


def test_an_unlisted_guard_says_since_when(paths: PathPool) -> None:
    change_guard(paths, 0, unlisted_since=UnixTime(NOW - 5))

    assert NOW - 5 == report(paths).guards[0].since


def test_a_guard_that_is_down_says_until_when(paths: PathPool) -> None:
    ready = paths.ready(TWELVE, STREAM, "a", now=NOW)
    is_first = paths.begin(ready)
    lost = Ended(SizeClass.SMALL, 5.0, edge=Edge(-1, 0))
    paths.learn(ready, lost, is_first=is_first, now=NOW)

    (down,) = (each for each in report(paths).guards if each.state is GuardState.DOWN)
    assert (ready.guard, NOW, NOW + 30) == (down.relay_id, down.since, down.retry_at)


def test_every_place_says_who_was_refused_and_why(paths: PathPool) -> None:
    found = report(paths)

    assert [2, 0, 1] == [each.position for each in found.positions]
    assert {12} == {each.relays for each in found.positions}
    last, first, second = (each.reasons for each in found.positions)
    assert {} == dict(last)
    assert first["not-a-guard"] + 3 + first["already-on-path"] >= 11
    assert second["not-a-chosen-middle"] >= 6


def test_without_a_path_the_reason_is_there_and_the_rest_too() -> None:
    """Whoever has no path needs the report most."""
    paths = PathPool(random.Random(1), constraints=Constraints(exits=frozenset()))
    paths.use(TWELVE, now=NOW)
    found = report(paths)

    assert found.failure is not None
    assert {"exit-not-wanted": 12} == dict(found.failure.reasons)
    assert ((), (), frozenset()) == (found.path, found.positions, found.exits)
    assert found.guards
    assert found.middles
