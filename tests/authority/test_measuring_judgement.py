"""What an authority concludes from echoes, also where some relays are dead, slow or lie."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from random import Random

import pytest

from onionpath.crypto.identity import RelayId
from onionpath.directory.directory import Directory
from onionpath.errors import Edge
from onionpath.injected import UnixTime
from relay.authority.findings import Broken, Echoed, Finding, Outcome
from relay.authority.measures import Measure, Measures
from relay.authority.measuring import Measuring
from relay.authority.probe_paths import Probe
from tests.directory.networks import NOW, PERIOD_S, descriptor, identity, network

LARGE_KIB = 128
A, B, C, D, E, F = (RelayId(bytes([number]) * 32) for number in range(6))
Behaviour = Callable[[Probe], Outcome]


@lru_cache
def directory(count: int) -> Directory:
    # One document for all of a test's periods.
    made = network([descriptor(name) for name in range(count)], valid_until=UnixTime(NOW + 3 * PERIOD_S - 60))
    return made.directory()


def name(number: int) -> RelayId:
    return identity(number).relay_id


def run(behaviour: Behaviour, *, count: int, periods: float, seed: int = 1) -> dict[RelayId, Measure]:
    """Measure a network for some periods, each probe over at once, and give what is known at the end."""
    listed = directory(count)
    measuring = Measuring(listed.document.parameters, period_s=PERIOD_S, choice=Random(seed))
    end = UnixTime(NOW + periods * PERIOD_S)
    now = NOW
    while now < end:
        while (probe := measuring.due(listed, now)) is not None:
            measuring.ended(probe, behaviour(probe), now)
        now = UnixTime(now + 20)
    return {relay: measuring.measure(relay, now) for relay in listed.relays}


def trained(packets: int, seconds: float) -> Echoed:
    """All packets of a train came back."""
    return Echoed(packets, packets, packets * LARGE_KIB, seconds)


def rated(capacities: Mapping[RelayId, float], choice: Random) -> Behaviour:
    """Every path is as fast as its slowest relay, less what other traffic takes."""

    def outcome(probe: Probe) -> Outcome:
        slowest = min(capacities[relay] for relay in probe.relay_ids)
        kib = probe.train * LARGE_KIB
        return trained(probe.train, kib / (slowest * choice.uniform(0.5, 1.0)))

    return outcome


def works(probe: Probe) -> Outcome:
    return trained(probe.train, 1.0)


def dead(*gone: RelayId) -> Behaviour:
    """Whoever stands before a dead relay says that it could not be reached, and speaks the truth."""

    def outcome(probe: Probe) -> Outcome:
        first = next((at for at, relay in enumerate(probe.relay_ids) if relay in gone), None)
        return works(probe) if first is None else Broken(Edge(first - 1, first))

    return outcome


# Reachability.


def finding(path: tuple[RelayId, ...], outcome: Outcome, at: float) -> Finding:
    return Finding(path, None, outcome, UnixTime(NOW + at))


def judged(*findings: Finding) -> Measures:
    measures = Measures(period_s=PERIOD_S)
    for each in findings:
        measures.note(each)
    return measures


THREE_ACCUSE_A = (
    finding((B, C, D), Echoed(), 1),
    finding((C, D, B), Echoed(), 2),
    finding((B, A, C), Broken(Edge(0, 1)), 3),
    finding((C, A, D), Broken(Edge(0, 1)), 4),
    finding((D, A, B), Broken(Edge(0, 1)), 5),
)


def is_reachable(measures: Measures, relay: RelayId, *, after: float = 10) -> bool:
    return measures.measure(relay, UnixTime(NOW + after)).reachable


def test_a_relay_that_three_heard_ones_accuse_is_unreachable() -> None:
    assert not is_reachable(judged(*THREE_ACCUSE_A), A)


def test_its_accusers_are_reachable() -> None:
    assert all(is_reachable(judged(*THREE_ACCUSE_A), relay) for relay in (B, C, D))


def test_two_witnesses_are_too_few() -> None:
    assert is_reachable(judged(*THREE_ACCUSE_A[:-1]), A)


def test_one_witness_that_says_it_often_is_one() -> None:
    again = [finding((B, A, C), Broken(Edge(0, 1)), 3 + time) for time in range(5)]

    assert is_reachable(judged(*THREE_ACCUSE_A[:2], *again), A)


def test_an_echo_clears_a_relay_of_all_before_it() -> None:
    assert is_reachable(judged(*THREE_ACCUSE_A, finding((E, A, F), Echoed(), 6)), A)


def test_whoever_carries_for_others_and_answers_nobody_is_unreachable() -> None:
    """An exit that fails as an exit matters, whatever passes through it."""
    refusals = [finding((E, other, A), Broken(Edge(1, 2)), 4) for other in (B, C, D)]
    later = [finding((B, C, D), Echoed(), 5), finding((C, A, B), Echoed(), 6)]

    assert not is_reachable(judged(*refusals, *later), A)


def test_a_failure_clears_those_before_whoever_reports_it() -> None:
    """The reporter's seal came through them."""
    report = finding((A, B, C), Broken(Edge(1, 2)), 6)

    assert is_reachable(judged(*THREE_ACCUSE_A, report), A)


def test_witnesses_that_nobody_has_heard_since_are_none() -> None:
    """Three dead relays beside one that lives must not take it with them."""
    heard_first = [finding((B, C, D), Echoed(), 1), finding((E, A, F), Echoed(), 2)]

    assert is_reachable(judged(*heard_first, *THREE_ACCUSE_A[2:]), A)


