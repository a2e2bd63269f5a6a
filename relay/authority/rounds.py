"""When an authority votes, countersigns and signs: the rounds of one number. Spec: docs/specs/authorities.md §1."""

from __future__ import annotations

from dataclasses import dataclass

from onionpath.directory.trust import TrustRoot
from onionpath.injected import UnixTime

# Fixed by the specification (§1.3, §6.1).
SPAN = 3 / 8  # of a period: all rounds before the first signature
VISITS_PER_ROUND = 8


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
    def round_s(self) -> float:
        """The length of one round."""
        return SPAN * self.period_s / (self.needed + 1)

    @property
    def visit_every_s(self) -> float:
        """How long to wait between visits while there is something to agree on."""
        return self.round_s / VISITS_PER_ROUND

    def number(self, now: UnixTime) -> int:
        """The document that is being agreed on."""
        return int(now / self.period_s + 0.5)

    def opening(self, number: int) -> UnixTime:
        """When votes for this document begin: half a period before it does."""
        return UnixTime((number - 0.5) * self.period_s)

    def round(self, now: UnixTime) -> int:
        """The round of the number at hand, from 1 on."""
        return 1 + int((now - self.opening(self.number(now))) / self.round_s)

    def may_vote(self, now: UnixTime) -> bool:
        """Only so early that the vote reaches others within the first round."""
        return now < self.opening(self.number(now)) + self.round_s / 2

    def may_countersign(self, now: UnixTime) -> bool:
        """Only so early that all others still can accept what we sign."""
        return self.round(now) < self.needed

    def may_sign(self, now: UnixTime) -> bool:
        """Once all votes are counted and all that they name was fetched."""
        return self.round(now) >= self.needed + 2

    def to_be_accepted(self, now: UnixTime) -> int:
        """How many signatures a vote needs if it comes now."""
        return min(self.round(now), self.needed)
