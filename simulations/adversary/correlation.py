"""Who owns the first and the last relay of one path links both ends by timing: how often, and after how many paths.

Without guards each path is a new chance, so that everybody is linked some day (the predecessor attack). With a guard
only those are whose guard is bad.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from onionpath.path.choose import Chooser
from onionpath.path.exposure import exposure
from onionpath.path.roles import Purpose
from onionpath.service.calls import ServiceId
from simulations.adversary.clients import Client, Offer
from simulations.adversary.closed_forms import both_ends, both_ends_uniform
from simulations.adversary.comparisons import Comparison, equal
from simulations.adversary.networks import START, Network, generate, generate_uniform
from simulations.adversary.plan import Plan, Progress

# A tenth is the share for which the literature prints most.
BAD_SHARE = 0.1
# Both ends are bad on one path in a hundred, so that it takes many to measure how often.
PATHS_EACH = 100
# Rounds until half, and 95 %, of the clients were linked, at a tenth (with replacement).
PUBLISHED_MEDIAN, PUBLISHED_95 = 69, 298


def correlation(plan: Plan, progress: Progress) -> Iterator[Comparison]:
    """Both ends bad: with equal weights as the formula has it, and with real weights, families and networks."""
    paths, seed = PATHS_EACH * plan.clients, plan.seed
    for size in (100, 1_000):
        progress(f"correlation: {paths} paths over {size} equal relays")
        network = generate_uniform(size, bad=size // 10, seed=seed)
        theory = both_ends_uniform(size, size // 10)
        hits = sum(fresh_paths(network, paths, random.Random(seed)))
        what = f"both ends bad, {size // 10} of {size} equal relays"
        yield equal("correlation", what, theory=theory, hits=hits, trials=paths, published=theory)
    progress(f"correlation: {paths} paths over {plan.relays} generated relays")
    network = generate(plan.relays, bad_share=BAD_SHARE, seed=seed)
    hits = sum(fresh_paths(network, paths, random.Random(seed)))
    what = f"both ends bad, {network.bad_share:.0%} of the weight of {plan.relays} relays"
    yield equal(
        "correlation", what, theory=both_ends(network), hits=hits, trials=paths, published=BAD_SHARE**2
    )


def predecessor(plan: Plan, progress: Progress) -> Iterator[Comparison]:
    """The same client over and over: with a new first relay each time, and with its guards."""
    clients, seed = plan.clients, plan.seed
    network = generate_uniform(plan.relays, bad=round(BAD_SHARE * plan.relays), seed=seed)
    both = both_ends_uniform(plan.relays, len(network.bad))
    progress(f"predecessor: {clients} clients draw {PUBLISHED_95} paths without guards")
    dice = random.Random(seed)
    linked_at = [first_linked(network, PUBLISHED_95, dice) for _ in range(clients)]
    for success, published in ((0.5, PUBLISHED_MEDIAN), (0.95, PUBLISHED_95)):
        hits = sum(at is not None and at <= published for at in linked_at)
        theory = exposure(both, published)
        what = f"linked after {published} paths without guards"
        yield equal("predecessor", what, theory=theory, hits=hits, trials=clients, published=success)
    progress(f"predecessor: the same with guards, {PUBLISHED_95} paths each")
    offer = Offer.of(network.directory(START), START)
    hits = sum(
        is_linked_with_guards(network, offer, PUBLISHED_95, random.Random(f"{seed} {index}"))
        for index in range(clients)
    )
    theory = network.bad_share * exposure(network.bad_share, PUBLISHED_95)
    what = f"linked after {PUBLISHED_95} paths with guards"
    yield equal("predecessor", what, theory=theory, hits=hits, trials=clients, published=BAD_SHARE)


def fresh_paths(network: Network, paths: int, dice: random.Random) -> Iterator[bool]:
    """For so many paths without guards, whether both ends are bad."""
    chooser = Chooser(network.directory(START))
    purpose = Purpose(serves=ServiceId.STREAM)
    for _ in range(paths):
        relays = chooser.choose(purpose, choice=dice, now=START).relays
        yield relays[0].relay_id in network.bad and relays[-1].relay_id in network.bad


def first_linked(network: Network, paths: int, dice: random.Random) -> int | None:
    """The number of the first of so many fresh paths whose ends are both bad."""
    for number, linked in enumerate(fresh_paths(network, paths, dice), 1):
        if linked:
            return number
    return None


def is_linked_with_guards(network: Network, offer: Offer, paths: int, dice: random.Random) -> bool:
    """Whether a new client that keeps its guards ever has both ends bad, in so many paths."""
    client = Client(dice)
    client.take(offer)
    for _ in range(paths):
        last = offer.exits.draw(dice).relay_id
        # An honest end links nobody, so the guard need not be looked for.
        if last in network.bad and client.enter(offer, beside=[last]) in network.bad:
            return True
    return False
