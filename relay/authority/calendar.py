"""Where one authority is in the calendar of its network: which opening is at hand, and how long it may wait.

The calendar itself is ``Rounds``; where we are in it depends on the newest document that we hold.
Spec: docs/specs/authorities.md §1, §6.1.
"""

from __future__ import annotations

from onionpath.directory.vote import Opening
from onionpath.injected import UnixTime
from relay.authority.holdings import Holdings
from relay.authority.rounds import LEAST_BETWEEN_VISITS_S, Rounds

TICKS_PER_ROUND = 8
MOST_BETWEEN_TICKS_S = 1.0
LEAST_BETWEEN_TICKS_S = 0.001


class Calendar:
    """See the module's first lines.

    Args:
        holdings: the documents of this authority; read, never changed.
    """

    def __init__(self, rounds: Rounds, holdings: Holdings) -> None:
        self.rounds = rounds
        self._holdings = holdings

    def opening(self, now: UnixTime) -> Opening:
        """What is to be agreed on at this moment."""
        return self.rounds.opening(now, valid_until=self._holdings.valid_until)

    def is_complete(self, now: UnixTime) -> bool:
        """Whether the number at hand has its document, so that visits can be rare."""
        return self._holdings.newest_number >= self.opening(now).number

    def next_opening_at(self, now: UnixTime) -> UnixTime:
        """When all begin anew."""
        return self.rounds.next_opening_at(now, valid_until=self._holdings.valid_until)

    def next_round_at(self, now: UnixTime) -> UnixTime:
        """When the next round begins, of this opening or of the next one."""
        round_ends_at = self.rounds.round_ends_at(self.opening(now), now)
        return min(round_ends_at, self.next_opening_at(now))

    def pause_s(self, now: UnixTime) -> float:
        """How long to wait before the next ``tick``: at most until the next round begins."""
        often_s = min(MOST_BETWEEN_TICKS_S, self.rounds.round_s(self.opening(now)) / TICKS_PER_ROUND)
        return min(often_s, max(LEAST_BETWEEN_TICKS_S, self.next_round_at(now) - now))

    def visit_pause_s(self, now: UnixTime) -> float:
        """How long to wait between two visits to the same authority: at most until the next opening."""
        opening = self.opening(now)
        if not self.is_complete(now):
            return self.rounds.visit_every_s(opening)
        return min(self.rounds.round_s(opening), max(LEAST_BETWEEN_VISITS_S, self.next_opening_at(now) - now))
