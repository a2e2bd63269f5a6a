"""All experiments by name, in the order in which they are told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from simulations.adversary.comparisons import Comparison
from simulations.adversary.correlation import correlation, predecessor
from simulations.adversary.entries import churn, guards
from simulations.adversary.killers import killers
from simulations.adversary.plan import Plan, Progress
from simulations.adversary.rebuilds import middles

Experiment = Callable[[Plan, Progress], Iterator[Comparison]]

EXPERIMENTS: Mapping[str, Experiment] = {
    "correlation": correlation,
    "predecessor": predecessor,
    "guards": guards,
    "churn": churn,
    "middles": middles,
    "killers": killers,
}
