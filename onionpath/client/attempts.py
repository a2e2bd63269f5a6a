"""When a call is tried again, how long an attempt may take, and what the caller is told in the end; decisions only.

| the call is | the attempt that failed | then |
|---|---|---|
| repeatable | was one of the first two, and there is time | the next attempt, over another path |
| repeatable | was the last, or ended at the deadline | give up with its error |
| repeatable and hedged | has no answer when 95 % have, and wasn't the last | the next attempt beside it |
| with effects | never left this program | as if the call were repeatable |
| with effects | was sent | give up with ``OutcomeUnknownError``: nobody but the server can tell |

A rule is made once for a call; an attempt is a value that carries all that changes. Whoever waits, over sockets or
in virtual time, carries it out (``asking``). How long an attempt takes is learned: docs/specs/paths.md §2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from onionpath.errors import OnionPathError, OutcomeUnknownError, UnreachableError
from onionpath.path.timeouts import Waits
from onionpath.service.calls import ServiceId

MAX_ATTEMPTS = 3
DEFAULT_DEADLINE_S = 40.0

# Asking them twice changes nothing, so a lost reply is no reason to leave the outcome open.
_REPEATABLE: Final = frozenset({ServiceId.ECHO, ServiceId.DIRECTORY})


@dataclass(frozen=True, slots=True)
class Attempt:
    """Ask over a ready path, sealed anew.

    Args:
        number: counts from 1.
        timeout_s: then the attempt is given up.
        hedge_after_s: then the next one may start beside it; None if none may.
    """

    number: int
    timeout_s: float
    hedge_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The call ends with this error; its cause, where it has one, stands in it."""

    error: OnionPathError


@dataclass(frozen=True, slots=True)
class Attempts:
    """The rule for one call.

    An attempt of a call that may be repeated takes as long as 99 of 100 exchanges do, and never more than its share of
    the time that is left; the last takes all of it. That is less than the hops wait for each other
    (docs/specs/link.md §6.4: 29 s at the first of three), so a hop that falls silent isn't named by the one before it
    in time for the caller; the exchange stays open, and what is said then is still learned. A hop that dies instead
    of falling silent is named at once, because its link breaks.

    A call with effects has no second attempt once it was sent. So each attempt may take all that is left: giving up
    earlier would only turn an answer that is on its way into an unknown outcome.

    Args:
        is_repeatable: whether asking twice changes nothing.
        deadline_at: when the caller stops waiting, in seconds of whatever clock ``now`` is of.
        hedges: whether a second attempt may run beside the first.
    """

    is_repeatable: bool
    deadline_at: float
    hedges: bool = False

    @classmethod
    def of(cls, service: int, *, deadline_at: float, hedges: bool = False) -> Attempts:
        """The rule for a call of this service."""
        return cls(service in _REPEATABLE, deadline_at, hedges)

    def first(self, waits: Waits, *, now: float) -> Attempt:
        """How a call begins."""
        return self._attempt(1, waits, now)

    def beside(self, slow: Attempt, waits: Waits, *, now: float) -> Attempt:
        """The second attempt, which starts while the first goes on."""
        return self._attempt(slow.number + 1, waits, now)

    def after(self, failed: Attempt, error: OnionPathError, waits: Waits, *, now: float) -> Attempt | GiveUp:
        """What follows an attempt that brought no answer; its path is to be retired in any case."""
        if not isinstance(error, UnreachableError):
            return GiveUp(error)
        if error.sent and not self.is_repeatable:
            unknown = OutcomeUnknownError(f"the call was sent and its reply lost: {error}")
            unknown.__cause__ = error
            return GiveUp(unknown)
        if failed.number == MAX_ATTEMPTS or now >= self.deadline_at:
            return GiveUp(error)
        return self._attempt(failed.number + 1, waits, now)

    def _attempt(self, number: int, waits: Waits, now: float) -> Attempt:
        left_s = max(0.0, self.deadline_at - now)
        if not self.is_repeatable or number == MAX_ATTEMPTS:
            return Attempt(number, left_s)
        timeout_s = min(waits.timeout_s, left_s / (MAX_ATTEMPTS + 1 - number))
        may_hedge = self.hedges and number == 1 and waits.hedge_after_s < timeout_s
        return Attempt(number, timeout_s, waits.hedge_after_s if may_hedge else None)
