"""Which paths an authority measures, and when."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onionpath.crypto.identity import RelayId
from onionpath.directory.directory import Relay
from onionpath.injected import UnixTime
from onionpath.onion.geometry import Geometry, SizeClass
from relay.authority.measures import Measure
from relay.authority.probe_paths import Probe, next_probe
from relay.authority.turns import TURNS_PER_PERIOD, Rules, Schedule, Turn
from tests.directory.networks import NOW, descriptor, identity

PERIOD_S = 3_600.0
RULES = Rules(Geometry(), True, PERIOD_S)
SEEDS = st.integers(min_value=0, max_value=2**32)


def relays(count: int) -> dict[RelayId, Relay]:
    return {identity(name).relay_id: Relay(descriptor(name), 1000) for name in range(count)}


def planned(
    known: Mapping[RelayId, Relay],
    seed: int,
    *,
    rules: Rules = RULES,
    measures: Mapping[RelayId, Measure] | None = None,
    seconds: int = int(PERIOD_S),
    step_s: int = 60,
) -> list[tuple[int, Probe]]:
    """All probes of some time, each over as soon as it has begun."""
    choice, schedule, probes = Random(seed), Schedule(), []
    # A period's very start, so that one budget is for all of them.
    start = NOW - NOW % rules.period_s
    for after in range(0, seconds, step_s):
        now = UnixTime(start + after)
        while True:
            schedule, probe = next_probe(
                schedule, known, measures or {}, rules, busy=(), now=now, choice=choice
            )
            if probe is None:
                break
            probes.append((after, probe))
    return probes


def all_as_fast(known: Mapping[RelayId, Relay], kib_s: int) -> dict[RelayId, Measure]:
    return dict.fromkeys(known, Measure(True, kib_s))


@given(SEEDS, st.integers(3, 9), st.integers(2, 3))
@settings(max_examples=25, deadline=None)
def test_a_path_has_the_networks_length_and_no_relay_twice(seed: int, count: int, hops: int) -> None:
    known = relays(count)
    for _, probe in planned(known, seed, rules=Rules(Geometry(hops=hops), True, PERIOD_S)):
        assert hops == len(set(probe.relay_ids))
        assert probe.measured == probe.relay_ids[probe.position]


@given(SEEDS, st.integers(3, 9))
@settings(max_examples=25, deadline=None)
def test_no_relay_carries_more_than_its_budget_in_a_period(seed: int, count: int) -> None:
    known = relays(count)
    carried: Counter[RelayId] = Counter()
    for _, probe in planned(known, seed, measures=all_as_fast(known, 50_000)):
        carried.update(dict.fromkeys(probe.relay_ids, RULES.bytes_of(probe.train)))

    assert max(carried.values()) <= RULES.budget_bytes


def test_whoever_has_carried_his_budget_has_no_turn_before_the_next_period() -> None:
    known = relays(5)
    one = identity(0).relay_id
    start = UnixTime(NOW - NOW % PERIOD_S)
    full = Schedule(int(NOW // PERIOD_S), {one: Turn(start)}, {one: RULES.budget_bytes})

    def probe_of(schedule: Schedule, now: float) -> Probe | None:
        return next_probe(schedule, known, {}, RULES, busy=(), now=UnixTime(now), choice=Random(1))[1]

    assert probe_of(replace(full, spent_bytes={}), start) is not None
    assert probe_of(full, start) is None
    assert probe_of(full, start + PERIOD_S) is not None


@given(SEEDS)
@settings(max_examples=10, deadline=None)
def test_each_relay_has_its_turns_spread_over_the_period(seed: int) -> None:
    """At the start of a period nobody is measured, and no half of it goes without a turn of any relay."""
    turns: dict[RelayId, list[int]] = {}
    for after, probe in planned(relays(7), seed):
        turns.setdefault(probe.measured, []).append(after)

    assert 7 == len(turns)
    for times in turns.values():
        assert TURNS_PER_PERIOD - 2 <= len(times) <= 2 * TURNS_PER_PERIOD
        assert any(time < PERIOD_S / 2 for time in times)
        assert any(time >= PERIOD_S / 2 for time in times)


def test_three_relays_are_enough() -> None:
    measured = {probe.measured for _, probe in planned(relays(3), seed=1)}

    assert set(relays(3)) == measured


def test_two_relays_are_too_few() -> None:
    assert [] == planned(relays(2), seed=1)


def test_over_some_turns_a_relay_stands_everywhere() -> None:
    one = identity(0).relay_id
    positions = {probe.position for _, probe in planned(relays(5), seed=1) if probe.measured == one}

    assert {0, 1, 2} == positions


def test_only_the_middle_carries_trains() -> None:
    """The first relay knows the authority by its address, the last knows an echo: both could be fast just for them."""
    trains = {(probe.position, probe.train > 0) for _, probe in planned(relays(5), seed=1)}

    assert {(0, False), (1, True), (2, False)} == trains


def test_paths_of_two_hops_carry_trains_at_their_end() -> None:
    rules = Rules(Geometry(hops=2), True, PERIOD_S)
    trains = {(probe.position, probe.train > 0) for _, probe in planned(relays(4), 1, rules=rules)}

    assert {(0, False), (1, True)} == trains


def test_a_fast_relay_gets_a_longer_train_within_bounds() -> None:
    large = RULES.geometry.frame_size(SizeClass.LARGE) // 1024

    assert 4 == RULES.train_length(None)
    assert 4 == RULES.train_length(1)
    assert 16 == RULES.train_length(8 * large)
    assert 32 == RULES.train_length(10**9)


def test_a_short_period_has_shorter_trains() -> None:
    assert 8 == Rules(Geometry(), True, 60.0).train_length(10**9)


def test_whoever_is_on_a_path_now_is_on_no_second_one() -> None:
    """Two trains through one relay would halve each other."""
    known = relays(6)
    busy = sorted(known)[:3]
    schedule, paths = Schedule(), []
    for seed in range(40):
        schedule, probe = next_probe(
            schedule, known, {}, RULES, busy=busy, now=UnixTime(NOW + 90 * seed), choice=Random(seed)
        )
        paths += [] if probe is None else [probe]

    assert paths
    assert all(set(busy).isdisjoint(probe.relay_ids) for probe in paths)


def test_the_same_choice_makes_the_same_plan() -> None:
    assert planned(relays(6), seed=3) == planned(relays(6), seed=3)
    assert planned(relays(6), seed=3) != planned(relays(6), seed=4)


def test_partners_are_at_least_as_fast_where_there_are_enough() -> None:
    """Otherwise a path would show its partners' rate."""
    known = relays(12)
    measures = {relay: Measure(True, 1_000 if rank < 6 else 100) for rank, relay in enumerate(sorted(known))}
    fast = {relay for relay, measure in measures.items() if measure.capacity_kib_s == 1_000}
    probes = [probe for _, probe in planned(known, 1, measures=measures) if probe.measured in fast]

    assert probes
    assert all(fast.issuperset(probe.relay_ids) for probe in probes)


