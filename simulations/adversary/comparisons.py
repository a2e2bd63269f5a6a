"""What an experiment finds: our value beside theory and literature, and the range in which it has to lie."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

# One honest run in 16,000 misses a share by more than four standard deviations.
SIGMAS = 4.0


@dataclass(frozen=True, slots=True)
class Comparison:
    """One line of the table.

    Args:
        experiment: its name on the command line.
        what: is measured, with its unit if it is no share.
        theory: the closed form's value, or the bound.
        published: the literature's, where there is one; rounded as it was printed.
        ours: measured over the clients' own rules.
        low, high: where ours has to lie, both included.
    """

    experiment: str
    what: str
    theory: float
    ours: float
    low: float
    high: float
    published: float | None = None

    @property
    def is_within(self) -> bool:
        """Whether we found what theory says."""
        return self.low <= self.ours <= self.high


def sampling_error(share: float, trials: int) -> float:
    """Four standard deviations of a share that is counted in so many independent trials."""
    return SIGMAS * sqrt(max(0.0, share * (1.0 - share)) / trials)


def equal(
    experiment: str, what: str, *, theory: float, hits: int, trials: int, published: float | None = None
) -> Comparison:
    """A share that has to be theory's, but for the error of sampling."""
    error = sampling_error(theory, trials)
    low, high = max(0.0, theory - error), min(1.0, theory + error)
    return Comparison(experiment, what, theory, hits / trials, low, high, published)


def at_most(
    experiment: str, what: str, *, bound: float, ours: float, trials: int | None = None
) -> Comparison:
    """A value with a bound; the bound of a share in so many trials is widened by the error of sampling."""
    error = 0.0 if trials is None else sampling_error(bound, trials)
    return Comparison(experiment, what, bound, ours, 0.0, bound + error)
