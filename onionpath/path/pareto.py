"""The slower half of a sample of durations as a Pareto distribution, some of them known only as lower bounds.

P(X > x) = ½ · (m / x)^alpha for x ≥ m, with the sample's median m. Spec: docs/specs/paths.md §2.2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

# Below a microsecond everything is as fast, and a logarithm needs something above zero.
MIN_DURATION_S = 1e-6
# Steeper tails are as good as a wall; the bound keeps powers within a float's range.
MAX_ALPHA = 1e6
MIN_ALPHA = 1e-2


class Sample(NamedTuple):
    """How long an exchange took, or, if no answer came, how long nobody answered."""

    duration_s: float
    answered: bool


@dataclass(frozen=True, slots=True)
class ParetoTail:
    """A fitted tail.

    Args:
        median_s: where it starts, in seconds.
        alpha: its steepness; the smaller, the heavier.
    """

    median_s: float
    alpha: float

    @classmethod
    def fit(cls, samples: Sequence[Sample]) -> ParetoTail:
        """The most likely tail of these samples, at least one.

        Of an exchange that was lost only a lower bound is known: it adds to the observed length of the tail and
        not to the number of ends seen (Hill's estimator, censored on the right).
        """
        # By rank and not by value, since in an even network most of the slower half is no slower than the median.
        middle, *slower = sorted(samples)[len(samples) // 2 :]
        middle_s = max(middle.duration_s, MIN_DURATION_S)
        length = sum(math.log(max(sample.duration_s / middle_s, 1.0)) for sample in slower)
        # A tail of losses alone has no end in sight: one end keeps the estimate finite and heavy.
        ends = max(1, sum(sample.answered for sample in slower))
        alpha = ends / length if length > ends / MAX_ALPHA else MAX_ALPHA
        return cls(middle_s, max(alpha, MIN_ALPHA))

    def quantile(self, share: float) -> float:
        """The seconds that this share of exchanges stays below; ½ ≤ share < 1."""
        return self.median_s * math.pow(0.5 / (1.0 - share), 1.0 / self.alpha)
