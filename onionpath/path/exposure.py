"""How likely it is that a client has met a bad relay at one place of its paths, in closed form.

With a bad share f of the network's weight, n independent draws by weight meet a bad relay with probability
1 - (1 - f)^n; what differs from place to place is how many draws d days bring. Spec: docs/specs/guards.md §10.
"""

from __future__ import annotations


def exposure(bad_share: float, draws: float) -> float:
    """The probability that at least one of so many draws is bad.

    Args:
        bad_share: of the network's weight, 0 to 1; what one assumes of the adversary.
        draws: their expected number.
    """
    return float(1.0 - (1.0 - bad_share) ** draws)


def guard_exposure(bad_share: float, *, guards: int, days: float, lifetime_days: float) -> float:
    """The probability that some guard of a client of any age was bad on at least one of these days.

    Args:
        guards: in use at a time.
        lifetime_days: for how long a guard is used.
    """
    return exposure(bad_share, guards * (1 + days / lifetime_days))


def middle_exposure(bad_share: float, *, middles: int, days: float, mean_lifetime_days: float) -> float:
    """The probability that some sticky middle was bad on at least one of these days."""
    return exposure(bad_share, middles * (1 + days / mean_lifetime_days))
