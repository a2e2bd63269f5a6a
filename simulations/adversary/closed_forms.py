"""What theory says: probabilities of an adversary's luck, beside those of ``onionpath.path.exposure``."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

import numpy as np

from onionpath.directory.directory import Relay
from onionpath.path.constraints import Taken
from onionpath.path.exposure import exposure
from simulations.adversary.networks import Network


def both_ends_uniform(relays: int, bad: int) -> float:
    """The probability that two different relays, drawn with equal weights, are both bad."""
    return bad * (bad - 1) / (relays * (relays - 1))


def both_ends(network: Network) -> float:
    """The same by weight, where the first relay is drawn among those that are unrelated to the last."""
    weights = np.array([relay.weight for relay in network.relays], dtype=np.float64)
    is_bad = np.array([relay.relay_id in network.bad for relay in network.relays])
    allowed = _unrelated(network.relays)
    bad_first = (allowed @ (weights * is_bad)) / (allowed @ weights)
    return float((weights * is_bad) @ bad_first / weights.sum())


def _unrelated(relays: Sequence[Relay]) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """1 where the column's relay may be on one path with the row's, otherwise 0."""
    taken = [Taken.by([relay], distinct_subnets=True) for relay in relays]
    return np.array(
        [[each.refusal(relay.descriptor) is None for relay in relays] for each in taken], dtype=np.float64
    )


def rotations_until(success: float, *, bad_share: float, middles: int) -> int:
    """How often a set of middles is replaced, its first draw included, until one of them was bad so probably."""
    return next(rounds for rounds in count(1) if exposure(bad_share, middles * rounds) >= success)


def selected_share(own_share: float, *, kills: float) -> float:
    """The part of the answered paths that end with the adversary, if its guard kills that part of the others."""
    return own_share / (own_share + (1.0 - own_share) * (1.0 - kills))


def distinct_draws(weights: Sequence[int], draws: int) -> float:
    """How many different relays so many independent draws by weight are expected to give."""
    shares = np.array(weights, dtype=np.float64) / sum(weights)
    return float((1.0 - (1.0 - shares) ** draws).sum())


def exposure_with_losses(bad_share: float, *, guards: int, days: int, losses_per_day: float) -> float:
    """The probability that a new client has used a bad guard, when honest relays are lost for good each day.

    The next guard stands in the sample since the first day. Bad relays that stay are ever more among those that are
    left of it, so that this is more than independent draws would give.
    """
    unexposed = (1.0 - bad_share) ** guards
    for day in range(1, days + 1):
        honest = (1.0 - bad_share) * (1.0 - losses_per_day) ** day
        bad_among_left = bad_share / (bad_share + honest)
        unexposed *= (1.0 - losses_per_day * bad_among_left) ** guards
    return 1.0 - unexposed
