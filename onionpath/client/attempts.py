"""When a call is tried again, how long an attempt may take, and what the caller is told in the end; decisions only.

| the call is | the attempt that failed | then |
|---|---|---|
| repeatable | was one of the first two, and there is time | the next attempt, over another path |
| repeatable | was the last, or ended at the deadline | give up with its error |
| with effects | never left this program | as if the call were repeatable |
| with effects | was sent | give up with ``OutcomeUnknownError``: nobody but the server can tell |

A rule is made once for a call; an attempt is a value that carries all that changes. Whoever waits, over sockets or
in virtual time, carries it out: take a path, ask within ``timeout_s``, retire the path that failed, ask what is next.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from onionpath.errors import OnionPathError, OutcomeUnknownError, UnreachableError
from onionpath.service.calls import ServiceId

MAX_ATTEMPTS = 3
DEFAULT_DEADLINE_S = 40.0

# Asking them twice changes nothing, so a lost reply is no reason to leave the outcome open.
_REPEATABLE: Final = frozenset({ServiceId.ECHO, ServiceId.DIRECTORY})


@dataclass(frozen=True, slots=True)
class Attempt:
    """Ask over a ready path, sealed anew, and wait at most so long; ``number`` counts from 1."""

    number: int
    timeout_s: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The call ends with this error; its cause, where it has one, stands in it."""

    error: OnionPathError


@dataclass(frozen=True, slots=True)
class Attempts:
    """The rule for one call.

    A call that may be repeated shares its time among the attempts that are left. That is less than the hops wait
    for each other (docs/specs/link.md §6.4: 29 s at the first of three, against 13 s of a call's 40), so a hop that
    falls silent is not named by the one before it: the attempt ends first, retires its path and accuses nobody. We
    want it so. Waiting for the name would cost the caller half a minute and leave too little for another path, and
    a hop that dies instead of falling silent is named at once, because its link breaks.

    A call with effects has no second attempt once it was sent. So each attempt may take all that is left: giving up
    earlier would only turn an answer that is on its way into an unknown outcome. A deadline above the hops' patience
    then brings their word on where it broke.

    Args:
        is_repeatable: whether asking twice changes nothing.
        deadline_at: when the caller stops waiting, in seconds of whatever clock ``now`` is of.
    """

    is_repeatable: bool
    deadline_at: float

    @classmethod
    def of(cls, service: int, *, deadline_at: float) -> Attempts:
        """The rule for a call of this service."""
        return cls(service in _REPEATABLE, deadline_at)

    def first(self, *, now: float) -> Attempt:
        """How a call begins."""
        return self._attempt(1, now)

    def after(self, failed: Attempt, error: UnreachableError, *, now: float) -> Attempt | GiveUp:
        """What follows an attempt that brought no answer; its path is to be retired in any case."""
        if error.sent and not self.is_repeatable:
            unknown = OutcomeUnknownError(f"the call was sent and its reply lost: {error}")
            unknown.__cause__ = error
            return GiveUp(unknown)
        if failed.number == MAX_ATTEMPTS or now >= self.deadline_at:
            return GiveUp(error)
        return self._attempt(failed.number + 1, now)

    def _attempt(self, number: int, now: float) -> Attempt:
        sharing = MAX_ATTEMPTS + 1 - number if self.is_repeatable else 1
        return Attempt(number, max(0.0, self.deadline_at - now) / sharing)
