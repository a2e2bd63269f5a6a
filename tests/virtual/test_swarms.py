"""Swarms under everything that can go wrong: what was acknowledged is read, what was removed stays gone."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

import pytest

from onionpath.crypto.identity import RelayId
from onionpath.swarm.reconciliation import Key, Kind, Standing
from relay.store.replica import comparing, visits, writes
from relay.store.replica.duties import Holding
from simulations.virtual.swarm.trial import Plan, Verdict, run

FIVE = Plan(members=5, operations=300)
SEVEN = Plan(members=7, operations=300)
CHANGING = Plan(members=5, spare=9, operations=300)


def told(verdict: Verdict) -> str:
    """The history, to read when a promise was broken."""
    return "\n".join((*verdict.log, *verdict.faults))


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("plan", [FIVE, SEVEN, CHANGING], ids=["five", "seven", "changing members"])
def test_a_swarm_keeps_its_promises(plan: Plan, seed: int) -> None:
    """A sample, long enough for some operations to end unknown; the five hundred below are for patient people."""
    verdict = run(seed, plan)

    assert () == verdict.faults, told(verdict)
    assert verdict.counts["store unknown"]


def test_a_seed_gives_the_same_history() -> None:
    plan = replace(CHANGING, operations=12)

    assert run(3, plan).log == run(3, plan).log


@pytest.mark.slow
@pytest.mark.timeout(7_200)
@pytest.mark.parametrize("plan", [FIVE, SEVEN, CHANGING], ids=["five", "seven", "changing members"])
def test_a_swarm_keeps_its_promises_in_five_hundred_histories(plan: Plan) -> None:
    count = 167  # of each of three kinds
    with ProcessPoolExecutor() as pool:
        seeds = range(1_000, 1_000 + count)
        for seed, verdict in zip(
            seeds, pool.map(run, seeds, [replace(plan, operations=2_000)] * count), strict=True
        ):
            assert () == verdict.faults, f"seed {seed}\n{told(verdict)}"


def nobody_compares(self: visits.Visits, relay: RelayId, holding: Holding) -> Iterator[None]:
    """Takes the place of a comparison."""
    yield from ()


def only_messages(some: dict[Key, Standing], others: dict[Key, Standing]) -> list[Key]:
    """What is exchanged by somebody who forgets tombstones."""
    return [key for key in some if key not in others and some[key].kind is Kind.LIVE]


PLANTED: dict[str, tuple[object, str, object]] = {
    "two of five are enough": (writes, "majority", lambda count: count // 2),
    "nobody compares": (visits.Visits, "_compare", nobody_compares),
    "tombstones are not exchanged": (comparing, "_later", only_messages),
}


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("planted", PLANTED)
def test_a_planted_fault_is_found(planted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise histories without faults would say nothing."""
    monkeypatch.setattr(*PLANTED[planted])

    assert any(run(seed, FIVE).faults for seed in range(1, 25))
