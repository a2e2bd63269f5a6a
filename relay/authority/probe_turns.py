"""Whom to dial next, each time that there is room for another probe; decisions only.

| a contact | its turn | of the places |
|---|---|---|
| was reached, or listed before we were started | first, when it is due | all |
| was never reached | in the order in which it came | half |

So whoever makes up relays delays other new ones, and nobody who is listed. Spec: docs/specs/directory.md §9.1b.
"""

from __future__ import annotations

from collections import deque

from onionpath.injected import UnixTime
from relay.authority.enrolment import Enrolment
from relay.authority.reachability import Contact

AT_ONCE = 16
NEWCOMERS_AT_ONCE = AT_ONCE // 2
# Listed relays come due one by one; whoever publishes is dialled without this wait.
LOOK_EVERY_S = 5.0


class ProbeTurns:
    """``take`` says whom to dial now; tell ``ended`` when a probe is over, and take again."""

    def __init__(self, enrolment: Enrolment) -> None:
        self._enrolment = enrolment
        self._due: deque[Contact] = deque()
        self._look_at = UnixTime(0)
        self._under_way: set[Contact] = set()
        self._newcomers: set[Contact] = set()

    def take(self, now: UnixTime) -> list[Contact]:
        """Those whose turn it is; they count as under way."""
        self._look(now)
        taken = []
        while len(self._under_way) < AT_ONCE and (contact := self._next(now)) is not None:
            self._under_way.add(contact)
            taken.append(contact)
        return taken

    def ended(self, contact: Contact) -> None:
        """Its probe is over."""
        self._under_way.discard(contact)
        self._newcomers.discard(contact)

    def _look(self, now: UnixTime) -> None:
        # A walk over all that are known, so not for each probe.
        if now >= self._look_at:
            self._due = deque(self._enrolment.due(now))
            self._look_at = UnixTime(now + LOOK_EVERY_S)

    def _next(self, now: UnixTime) -> Contact | None:
        while self._due:
            contact = self._due.popleft()
            if contact not in self._under_way and self._enrolment.is_due(contact, now):
                return contact
        return self._next_newcomer()

    def _next_newcomer(self) -> Contact | None:
        if len(self._newcomers) >= NEWCOMERS_AT_ONCE:
            return None
        waiting = (one for one in self._enrolment.newcomers if one not in self._under_way)
        contact = next(waiting, None)
        if contact is not None:
            self._newcomers.add(contact)
        return contact
