"""When a call is tried again, how long an attempt may take, and what the caller is told in the end; decisions only.

| the call is | the attempt that failed | then |
|---|---|---|
| repeatable | was one of the first two, and there is time | the next attempt, over another path |
| repeatable | was the last, or ended at the deadline | give up with its error |
| repeatable and hedged | has no answer when 95 % have, and wasn't the last | the next attempt beside it |
| with effects | never left this program | as if the call were repeatable |
| with effects | was sent | the next attempt as a repetition, at the same exit, which remembers (onion-native.md §8) |
| with effects | was sent, and was the last | give up with ``OutcomeUnknownError``: nobody but the server can tell |
| with effects, and no exit remembers | was sent | likewise, at once |

A rule is made once for a call; an attempt is a value that carries all that changes. Whoever waits, over sockets or
in virtual time, carries it out (``asking``). How long an attempt takes is learned: docs/specs/paths.md §2.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from onionpath.client.path_format import PathAnswer
from onionpath.errors import OnionPathError, OutcomeUnknownError, UnreachableError
from onionpath.onion.statuses import Reason
from onionpath.path.timeouts import Waits
from onionpath.service.calls import ServiceId

MAX_ATTEMPTS = 3
DEFAULT_DEADLINE_S = 40.0
# What is under way at an exit has mostly ended after this.
BUSY_PAUSE_S = 5.0

# Of a repetition: the first sending may have been carried out all the same.
_LEAVE_OPEN: Final = frozenset({Reason.SERVICE_BUSY, Reason.HOP_BUSY, Reason.CALL_UNKNOWN})
# Asking them twice changes nothing, so a lost reply is no reason to leave the outcome open.
_REPEATABLE: Final = frozenset({ServiceId.ECHO, ServiceId.DIRECTORY, ServiceId.STORAGE})


@dataclass(frozen=True, slots=True)
class Attempt:
    """Ask over a ready path, sealed anew.

    Args:
        number: counts from 1.
        timeout_s: then the attempt is given up.
        hedge_after_s: then the next one may start beside it; None if none may.
        is_repetition: it goes to the exit of the one before, under a key that says so.
        pause_s: before it begins.
    """

    number: int
    timeout_s: float
    hedge_after_s: float | None = None
    is_repetition: bool = False
    pause_s: float = 0.0


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

    A call with effects takes half of what is left for an attempt, and no learned time: giving up early would not
    answer it sooner, since its repetition waits for the same exit.

    Args:
        is_repeatable: whether asking twice changes nothing.
        deadline_at: when the caller stops waiting, in seconds of whatever clock ``now`` is of.
        hedges: whether a second attempt may run beside the first.
        is_remembered: whether an exit remembers what it has carried out, so that it may be sent a call with effects
            again.
    """

    is_repeatable: bool
    deadline_at: float
    hedges: bool = False
    is_remembered: bool = True

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
        # Once it was sent, every later attempt is a repetition, also after one that never left.
        was_sent = not self.is_repeatable and (error.sent or failed.is_repetition)
        is_last = failed.number == MAX_ATTEMPTS or (was_sent and not self.is_remembered)
        if is_last or now >= self.deadline_at:
            return GiveUp(_unknown(error) if was_sent else error)
        return replace(self._attempt(failed.number + 1, waits, now), is_repetition=was_sent)

    def without_path(self, step: Attempt, error: OnionPathError) -> OnionPathError:
        """What the caller is told when there is no path for this attempt."""
        return _unknown(error) if step.is_repetition else error

    def after_answer(self, latest: Attempt, answer: PathAnswer, *, now: float) -> Attempt | GiveUp | None:
        """What follows an answer; None if it ends the call, as all do but some refusals of repetitions.

        Those leave open what became of the first sending; one that may still be under way is asked for again.
        """
        if not latest.is_repetition or answer.reason not in _LEAVE_OPEN:
            return None
        if latest.number == MAX_ATTEMPTS or answer.reason is Reason.CALL_UNKNOWN:
            reason = answer.reason.name.lower()
            return GiveUp(
                OutcomeUnknownError(f"the call was sent and its reply lost; its exit says {reason}")
            )
        left_s = max(0.0, self.deadline_at - now)
        pause_s = min(BUSY_PAUSE_S, left_s / 2)
        return Attempt(latest.number + 1, left_s - pause_s, is_repetition=True, pause_s=pause_s)

    def _attempt(self, number: int, waits: Waits, now: float) -> Attempt:
        left_s = max(0.0, self.deadline_at - now)
        if number == MAX_ATTEMPTS or not (self.is_repeatable or self.is_remembered):
            return Attempt(number, left_s)
        if not self.is_repeatable:
            return Attempt(number, left_s / 2)
        timeout_s = min(waits.timeout_s, left_s / (MAX_ATTEMPTS + 1 - number))
        may_hedge = self.hedges and number == 1 and waits.hedge_after_s < timeout_s
        return Attempt(number, timeout_s, waits.hedge_after_s if may_hedge else None)


def _unknown(error: OnionPathError) -> OutcomeUnknownError:
    unknown = OutcomeUnknownError(f"the call was sent and its reply lost: {error}")
    unknown.__cause__ = error
    return unknown
