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


def exposure_of_survivors(weights: Sequence[int], is_bad: Sequence[bool]) -> float:
    """The probability that one of the first two drawn by weight, without replacement, is bad.

    The order of a sample is drawn once, so that whoever uses the first two that are left of it after losses has drawn
    two among all that are left: bad relays that stay are ever more among those.
    """
    honest = np.array(weights, dtype=np.float64) * ~np.array(is_bad)
    total = float(sum(weights))
    both_honest = (honest / total) * (honest.sum() - honest) / (total - honest)
    return float(1.0 - both_honest.sum())