def test_a_relay_that_nobody_reaches_is_tried_and_is_nobodys_partner() -> None:
    known = relays(6)
    lost = identity(0).relay_id
    measures = {**all_as_fast(known, 100), lost: Measure(False, None)}
    probes = [probe for _, probe in planned(known, 1, measures=measures)]

    assert {lost} == {probe.measured for probe in probes if lost in probe.relay_ids}


@pytest.mark.parametrize("broken", ["family", "network"])
def test_no_path_is_one_that_clients_would_not_take(broken: str) -> None:
    changes = {"family": {"family": (identity(1).relay_id,)}, "network": {}}[broken]
    known = relays(5)
    first, second = identity(0).relay_id, identity(1).relay_id
    one = replace(known[first].descriptor, **changes)  # type: ignore[arg-type]
    if broken == "network":
        one = replace(one, addresses=known[second].descriptor.addresses)
    known[first] = Relay(one, 1000)

    assert not [probe for _, probe in planned(known, 1) if {first, second} <= set(probe.relay_ids)]


def test_a_relay_without_a_key_for_now_is_on_no_path() -> None:
    known = relays(5)
    first = identity(0).relay_id
    keys = known[first].descriptor.packet_keys
    past = tuple(replace(key, valid_from=UnixTime(1), valid_until=UnixTime(2)) for key in keys[:1])
    known[first] = Relay(replace(known[first].descriptor, packet_keys=past), 1000)

    assert not [probe for _, probe in planned(known, 1) if first in probe.relay_ids]
