"""Swarms under everything that can go wrong: what was acknowledged is read, what was removed stays gone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from onionpath.swarm.reconciliation import Kind
from relay.store.replica import comparing, member, questions, surroundings, visits, writes
from relay.store.replica.duties import Duties
from simulations.virtual.swarm.trial import Plan, Verdict, run

FIVE = Plan(members=5, operations=300)
SEVEN = Plan(members=7, operations=300)
CHANGING = Plan(members=5, spare=9, operations=300)


def told(verdict: Verdict) -> str:
    """The history, to read when a promise was broken."""
    return "\n".join((*verdict.log, *verdict.faults))


@pytest.mark.parametrize("plan", [FIVE, SEVEN, CHANGING], ids=["five", "seven", "changing members"])
def test_a_swarm_keeps_its_promises(plan: Plan) -> None:
    verdict = run(1, replace(plan, operations=60))

    assert () == verdict.faults, told(verdict)


def test_a_seed_gives_the_same_history() -> None:
    plan = replace(CHANGING, operations=30)

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
