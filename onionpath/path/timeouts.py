"""How long to wait for an answer, learned from the answers that came.

Answers over paths are Pareto-distributed in their slower half, as Tor found for circuits, so some hundred of them tell
how long all but one in a hundred take. Unlike Tor, which takes the fullest bins of 10 ms as the distribution's
start, we take the median: it needs no width of bins, and a lost exchange still says that it took longer.
Spec: docs/specs/paths.md §2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from onionpath.onion.geometry import SizeClass
from onionpath.path.pareto import ParetoTail, Sample

# With fewer, a quantile near 1 is a guess (Tor's cbtmincircs).
MIN_SAMPLES = 100
# Two hundred follow a change of network within minutes of use.
MAX_SAMPLES = 200
START_S = 10.0
# Hops have given up long before, so nothing is to be heard after this.
MAX_TIMEOUT_S = 60.0
MIN_TIMEOUT_S = 0.01
# A path slower than four of five isn't worth keeping, one exchange in 20 is hedged, one in 100 given up.
SLOW_SHARE, HEDGE_SHARE, GIVE_UP_SHARE = 0.80, 0.95, 0.99
# A very even network would otherwise be given up at its first hiccup.
MIN_MEDIANS = 3.0
# A fit takes a hundred logarithms, and ten answers among 200 hardly move it.
REFIT_EVERY = 10
# So many losses among the last 20 mean that this is another network now (Tor's cbtmaxtimeouts).
RECENT, FORGETTING_LOSSES = 20, 18


@dataclass(frozen=True, slots=True)
class Waits:
    """How long to wait, in seconds since the packet left; the first is the shortest.

    Args:
        slow_after_s: a path whose first answer took longer is not kept.
        hedge_after_s: then a second attempt may start beside the first.
        timeout_s: then the attempt is given up.
    """

    slow_after_s: float
    hedge_after_s: float
    timeout_s: float


@dataclass(frozen=True, slots=True)
class LearnedTimeout:
    """What the last exchanges of one class took.

    Args:
        samples: at most 200, oldest first.
        start_s: the timeout while there are too few of them.
        fitted: the waits by the samples of the last fit; None while there are too few.
        since_fit: how many samples came after it.
    """

    samples: tuple[Sample, ...] = ()
    start_s: float = START_S
    fitted: Waits | None = None
    since_fit: int = 0

    def after_answer(self, duration_s: float) -> LearnedTimeout:
        """Remember an answer, also one that came after its timeout."""
        learned = self._with(duration_s, answered=True)
        # From here on the samples decide, and whoever forgets them later begins as everybody does.
        return replace(learned, start_s=START_S) if len(learned.samples) >= MIN_SAMPLES else learned

    def after_loss(self, waited_s: float) -> LearnedTimeout:
        """Remember that nothing came in that time; forget everything when hardly anything comes any more."""
        learned = self._with(waited_s, answered=False)
        losses = sum(not sample.answered for sample in learned.samples[-RECENT:])
        if losses < FORGETTING_LOSSES:
            return learned
        if len(self.samples) >= MIN_SAMPLES:
            return LearnedTimeout()
        # Nothing had been learned yet, so it was the start that was too short for this network.
        return LearnedTimeout(start_s=min(2 * self.start_s, MAX_TIMEOUT_S))

    def waits(self) -> Waits:
        """How long to wait now."""
        return self.fitted or Waits(self.start_s / 2, self.start_s / 2, self.start_s)

    def _with(self, duration_s: float, *, answered: bool) -> LearnedTimeout:
        samples = (*self.samples[1 - MAX_SAMPLES :], Sample(max(duration_s, 0.0), answered))
        is_due = self.fitted is None or self.since_fit + 1 >= REFIT_EVERY
        if is_due and len(samples) >= MIN_SAMPLES:
            return LearnedTimeout(samples, self.start_s, _fitted(samples))
        return LearnedTimeout(samples, self.start_s, self.fitted, self.since_fit + 1)


def _fitted(samples: tuple[Sample, ...]) -> Waits:
    tail = ParetoTail.fit(samples)
    timeout_s = max(tail.quantile(GIVE_UP_SHARE), MIN_MEDIANS * tail.median_s, MIN_TIMEOUT_S)
    timeout_s = min(timeout_s, MAX_TIMEOUT_S)
    slow_s, hedge_s = (min(tail.quantile(share), timeout_s) for share in (SLOW_SHARE, HEDGE_SHARE))
    return Waits(slow_s, hedge_s, timeout_s)


def _untaught() -> Mapping[SizeClass, LearnedTimeout]:
    return MappingProxyType({size_class: LearnedTimeout() for size_class in SizeClass})


@dataclass(frozen=True, slots=True)
class Timeouts:
    """A ``LearnedTimeout`` for each size of reply: a large one takes longer and would spoil the small one's figures."""

    by_class: Mapping[SizeClass, LearnedTimeout] = field(default_factory=_untaught)

    def after_answer(self, reply_class: SizeClass, duration_s: float) -> Timeouts:
        """Remember an answer of this class, also one that came after its timeout.

        Args:
            duration_s: what the path took: from the packet's leaving to the reply, without the last hop's hold time.
        """
        return self._with(reply_class, self.by_class[reply_class].after_answer(duration_s))

    def after_loss(self, reply_class: SizeClass, waited_s: float) -> Timeouts:
        """Remember that no answer came, and nobody said why; not for losses while nothing at all comes in."""
        return self._with(reply_class, self.by_class[reply_class].after_loss(waited_s))

    def waits(self, reply_class: SizeClass) -> Waits:
        """How long to wait for a reply of this class; what the service may take comes on top."""
        return self.by_class[reply_class].waits()

    def _with(self, reply_class: SizeClass, learned: LearnedTimeout) -> Timeouts:
        return Timeouts(MappingProxyType({**self.by_class, reply_class: learned}))
