"""When an authority votes, countersigns and signs: openings, and the rounds of each.

Spec: docs/specs/authorities.md §1.
"""

from __future__ import annotations

from dataclasses import dataclass

from onionpath.directory.trust import TrustRoot
from onionpath.directory.vote import Opening
from onionpath.injected import UnixTime

# Fixed by the specification (§1.3, §1.4, §6.1).
SPAN = 3 / 8  # of a period: all rounds before the first signature
RECOVERY_SPAN = 3 / 4  # of the time between two openings of recovery
RECOVERIES_PER_PERIOD = 60
LONGEST_RECOVERY_S = 60
VISITS_PER_ROUND = 8
LEAST_BETWEEN_VISITS_S = 0.05


@dataclass(frozen=True, slots=True)
class Rounds:
    """The calendar of a network.

    Args:
        period_s: of its documents.
        needed: signatures that a vote needs, R in the specification; as many rounds go by before all have it.
    """

    period_s: int
    needed: int

    @classmethod
    def of(cls, root: TrustRoot) -> Rounds:
        """The calendar that follows from a trust root."""
        return cls(root.parameters.period_s, len(root.authorities) - root.threshold + 1)

    @property
    def recovery_s(self) -> int:
        """The time between two openings while no document is valid."""
        return min(LONGEST_RECOVERY_S, max(1, self.period_s // RECOVERIES_PER_PERIOD))

    def opening(self, now: UnixTime, *, valid_until: UnixTime) -> Opening:
        """What is being agreed on.

        Args:
            valid_until: of the newest document that is known; 0 if there is none.
        """
        if now < valid_until:
            return Opening(int(now / self.period_s + 0.5))
        recovery_at = int(now // self.recovery_s) * self.recovery_s
        return Opening(recovery_at // self.period_s, recovery_at)

    def next_opening_at(self, now: UnixTime, *, valid_until: UnixTime) -> UnixTime:
        """When the opening after that of this moment is."""
        opening = self.opening(now, valid_until=valid_until)
        if opening.recovery_at:
            return UnixTime(opening.recovery_at + self.recovery_s)
        return UnixTime(min(valid_until, (opening.number + 0.5) * self.period_s))

    def begins_at(self, opening: Opening) -> UnixTime:
        """The beginning of its first round."""
        return UnixTime(opening.recovery_at or (opening.number - 0.5) * self.period_s)

    def round_s(self, opening: Opening) -> float:
        """The length of one of its rounds."""
        span_s = RECOVERY_SPAN * self.recovery_s if opening.recovery_at else SPAN * self.period_s
        return span_s / (self.needed + 1)

    def visit_every_s(self, opening: Opening) -> float:
        """How long to wait between visits while there is something to agree on."""
        return max(LEAST_BETWEEN_VISITS_S, self.round_s(opening) / VISITS_PER_ROUND)

    def round(self, opening: Opening, now: UnixTime) -> int:
        """Its round at this moment, from 1 on."""
        return 1 + int((now - self.begins_at(opening)) / self.round_s(opening))

    def round_ends_at(self, opening: Opening, now: UnixTime) -> UnixTime:
        """The end of the round of this moment."""
        return UnixTime(self.begins_at(opening) + self.round(opening, now) * self.round_s(opening))

    def may_vote(self, opening: Opening, now: UnixTime) -> bool:
        """Only so early that the vote reaches others within the first round."""
        return now < self.begins_at(opening) + self.round_s(opening) / 2

    def may_countersign(self, opening: Opening, now: UnixTime) -> bool:
        """Only so early that all others still can accept what we sign."""
        return self.round(opening, now) < self.needed

    def may_sign(self, opening: Opening, now: UnixTime) -> bool:
        """Once all votes are counted and all that they name was fetched."""
        return self.round(opening, now) >= self.needed + 2

    def to_be_accepted(self, opening: Opening, now: UnixTime) -> int:
        """How many signatures a vote needs if it comes now."""
        return min(self.round(opening, now), self.needed)
