import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onionpath.onion.geometry import SizeClass
from onionpath.path.pareto import ParetoTail, Sample
from onionpath.path.timeouts import (
    MAX_SAMPLES,
    MAX_TIMEOUT_S,
    MIN_SAMPLES,
    START_S,
    LearnedTimeout,
    Timeouts,
)

SECONDS = st.floats(0.0, 1e4, allow_nan=False)
SAMPLES = st.lists(st.builds(Sample, SECONDS, st.booleans()), min_size=1, max_size=300)


def taught(samples: list[Sample], learned: LearnedTimeout | None = None) -> LearnedTimeout:
    learned = learned or LearnedTimeout()
    for duration_s, answered in samples:
        learned = learned.after_answer(duration_s) if answered else learned.after_loss(duration_s)
    return learned


def answers(*durations_s: float) -> list[Sample]:
    return [Sample(duration_s, answered=True) for duration_s in durations_s]


def even_pareto(count: int, *, start_s: float, alpha: float) -> list[float]:
    """The quantiles of a Pareto distribution in equal steps: a sample without chance."""
    return [start_s * (1 - (index + 0.5) / count) ** (-1 / alpha) for index in range(count)]


@pytest.mark.parametrize(("start_s", "alpha"), [(0.05, 1.5), (0.4, 2.0), (1.0, 8.0)])
@pytest.mark.parametrize("share", [0.8, 0.95, 0.99])
def test_the_quantiles_of_pareto_samples_follow_the_closed_form(
    start_s: float, alpha: float, share: float
) -> None:
    tail = ParetoTail.fit(answers(*even_pareto(MAX_SAMPLES, start_s=start_s, alpha=alpha)))

    assert start_s * (1 - share) ** (-1 / alpha) == pytest.approx(tail.quantile(share), rel=0.05)


def test_lost_exchanges_do_not_make_the_network_look_faster() -> None:
    """Every exchange that would take more than 1 s is given up then; the tail beyond is still the same."""
    drawn = even_pareto(MAX_SAMPLES, start_s=0.2, alpha=1.5)
    samples = [Sample(min(duration_s, 1.0), duration_s <= 1.0) for duration_s in drawn]

    assert 0.2 * 0.01 ** (-1 / 1.5) == pytest.approx(ParetoTail.fit(samples).quantile(0.99), rel=0.05)


def test_drawn_samples_are_given_up_about_once_in_a_hundred() -> None:
    dice = random.Random(6)
    learned = taught(answers(*(0.3 * dice.paretovariate(3) for _ in range(MAX_SAMPLES))))
    fresh = [0.3 * dice.paretovariate(3) for _ in range(5000)]
    waits = learned.waits()

    assert 0.01 == pytest.approx(sum(each > waits.timeout_s for each in fresh) / 5000, abs=0.008)
    assert 0.05 == pytest.approx(sum(each > waits.hedge_after_s for each in fresh) / 5000, abs=0.025)
    assert 0.20 == pytest.approx(sum(each > waits.slow_after_s for each in fresh) / 5000, abs=0.06)


def test_the_start_holds_until_enough_was_seen() -> None:
    learned = taught(answers(*[0.1] * (MIN_SAMPLES - 1)))

    assert START_S == learned.waits().timeout_s
    assert START_S > learned.after_answer(0.1).waits().timeout_s


def test_what_was_learned_is_told_at_each_tenth_sample() -> None:
    """A fit for each answer would cost as much as the rest of what a client does about it."""
    learned = taught(answers(*[1.0] * MIN_SAMPLES))
    told = []
    for _ in range(25):
        learned = learned.after_answer(3.0)
        told.append(learned.waits())

    assert [1, 10, 20] == [told.index(waits) + 1 for waits in dict.fromkeys(told)]


def test_an_even_network_is_given_three_medians() -> None:
    waits = taught(answers(*[0.5] * MIN_SAMPLES)).waits()

    assert [0.5, 0.5, 1.5] == pytest.approx(
        [waits.slow_after_s, waits.hedge_after_s, waits.timeout_s], rel=1e-5
    )


def test_eighteen_losses_among_twenty_make_it_forget() -> None:
    learned = taught(answers(*[0.1] * MIN_SAMPLES))
    almost = taught([Sample(1.0, answered=False)] * 17, learned)

    assert MIN_SAMPLES + 17 == len(almost.samples)
    assert LearnedTimeout() == almost.after_loss(1.0)


def test_answers_between_the_losses_keep_what_was_learned() -> None:
    thrice = [*[Sample(1.0, answered=False)] * 17, *answers(0.1, 0.1, 0.1)]

    assert len(taught(thrice * 5).samples) == 100


def test_a_start_that_was_too_short_is_doubled_until_a_minute() -> None:
    losses = [Sample(10.0, answered=False)] * 18

    assert [20.0, 40.0, 60.0, 60.0] == [taught(losses * times).start_s for times in (1, 2, 3, 4)]


def test_a_longer_start_ends_with_enough_answers() -> None:
    patient = LearnedTimeout(start_s=40.0)

    assert 40.0 == taught(answers(*[0.1] * (MIN_SAMPLES - 1)), patient).start_s
    assert START_S == taught(answers(*[0.1] * MIN_SAMPLES), patient).start_s


def test_each_class_of_replies_has_its_own_figures() -> None:
    timeouts = Timeouts()
    for _ in range(MIN_SAMPLES):
        timeouts = timeouts.after_answer(SizeClass.SMALL, 0.1).after_answer(SizeClass.LARGE, 2.0)
    timeouts = timeouts.after_loss(SizeClass.LARGE, 9.0)

    assert 0.3 == pytest.approx(timeouts.waits(SizeClass.SMALL).timeout_s)
    assert 6.0 == pytest.approx(timeouts.waits(SizeClass.LARGE).timeout_s)


@given(SAMPLES)
def test_waits_are_in_order_and_bounded_whatever_comes(samples: list[Sample]) -> None:
    learned = taught(samples)
    waits = learned.waits()

    assert 0 < waits.slow_after_s <= waits.hedge_after_s <= waits.timeout_s <= MAX_TIMEOUT_S
    assert len(learned.samples) <= MAX_SAMPLES


@given(SAMPLES, st.floats(1e-3, 1e3))
def test_a_tail_scales_with_the_unit(samples: list[Sample], factor: float) -> None:
    samples = [sample._replace(duration_s=sample.duration_s + 0.01) for sample in samples]
    scaled = [sample._replace(duration_s=sample.duration_s * factor) for sample in samples]
    one, two = ParetoTail.fit(samples), ParetoTail.fit(scaled)

    assert math.isclose(one.median_s * factor, two.median_s, rel_tol=1e-9)


@given(SAMPLES)
def test_quantiles_rise(samples: list[Sample]) -> None:
    tail = ParetoTail.fit(samples)

    assert tail.median_s <= tail.quantile(0.5) <= tail.quantile(0.8) <= tail.quantile(0.99) < math.inf
