"""How often a guard carried what it was given: counters that find a guard which lets only some paths live.

A guard that kills the paths whose other end it doesn't own makes its client draw until one suits it. What a later hop
broke says nothing of the guard and isn't counted; what nobody explains is.
Spec: docs/specs/paths.md §4.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, IntEnum

from onionpath.errors import MalformedError

# Tor's numbers (path-spec §7). Below so few attempts, bad luck alone reaches the thresholds.
MIN_ATTEMPTS = 150
MIN_USES = 20
NOTICE_PERCENT, WARN_PERCENT, DISABLE_PERCENT = 70, 50, 30
NOTICE_USE_PERCENT, DISABLE_USE_PERCENT = 80, 60
# So many attempts, or uses, over another guard show whether paths live at all: one that lets three paths in ten live
# looks as if it carried, 14 of 20, once in 23,000 times.
MIN_COMPARED = 20
# Counters are halved here, so that a guard that changes its ways is judged by what it does now.
MAX_ATTEMPTS = 300
MAX_USES = 100


class Outcome(Enum):
    """What one exchange says of the guard that it went through."""

    CARRIED = "carried"  # the last hop answered
    EXPLAINED = "explained"  # somebody else is known to have failed; nothing is counted
    LOST = "lost"  # nobody behind the guard was heard


class Verdict(IntEnum):
    """What to do about a guard, from nothing to never using it again."""

    FINE = 0
    NOTICE = 1
    WARN = 2
    DISABLE = 3


@dataclass(frozen=True, slots=True)
class PathBias:
    """The counters of one guard.

    Args:
        attempts: first exchanges over new paths, without the explained ones.
        carried: those of them that the last hop answered.
        uses: paths that had carried a first exchange and were used further, without the explained ends.
        completed: those of them that were retired without a loss.

    Raises:
        MalformedError: a counter is negative, or more succeeded than were tried.
    """

    attempts: int = 0
    carried: int = 0
    uses: int = 0
    completed: int = 0

    def __post_init__(self) -> None:
        if not (0 <= self.carried <= self.attempts and 0 <= self.completed <= self.uses):
            raise MalformedError("a guard's counters are negative, or more succeeded than were tried")

    def after_attempt(self, outcome: Outcome) -> PathBias:
        """Count the first exchange over a path."""
        if outcome is Outcome.EXPLAINED:
            return self
        attempts, carried = _count(self.attempts, self.carried, outcome, most=MAX_ATTEMPTS)
        return replace(self, attempts=attempts, carried=carried)

    def after_use(self, outcome: Outcome) -> PathBias:
        """Count a path that is retired after it had carried its first exchange."""
        if outcome is Outcome.EXPLAINED:
            return self
        uses, completed = _count(self.uses, self.completed, outcome, most=MAX_USES)
        return replace(self, uses=uses, completed=completed)

    def is_worse_than(self, other: PathBias) -> bool:
        """Whether this guard is to be disabled, and the other one's paths live where this one's die.

        All guards share their middles. When those kill paths, all guards lose as many, and none of them is to blame.
        """
        is_condemned = self._attempts_verdict() is Verdict.DISABLE
        if is_condemned and _is_seen(other.attempts, other.carried, percent=NOTICE_PERCENT):
            return True
        is_condemned = self._uses_verdict() is Verdict.DISABLE
        return is_condemned and _is_seen(other.uses, other.completed, percent=NOTICE_USE_PERCENT)

    def verdict(self) -> Verdict:
        """The worse of what the two ratios say."""
        return max(self._attempts_verdict(), self._uses_verdict())

    def _attempts_verdict(self) -> Verdict:
        if self.attempts < MIN_ATTEMPTS:
            return Verdict.FINE
        percent = 100 * self.carried / self.attempts
        if percent < DISABLE_PERCENT:
            return Verdict.DISABLE
        if percent < WARN_PERCENT:
            return Verdict.WARN
        return Verdict.NOTICE if percent < NOTICE_PERCENT else Verdict.FINE

    def _uses_verdict(self) -> Verdict:
        if self.uses < MIN_USES:
            return Verdict.FINE
        percent = 100 * self.completed / self.uses
        if percent < DISABLE_USE_PERCENT:
            return Verdict.DISABLE
        return Verdict.NOTICE if percent < NOTICE_USE_PERCENT else Verdict.FINE


def outcome_for_guard(speaker: int | None, *, hops: int) -> Outcome:
    """What an exchange says of its first hop.

    Args:
        speaker: index of the last hop whose seal opened in the reply; None without any.
    """
    if speaker is not None and speaker >= hops - 1:
        return Outcome.CARRIED
    if speaker is not None and speaker >= 1:
        return Outcome.EXPLAINED
    # A guard's word that the next relay is silent clears no guard: those that lie together say the same.
    return Outcome.LOST


def _is_seen(tried: int, succeeded: int, *, percent: int) -> bool:
    """Whether so many of enough succeeded."""
    return tried >= MIN_COMPARED and 100 * succeeded >= percent * tried


def _count(tried: int, succeeded: int, outcome: Outcome, *, most: int) -> tuple[int, int]:
    """Both counters after one more, halved when they reach ``most``."""
    tried, succeeded = tried + 1, succeeded + (outcome is Outcome.CARRIED)
    return (tried // 2, succeeded // 2) if tried >= most else (tried, succeeded)
