"""How long a client leaves an exit alone that answers at once and gives nothing.

A correct exit waits when it has nothing to say. One that doesn't would have its client ask again and again, as fast as
the path is, for nothing. Spec: docs/specs/stream.md §6.
"""

from __future__ import annotations

import math

FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 5.0


class Pause:
    """A pause that doubles with each answer that came too soon and empty, and ends with the first that isn't.

    Times are seconds of a clock that never goes back.
    """

    def __init__(self) -> None:
        self._next_s = FIRST_PAUSE_S
        self._until = -math.inf

    def ends_at(self, *, now: float) -> float | None:
        """When the pause is over; None if there is none."""
        return self._until if self._until > now else None

    def something_came(self) -> None:
        """An answer moved the stream on."""
        self._next_s = FIRST_PAUSE_S
        self._until = -math.inf

    def nothing_came(self, *, asked_at: float, wait_s: float, now: float) -> None:
        """An answer had nothing; that counts unless it came after the wait that was asked for.

        Answers to what was under way before the pause count with the one that began it.
        """
        if now - asked_at >= wait_s or now < self._until:
            return
        self._until = now + self._next_s
        self._next_s = min(2 * self._next_s, LONGEST_PAUSE_S)
