"""What somebody gains who makes clients build new paths: a relay of his own beside the guard, and names of middles.

With a fresh middle on each path he only has to repeat. With sticky ones he sees the same few, and waits for days.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from onionpath.client.path_draw import PathDraw
from onionpath.crypto.identity import RelayId
from onionpath.path.choose import Chooser
from onionpath.path.exposure import exposure
from onionpath.path.guard_numbers import DAY_S, MIDDLE_NUMBERS, MiddleNumbers
from onionpath.path.middles import Middles, renew_middles
from onionpath.path.roles import NO_CONSTRAINTS, Purpose
from onionpath.service.calls import ServiceId
from simulations.adversary.closed_forms import distinct_draws, rotations_until
from simulations.adversary.comparisons import Comparison, at_most, sampling_error
from simulations.adversary.entries import Calendar
from simulations.adversary.networks import START, generate, generate_uniform
from simulations.adversary.plan import Plan, Progress
from simulations.adversary.victims import ANY_EXIT, Killer, Victim

MIDDLES = MIDDLE_NUMBERS.count
# Proposal 292, table of section 3.1: rotations of 4 middles until one of them was bad, by bad share and success.
PUBLISHED_ROTATIONS = {
    (0.01, 0.10): 3, (0.01, 0.25): 8, (0.01, 0.50): 18, (0.01, 0.75): 35, (0.01, 0.90): 58,
    (0.05, 0.50): 4, (0.10, 0.50): 2,
}  # fmt: skip
MOST_ROTATIONS = 60
BAD_SHARE = 0.1
REBUILDS = 200
# Without sticky middles one client in twenty shows enough.
PART = 20
# A middle that is replaced each day, so that each day is one rotation of the published table.
DAILY = MiddleNumbers(shortest_s=DAY_S, longest_s=DAY_S)


def middles(plan: Plan, progress: Progress) -> Iterator[Comparison]:
    """Both: what time brings, and what force brings."""
    yield from rotations(plan, progress)
    yield from forced(plan, progress)


def rotations(plan: Plan, progress: Progress) -> Iterator[Comparison]:
    """Rotations of all middles until a bad one stands beside the guard."""
    for share in (0.01, 0.05, 0.10):
        progress(f"middles: {plan.clients} clients rotate {MIDDLES} middles, {share:.0%} bad")
        waits = sorted(_waits(share, clients=plan.clients, seed=plan.seed))
        for (bad_share, success), published in PUBLISHED_ROTATIONS.items():
            if bad_share == share:
                yield _rotations_comparison(share, success, waits, published)


def forced(plan: Plan, progress: Progress) -> Iterator[Comparison]:
    """An exit kills all paths of a client: which middles it sees, and whether one of them is bad."""
    clients, seed = plan.clients, plan.seed
    progress(f"middles: an exit makes {clients} clients build {REBUILDS} paths each")
    network = generate(plan.relays, bad_share=BAD_SHARE, seed=seed)
    draw = PathDraw(network.directory(START), NO_CONSTRAINTS, now=START)
    seen = [seen_by_exit(draw, random.Random(f"{seed} {index}")) for index in range(clients)]
    what = f"middles that an exit sees in {REBUILDS} rebuilds, at most"
    yield at_most("middles", what, bound=MIDDLES, ours=max(len(each) for each in seen))
    hits = sum(not network.bad.isdisjoint(each) for each in seen)
    theory = exposure(network.bad_share, MIDDLES)
    what = f"bad middle met in {REBUILDS} rebuilds, sticky"
    yield at_most("middles", what, bound=theory, ours=hits / clients, trials=clients)
    few = max(1, clients // PART)
    progress(f"middles: the same with fresh middles, {few} clients")
    fresh = [seen_without_sticky(draw, random.Random(f"{seed} {index}")) for index in range(few)]
    yield _fresh_comparison([relay.weight for relay in network.relays], fresh)


def seen_by_exit(draw: PathDraw, dice: random.Random) -> frozenset[RelayId]:
    """The middles of all paths that a client builds to one exit that kills each of them."""
    last = dice.choice(tuple(draw.directory.relays))
    victim = Victim(draw, dice, Killer(hop=2, relays={last}, kills=1.0))
    while len(victim.walks) < REBUILDS:
        victim.ask(ANY_EXIT._replace(exit=last))
    return frozenset(walk.relays[1] for walk in victim.walks)


def seen_without_sticky(draw: PathDraw, dice: random.Random) -> frozenset[RelayId]:
    """The middles of as many paths between one guard and one exit, if each path drew its own."""
    chooser = Chooser(draw.directory)
    first = chooser.choose(Purpose(serves=ServiceId.STREAM), choice=dice, now=START).relays
    purpose = Purpose(
        serves=ServiceId.STREAM,
        required_exit=first[-1].relay_id,
        guards=frozenset({first[0].relay_id}),
    )
    paths = (chooser.choose(purpose, choice=dice, now=START) for _ in range(REBUILDS))
    return frozenset(path.relays[1].relay_id for path in paths)


def _waits(share: float, *, clients: int, seed: int) -> Iterator[int]:
    """For each client, the number of the first set of middles with a bad one; what lasts too long counts as more."""
    network = generate_uniform(100, bad=round(100 * share), seed=seed)
    calendar = Calendar(network)
    for index in range(clients):
        dice = random.Random(f"{seed} {index}")
        kept: Middles = ()
        for rotation in range(MOST_ROTATIONS):
            offer = calendar.offer(rotation)
            kept = renew_middles(kept, offer.middles, guards=(), now=offer.now, choice=dice, numbers=DAILY)
            if not network.bad.isdisjoint(middle.relay_id for middle in kept):
                break
        yield rotation + 1


def _rotations_comparison(share: float, success: float, waits: list[int], published: int) -> Comparison:
    error = sampling_error(success, len(waits))
    theory, low, high = (
        rotations_until(min(each, 0.999), bad_share=share, middles=MIDDLES)
        for each in (success, max(success - error, 0.0), success + error)
    )
    ours = waits[max(0, round(success * len(waits)) - 1)]
    what = f"rotations until {success:.0%} met a bad middle, {share:.0%} bad"
    return Comparison("middles", what, theory, ours, low, high, published)


def _fresh_comparison(weights: list[int], fresh: list[frozenset[RelayId]]) -> Comparison:
    theory = distinct_draws(weights, REBUILDS)
    ours = sum(len(each) for each in fresh) / len(fresh)
    # Guard, exit and what is related to them stand on no path as middles: up to a fifth of those seen otherwise.
    return Comparison(
        "middles", f"middles in {REBUILDS} rebuilds, if fresh", theory, ours, 0.8 * theory, 1.05 * theory
    )
