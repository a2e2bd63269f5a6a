"""Ready paths: what is shared, for how long, and what an exchange changes."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onionpath.client.path_pool import MAX_PATHS_OF_ONE, MAX_SETS, PATH_LIFETIME_S, PathPool
from onionpath.client.ready_path import NOTHING_LEFT_OUT, LeftOut, Need, ReadyPath
from onionpath.crypto.identity import RelayId
from onionpath.directory.directory import Directory
from onionpath.errors import Edge, MissingDirectoryError, NoPathError
from onionpath.injected import UnixTime
from onionpath.onion.geometry import SizeClass
from onionpath.path.blame import MIN_QUARANTINE_S
from onionpath.path.constraints import Constraints
from onionpath.path.ended import Ended
from onionpath.service.calls import ServiceId
from tests.directory.networks import NOW, descriptor, network

ECHO = Need(ServiceId.ECHO)
TWELVE = network([descriptor(name) for name in range(12)]).directory()
SOON_S = 0.1
ANSWERED = Ended(SizeClass.SMALL, SOON_S, 2, is_answered=True)
SILENCE = Ended(SizeClass.SMALL, 36.0)


def pool(seed: int = 1, **more: object) -> PathPool:
    return PathPool(random.Random(seed), **more)  # type: ignore[arg-type]


def ready(
    paths: PathPool,
    key: str,
    *,
    need: Need = ECHO,
    after_s: float = 0,
    directory: Directory = TWELVE,
    left_out: LeftOut = NOTHING_LEFT_OUT,
) -> ReadyPath:
    return paths.ready(directory, need, key, now=UnixTime(NOW + after_s), left_out=left_out)


def use(paths: PathPool, path: ReadyPath, ended: Ended, *, after_s: float = 0) -> None:
    is_first = paths.begin(path)
    paths.learn(path, ended, is_first=is_first, now=UnixTime(NOW + after_s))


def broken(speaker: int) -> Ended:
    """An exchange that broke behind this hop, which said so."""
    heard = speaker if speaker >= 0 else None
    return Ended(SizeClass.SMALL, SOON_S, heard, Edge(speaker, speaker + 1))


def everybody(paths: PathPool, *, position: int, keys: int = 60) -> set[RelayId]:
    return {ready(paths, f"key {number}").relays[position] for number in range(keys)}


# What is shared.


def test_what_has_one_isolation_key_shares_a_path() -> None:
    paths = pool()

    assert ready(paths, "a") is ready(paths, "a", after_s=599)


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from([ECHO, Need(ServiceId.DIRECTORY)])), max_size=20
    )
)
def test_what_has_different_keys_or_needs_never_shares_one(uses: list[tuple[str, Need]]) -> None:
    paths = pool()
    users: dict[ReadyPath, set[tuple[str, Need]]] = {}
    for key, need in uses:
        users.setdefault(ready(paths, key, need=need), set()).add((key, need))

    assert all(len(sharing) == 1 for sharing in users.values())
    assert len(set(uses)) == len(users)


def test_all_paths_share_a_few_guards_and_middles() -> None:
    paths = pool()

    assert 2 >= len(everybody(paths, position=0))
    assert 4 >= len(everybody(paths, position=1))
    assert 8 <= len(everybody(paths, position=2))


def test_another_pool_with_the_same_memory_takes_the_same_guards_and_middles() -> None:
    first = pool(1)
    guards, middles = everybody(first, position=0), everybody(first, position=1)
    second = pool(2, memory=first.memory)

    assert (guards, middles) == (everybody(second, position=0), everybody(second, position=1))


def test_what_an_application_excludes_stands_nowhere() -> None:
    unwanted = frozenset(list(TWELVE.relays)[:6])
    paths = pool(constraints=Constraints(excluded_relays=unwanted))

    assert not unwanted & {relay for number in range(50) for relay in ready(paths, str(number)).relays}


# For how long.


def test_a_path_is_retired_after_ten_minutes() -> None:
    paths = pool()
    old = ready(paths, "a")

    assert old is ready(paths, "a", after_s=PATH_LIFETIME_S - 1)
    assert old is not ready(paths, "a", after_s=PATH_LIFETIME_S)


def test_using_a_path_does_not_make_it_younger() -> None:
    paths = pool()
    old = ready(paths, "a")
    for minute in range(1, 10):
        ready(paths, "a", after_s=60 * minute)

    assert old is not ready(paths, "a", after_s=PATH_LIFETIME_S)


def test_a_path_whose_first_answer_was_slow_is_not_kept() -> None:
    paths = pool()
    slow_s = paths.waits(SizeClass.SMALL).slow_after_s
    slow, fast = ready(paths, "slow"), ready(paths, "fast")
    use(paths, slow, Ended(SizeClass.SMALL, slow_s + 0.1, 2, is_answered=True))
    use(paths, fast, Ended(SizeClass.SMALL, slow_s - 0.1, 2, is_answered=True))
    use(paths, fast, Ended(SizeClass.SMALL, slow_s + 0.1, 2, is_answered=True))

    assert slow is not ready(paths, "slow")
    assert fast is ready(paths, "fast")


def test_an_answer_whose_hold_times_do_not_nest_ends_its_path() -> None:
    paths = pool()
    path = ready(paths, "a")
    use(paths, path, ANSWERED)
    assert path is ready(paths, "a")
    use(paths, path, Ended(SizeClass.SMALL, SOON_S, 2, Edge(0, 1), is_answered=True))

    assert path is not ready(paths, "a")


def test_retiring_one_path_leaves_those_of_other_keys() -> None:
    paths = pool()
    mine, other = ready(paths, "a"), ready(paths, "b")
    paths.retire(mine)

    assert mine is not ready(paths, "a")
    assert other is ready(paths, "b")


def test_a_path_whose_relay_left_the_network_is_replaced() -> None:
    paths = pool()
    path = ready(paths, "a")
    gone = path.relays[1]
    rest = [descriptor(name) for name in range(12) if descriptor(name).relay_id != gone]

    assert gone not in ready(paths, "a", directory=network(rest).directory()).relays


def test_an_expired_directory_gives_no_path() -> None:
    with pytest.raises(MissingDirectoryError):
        ready(pool(), "a", after_s=4 * 3600)


def test_the_pool_is_bounded_and_forgets_what_was_used_longest_ago() -> None:
    paths = pool()
    first = ready(paths, "first")
    for number in range(MAX_SETS - 1):
        ready(paths, str(number))
    assert first is ready(paths, "first")
    ready(paths, "one more")

    assert MAX_SETS == len(paths)
    assert first is ready(paths, "first")


# Further attempts.


def test_the_next_attempt_takes_another_path_of_its_key_and_the_first_stays_for_others() -> None:
    paths = pool()
    first = ready(paths, "a")
    second = ready(paths, "a", left_out=NOTHING_LEFT_OUT.after(first, None))

    assert not set(first.relays[1:]) & set(second.relays[1:])
    assert first.guard != second.guard
    assert first is ready(paths, "a")


def test_an_attempt_after_a_broken_edge_keeps_the_guard_and_does_without_both_ends() -> None:
    paths = pool()
    first = ready(paths, "a")
    second = ready(paths, "a", left_out=NOTHING_LEFT_OUT.after(first, Edge(0, 1)))
    third = ready(paths, "a", left_out=NOTHING_LEFT_OUT.after(first, Edge(1, 2)))

    assert first.relays[1] not in second.relays
    assert first.guard == second.guard
    assert not set(first.relays[1:]) & set(third.relays)


def test_a_key_has_few_paths_however_often_attempts_fail() -> None:
    paths = pool()
    for _ in range(10):
        path = ready(paths, "a")
        ready(paths, "a", left_out=NOTHING_LEFT_OUT.after(path, None))
        paths.ready(TWELVE, ECHO, "a", now=NOW, left_out=LeftOut(frozenset(path.relays), frozenset()))

    assert MAX_PATHS_OF_ONE >= len(paths)


def test_where_nothing_else_is_left_an_attempt_goes_over_what_failed() -> None:
    three = network([descriptor(name) for name in range(3)]).directory()
    paths = pool()
    first = ready(paths, "a", directory=three)

    again = ready(paths, "a", directory=three, left_out=NOTHING_LEFT_OUT.after(first, Edge(0, 1)))

    assert set(first.relays) == set(again.relays)


def test_without_enough_relays_the_error_says_what_was_missing() -> None:
    two = network([descriptor(name) for name in range(2)]).directory()

    with pytest.raises(NoPathError, match="already-on-path"):
        ready(pool(), "a", directory=two)


def test_a_stream_that_goes_on_gets_its_exit_even_if_that_was_accused() -> None:
    """Another exit would not know the stream; avoiding it would end what may be a single lost packet."""
    paths = pool()
    first = ready(paths, "a")
    use(paths, first, broken(1))
    need = ECHO._replace(exit=first.exit)

    assert first.exit == ready(paths, "a", need=need, left_out=NOTHING_LEFT_OUT.after(first, Edge(1, 2))).exit


# What is learned.


def test_a_relay_that_another_could_not_reach_is_avoided_for_five_minutes() -> None:
    paths = pool()
    failed = ready(paths, "a")
    use(paths, failed, broken(0))

    assert failed is not ready(paths, "a")
    assert failed.relays[1] not in everybody(paths, position=1)
    later = {ready(paths, f"later {each}", after_s=MIN_QUARANTINE_S).relays[1] for each in range(60)}
    assert failed.relays[1] in later


def test_a_failure_without_an_edge_accuses_nobody() -> None:
    paths = pool()
    before = everybody(paths, position=1)
    failed = ready(paths, "a")
    use(paths, failed, SILENCE)

    assert failed is not ready(paths, "a")
    assert not paths.experience.blame.avoided(NOW)
    assert before == everybody(paths, position=1)


def test_a_guard_that_cannot_be_reached_is_left_for_half_a_minute() -> None:
    paths = pool()
    use(paths, ready(paths, "works"), ANSWERED)
    first = ready(paths, "a")
    use(paths, first, broken(-1))

    assert first.guard != ready(paths, "a").guard
    assert first.guard == ready(paths, "b", after_s=30).guard


@pytest.mark.parametrize("ended", [broken(0), broken(1), SILENCE], ids=["hop 1", "hop 2", "nobody"])
def test_what_later_hops_break_moves_no_guard(ended: Ended) -> None:
    paths = pool()
    guard = ready(paths, "a").guard
    for number in range(40):
        use(paths, ready(paths, str(number)), ended)

    assert not paths.experience.guards.marks
    assert {guard} == {each.relay_id for each in paths.memory.guards[:1]}


def test_a_call_that_its_own_link_lost_teaches_nothing() -> None:
    paths = pool()
    use(paths, ready(paths, "a"), Ended(SizeClass.SMALL, 36.0, is_ours=True))

    assert [] == [each for each in paths.memory.guards if each.bias.attempts]
    assert () == paths.experience.timeouts.by_class[SizeClass.SMALL].samples


def test_the_answer_that_comes_after_its_path_was_given_up_still_clears_the_guard() -> None:
    paths = pool()
    path = ready(paths, "a")
    is_first = paths.begin(path)
    paths.retire(path)
    paths.learn(path, ANSWERED, is_first=is_first, now=NOW)

    (guard,) = [each for each in paths.memory.guards if each.relay_id == path.guard]
    assert (1, 1) == (guard.bias.attempts, guard.bias.carried)


def test_a_path_that_is_used_further_is_counted_when_it_is_retired() -> None:
    paths = pool()
    path = ready(paths, "a")
    for _ in range(3):
        use(paths, path, ANSWERED)
    ready(paths, "a", after_s=PATH_LIFETIME_S)

    (guard,) = [each for each in paths.memory.guards if each.relay_id == path.guard]
    assert (1, 1) == (guard.bias.uses, guard.bias.completed)


def test_when_every_guard_is_down_the_error_says_when_the_next_is_tried() -> None:
    paths = pool()
    paths.use(TWELVE, now=NOW)
    for _ in paths.memory.guards:
        use(paths, ready(paths, "a"), broken(-1))

    with pytest.raises(NoPathError, match="the next is tried in"):
        ready(paths, "a")