def test_the_authority_is_a_witness_once_it_has_heard_anybody_since() -> None:
    mine = finding((A, B, C), Broken(Edge(-1, 0)), 6)

    assert is_reachable(judged(*THREE_ACCUSE_A[:-1]), A)
    assert not is_reachable(judged(*THREE_ACCUSE_A[:-1], mine), A)


def test_accusations_are_forgotten_after_two_periods() -> None:
    measures = judged(*THREE_ACCUSE_A)

    assert not is_reachable(measures, A, after=2 * PERIOD_S)
    assert is_reachable(measures, A, after=2 * PERIOD_S + 10)


def test_while_our_own_network_is_down_nobody_becomes_unreachable() -> None:
    measures = run(lambda probe: Broken(Edge(-1, 0)), count=6, periods=1)

    assert {True} == {measure.reachable for measure in measures.values()}


@pytest.mark.parametrize("seed", range(3))
def test_a_dead_relay_is_noticed_within_six_turns_and_takes_nobody_with_it(seed: int) -> None:
    """Six turns are a period and a half."""
    measures = run(dead(name(0)), count=8, periods=1.5, seed=seed)

    assert {name(0)} == {relay for relay, measure in measures.items() if not measure.reachable}


def test_three_dead_relays_take_nobody_with_them() -> None:
    gone = {name(0), name(1), name(2)}
    measures = run(dead(*gone), count=8, periods=1.5)

    assert gone == {relay for relay, measure in measures.items() if not measure.reachable}


@pytest.mark.parametrize("seed", range(3))
def test_one_liar_that_drops_whatever_goes_to_its_rivals_unlists_nobody(seed: int) -> None:
    liar, rivals = name(0), {name(1), name(2)}

    def lies(probe: Probe) -> Outcome:
        for at, (one, next_one) in enumerate(zip(probe.relay_ids, probe.relay_ids[1:], strict=False)):
            if one == liar and next_one in rivals:
                return Broken(Edge(at, at + 1))
        return works(probe)

    measures = run(lies, count=6, periods=2, seed=seed)

    assert rivals.isdisjoint(relay for relay, measure in measures.items() if not measure.reachable)


# Capacity.


def test_without_a_train_nothing_is_known_of_capacity() -> None:
    assert Measure(True, None) == judged(finding((A, B, C), Echoed(), 1)).measure(B, NOW)


def test_a_train_rates_the_relay_whose_turn_it_was() -> None:
    measures = judged(Finding((A, B, C), B, trained(8, 2.0), NOW))

    assert [None, 512, None] == [measures.measure(relay, NOW).capacity_kib_s for relay in (A, B, C)]


def test_of_twelve_rates_the_third_from_the_top_counts() -> None:
    trains = [Finding((A, B, C), B, trained(1, LARGE_KIB / kib), NOW) for kib in range(1, 13)]

    assert 10 == judged(*trains).measure(B, NOW).capacity_kib_s


def test_a_train_that_never_came_back_is_a_rate_of_nothing() -> None:
    """Otherwise whoever drops what makes it look slow would look fast."""
    assert 0 == judged(Finding((A, B, C), B, Echoed(4, 0, 0.0, 20.0), NOW)).measure(B, NOW).capacity_kib_s


def test_each_lost_packet_makes_a_train_slower() -> None:
    """Whoever returns one packet at once and drops the others gains nothing."""
    half = Finding((A, B, C), B, Echoed(8, 4, 512.0, 1.0), NOW)

    assert 256 == judged(half).measure(B, NOW).capacity_kib_s


def test_rates_are_forgotten_after_twelve_periods() -> None:
    measures = judged(Finding((A, B, C), B, trained(8, 2.0), NOW))

    assert measures.measure(B, UnixTime(NOW + 12 * PERIOD_S - 1)).capacity_kib_s
    assert measures.measure(B, UnixTime(NOW + 12 * PERIOD_S)).capacity_kib_s is None


@pytest.mark.parametrize("seed", range(3))
def test_each_capacity_is_found_within_a_factor_of_two(seed: int) -> None:
    capacities = {name(number): 4_000.0 for number in range(10)} | {name(3): 500.0, name(7): 1_500.0}
    measures = run(rated(capacities, Random(seed)), count=10, periods=2.5, seed=seed)

    for relay, capacity in capacities.items():
        found = measures[relay].capacity_kib_s
        assert found is not None
        assert capacity / 2 <= found <= capacity


@pytest.mark.parametrize("seed", range(3))
def test_a_rival_that_slows_others_down_is_outvoted_by_clean_paths(seed: int) -> None:
    capacities = {name(number): 4_000.0 for number in range(10)}
    honest = rated(capacities, Random(seed))

    def slowed(probe: Probe) -> Outcome:
        outcome = honest(probe)
        if name(0) in probe.relay_ids and probe.measured == name(1) and isinstance(outcome, Echoed):
            return Echoed(probe.train, 0, 0.0, 20.0)
        return outcome

    measures = run(slowed, count=10, periods=2.5, seed=seed)

    assert (measures[name(1)].capacity_kib_s or 0) >= 2_000


def test_relays_that_left_are_forgotten_once_nothing_was_found_out_for_long() -> None:
    measures = judged(*THREE_ACCUSE_A)
    measures.keep([B, C], UnixTime(NOW + 12 * PERIOD_S + 10))

    assert {B, C} == set(measures.measures(NOW))
