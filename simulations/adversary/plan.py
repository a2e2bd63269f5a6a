"""How large experiments are, and whom they tell what they are doing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Progress = Callable[[str], None]
"""Takes a line for a person who waits."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The size of all experiments; equal plans give equal comparisons.

    Args:
        clients: simulated; the error of sampling falls with their square root.
        days: of the longest watch.
        relays: of generated networks, 100 to 2,000.
    """

    clients: int = 400
    days: int = 180
    relays: int = 200
    seed: int = 7
