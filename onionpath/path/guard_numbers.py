"""The numbers of guards and sticky middles, each with its reason and source. Spec: docs/specs/guards.md §7.

They are Tor's (guard-spec, appendix A.1; proposals 291 and 333) unless a comment says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass

HOUR_S = 3_600.0
DAY_S = 24 * HOUR_S


@dataclass(frozen=True, slots=True)
class GuardNumbers:
    """How many guards, for how long, and how often a silent one is tried again; times in seconds."""

    # Whoever makes guards fail one after the other gets us no further than through this many.
    max_sample: int = 60
    # A sample that held much of the network's weight would surely hold a bad guard.
    max_sample_weight_percent: int = 20
    # Enough that a program's own exclusions leave some.
    enough_usable: int = 20
    # In a network of ten relays 20 % are two, and then one that is down leaves no choice. Our own number.
    fewest_usable: int = 3
    primaries: int = 3
    # A path whose exit is related to the first guard needs a second one (proposal 291).
    in_use: int = 2

    # Long, because each change of guards is another chance for a bad one; not for ever, because a guard that
    # stays learns habits and collects more clients each day.
    lifetime_s: float = 120 * DAY_S
    # Counted from the first use. Tor's 60 days end the use of a guard that stood in the sample for four months after
    # half the time, so that clients meet 11.5 guards in a year where our 120 days make it 8 (decision record 8).
    confirmed_lifetime_s: float = 120 * DAY_S
    # A relay that is gone for so long does not come back.
    unlisted_lifetime_s: float = 20 * DAY_S
    # Dates in the file lie up to a tenth of the lifetime too early, so that it doesn't say when we started.
    back_dating: float = 0.1

    primary_retry_base_s: float = 30.0
    primary_retry_cap_s: float = 6 * HOUR_S
    other_retry_base_s: float = 600.0
    other_retry_cap_s: float = 36 * HOUR_S
    # After so long without any success it is our internet that is down, and no guard is blamed.
    silence_s: float = 600.0

    # Shares of the sample that are usable, below which a person should hear of it.
    meaningful_restriction: float = 0.20
    extreme_restriction: float = 0.01


@dataclass(frozen=True, slots=True)
class MiddleNumbers:
    """How many sticky middles, and for how long each; times in seconds."""

    count: int = 4
    # The longer of two draws from this range: mean 8.3 days, and nobody can plan for a soon and certain end.
    shortest_s: float = 1 * DAY_S
    longest_s: float = 12 * DAY_S

    @property
    def mean_s(self) -> float:
        """The expected lifetime of a new middle."""
        return self.shortest_s + (self.longest_s - self.shortest_s) * 2 / 3


GUARD_NUMBERS = GuardNumbers()
MIDDLE_NUMBERS = MiddleNumbers()
