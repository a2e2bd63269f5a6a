"""One trial: clients work while things go wrong, then all is healed, and everything is read and judged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from onionpath.swarm.reconciliation import Digests
from relay.store.replica.layout import Layout
from simulations.virtual.swarm.clients import Clients
from simulations.virtual.swarm.faults import Faults
from simulations.virtual.swarm.history import History, Kind, Outcome
from simulations.virtual.swarm.world import World

# Within so long after the last fault all members must hold the same.
AGREE_S = 60.0
START_S = 120.0
MAX_S = 4 * 3600.0


@dataclass(frozen=True)
class Plan:
    """What a trial is made of.

    Args:
        members: that store at first.
        spare: other relays, which may come to store.
        operations: of all clients.
    """

    members: int = 5
    spare: int = 0
    operations: int = 2_000
    writers: int = 8
    readers: int = 4
    accounts: int = 4


@dataclass(frozen=True)
class Verdict:
    """What came of it.

    Args:
        faults: each is a promise that was broken.
        counts: operations by kind and outcome.
        agreed_after_s: after the last fault; None if not in time.
        log: everything, in order, to read when something was broken.
    """

    faults: tuple[str, ...]
    counts: dict[str, int]
    agreed_after_s: float | None
    virtual_s: float
    log: tuple[str, ...]


def run(seed: int, plan: Plan) -> Verdict:
    """The same seed gives the same history."""
    choice = Random(seed)
    world = World(choice, plan.members + plan.spare)
    storing = sorted(world.machines)[: plan.members]
    for machine in world.machines.values():
        machine.start()
    world.publish(storing)
    heap, history = world.heap, History()
    heap.run_until(heap.now + START_S)
    clients = Clients(world, history, choice, most=plan.operations, accounts=plan.accounts)
    faults = Faults(world, choice, storing, changes_members=plan.spare > 0)
    clients.start(writers=plan.writers, readers=plan.readers)
    faults.start()
    began_at = heap.now
    heap.run_until(began_at + MAX_S, unless=lambda: clients.running == 0)
    faults.end()
    agreed_after_s = _agree(world)
    heap.spawn(clients.read_all())
    heap.run_until(heap.now + 60.0)
    found = [*history.faults(), *_unread(history, plan)]
    if agreed_after_s is None:
        found.append("members do not agree")
    log = tuple(sorted([*faults.log, *map(str, history.records)]))
    return Verdict(tuple(found), _counts(history), agreed_after_s, heap.now - began_at, log)


def _agree(world: World) -> float | None:
    """How long it takes until all members of each share hold the same and have caught up."""
    healed_at = world.heap.now
    while world.heap.now < healed_at + AGREE_S:
        world.heap.run_until(world.heap.now + 1.0)
        if world.newest is not None and _is_one(world, world.newest.layout):
            return world.heap.now - healed_at
    return None


def _is_one(world: World, layout: Layout) -> bool:
    for share in layout.shares:
        machines = [world.machines[relay] for relay in share.members]
        if any(not each.member.around.is_ready for each in machines):
            return False
        if any(holding.debts for each in machines for holding in each.member.around.duties.within(share.arc)):
            return False
        if len({str(each.store.apply([Digests(share.arc)], now_ms=each.now_ms)) for each in machines}) > 1:
            return False
    return True


def _unread(history: History, plan: Plan) -> Iterator[str]:
    """In the end everything can be read."""
    reads = [record for record in history.records if record.kind is Kind.READ][-plan.accounts :]
    return (f"cannot be read: {read}" for read in reads if read.outcome is not Outcome.OK)


def _counts(history: History) -> dict[str, int]:
    counts: dict[str, int] = {}
    for record in history.records:
        name = f"{record.kind.value} {record.outcome.value}"
        counts[name] = counts.get(name, 0) + 1
    return dict(sorted(counts.items()))
