import pytest
from hypothesis import given
from hypothesis import strategies as st

from onionpath.errors import MalformedError
from onionpath.path.bias import MAX_ATTEMPTS, Outcome, PathBias, Verdict, outcome_for_guard


@pytest.mark.parametrize(
    ("verdict", "carried"),
    [
        (Verdict.FINE, 105),
        (Verdict.NOTICE, 104),
        (Verdict.NOTICE, 75),
        (Verdict.WARN, 74),
        (Verdict.WARN, 45),
        (Verdict.DISABLE, 44),
    ],
)
def test_a_guard_is_judged_by_what_it_carried_of_150_attempts(verdict: Verdict, carried: int) -> None:
    assert verdict == PathBias(attempts=150, carried=carried).verdict()


@pytest.mark.parametrize(
    ("verdict", "completed"),
    [(Verdict.FINE, 16), (Verdict.NOTICE, 15), (Verdict.NOTICE, 12), (Verdict.DISABLE, 11)],
)
def test_a_guard_is_judged_by_what_became_of_20_paths(verdict: Verdict, completed: int) -> None:
    assert verdict == PathBias(uses=20, completed=completed).verdict()


def test_few_attempts_prove_nothing() -> None:
    assert Verdict.FINE == PathBias(attempts=149, carried=0, uses=19, completed=0).verdict()


def test_the_worse_ratio_decides() -> None:
    assert Verdict.DISABLE == PathBias(attempts=200, carried=200, uses=20, completed=0).verdict()


def test_an_explained_failure_changes_nothing() -> None:
    bias = PathBias(attempts=9, carried=4, uses=3, completed=2)

    assert bias == bias.after_attempt(Outcome.EXPLAINED)
    assert bias == bias.after_use(Outcome.EXPLAINED)


def test_losses_and_successes_are_counted() -> None:
    bias = PathBias().after_attempt(Outcome.LOST).after_attempt(Outcome.CARRIED)

    assert PathBias(2, 1, 2, 1) == bias.after_use(Outcome.CARRIED).after_use(Outcome.LOST)


def test_counters_are_halved_so_that_the_present_counts() -> None:
    assert PathBias(attempts=150, carried=100) == PathBias(299, 199).after_attempt(Outcome.CARRIED)
    assert PathBias(uses=50, completed=49) == PathBias(uses=99, completed=99).after_use(Outcome.LOST)


@given(st.lists(st.sampled_from(Outcome), max_size=700))
def test_counters_stay_in_bounds(outcomes: list[Outcome]) -> None:
    bias = PathBias()
    for outcome in outcomes:
        bias = bias.after_attempt(outcome)
        assert 0 <= bias.carried <= bias.attempts < MAX_ATTEMPTS


@pytest.mark.parametrize(
    "counters", [(1, 2, 0, 0), (0, 0, 1, 2), (-1, -1, 0, 0), (0, -1, 0, 0), (0, 0, 0, -1)]
)
def test_impossible_counters_are_refused(counters: tuple[int, int, int, int]) -> None:
    with pytest.raises(MalformedError):
        PathBias(*counters)


@pytest.mark.parametrize(
    ("outcome", "speaker"),
    [(Outcome.CARRIED, 2), (Outcome.EXPLAINED, 1), (Outcome.LOST, 0), (Outcome.LOST, None)],
)
def test_only_a_later_hop_clears_the_guard(outcome: Outcome, speaker: int | None) -> None:
    assert outcome == outcome_for_guard(speaker, hops=3)


def test_of_two_hops_the_second_is_the_last() -> None:
    assert Outcome.CARRIED == outcome_for_guard(1, hops=2)
