"""Ready paths: what is shared, for how long, and what a failure changes."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onionpath.client.path_pool import AVOID_S, MAX_PATHS, PATH_LIFETIME_S, Need, PathPool, ReadyPath
from onionpath.directory.directory import Directory
from onionpath.errors import Edge, MissingDirectoryError, NoPathError
from onionpath.injected import UnixTime
from onionpath.onion.packets import Answer, ReplyHead
from onionpath.onion.statuses import ReplyStatus
from onionpath.service.calls import ServiceId
from tests.directory.networks import NOW, descriptor, network

ECHO = Need(ServiceId.ECHO)
EIGHT = network([descriptor(name) for name in range(8)]).directory()


def pool(seed: int = 1) -> PathPool:
    return PathPool(random.Random(seed))


def ready(
    paths: PathPool, key: str, *, need: Need = ECHO, after_s: float = 0, directory: Directory = EIGHT
) -> ReadyPath:
    return paths.ready(directory, need, key, now=UnixTime(NOW + after_s))


def answer_after(hold_ms: tuple[int, ...]) -> Answer:
    return Answer(len(hold_ms) - 1, ReplyHead(ReplyStatus.ANSWERED), b"", hold_ms)


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


def test_a_path_that_failed_is_not_used_again_and_the_relay_behind_the_edge_is_avoided() -> None:
    paths = pool()
    failed = ready(paths, "a")
    accused = failed.hops[1].relay_id
    paths.retire(failed, Edge(0, 1), now=NOW)

    for number in range(50):
        assert accused not in {hop.relay_id for hop in ready(paths, str(number)).hops}
    later = [ready(paths, f"later {number}", after_s=AVOID_S) for number in range(50)]
    assert accused in {hop.relay_id for path in later for hop in path.hops}


def test_an_answer_whose_hold_times_do_not_nest_ends_its_path_and_accuses_both_of_the_edge() -> None:
    paths = pool()
    path = ready(paths, "a")
    honest, lying = ((30, 20, 10), (30, 40, 10))

    paths.answered(path, answer_after(honest), now=NOW)
    assert path is ready(paths, "a")
    paths.answered(path, answer_after(lying), now=NOW)

    accused = {path.hops[0].relay_id, path.hops[1].relay_id}
    assert not accused & {hop.relay_id for hop in ready(paths, "a").hops}


def test_a_failure_without_an_edge_accuses_nobody() -> None:
    paths = pool()
    failed = ready(paths, "a")
    paths.retire(failed, None, now=NOW)

    assert failed is not ready(paths, "a")
    used = {hop.relay_id for number in range(50) for hop in ready(paths, str(number)).hops}
    assert set(EIGHT.relays) == used


@pytest.mark.parametrize("edge", [Edge(-1, 0), Edge(2, 3), Edge(7, 8)])
def test_any_edge_can_be_reported(edge: Edge) -> None:
    paths = pool()
    failed = ready(paths, "a")
    paths.retire(failed, edge, now=NOW)
    again = ready(paths, "a")

    assert failed is not again
    assert 3 == len({hop.relay_id for hop in again.hops})


def test_retiring_one_path_leaves_those_of_other_keys() -> None:
    paths = pool()
    mine, other = ready(paths, "a"), ready(paths, "b")
    paths.retire(mine, None, now=NOW)

    assert other is ready(paths, "b")


def test_a_stream_that_goes_on_gets_its_exit_even_if_that_was_accused() -> None:
    """Another exit would not know the stream; avoiding it would end what may be a single lost packet."""
    paths = pool()
    first = ready(paths, "a")
    paths.retire(first, Edge(1, 2), now=NOW)

    assert first.exit == ready(paths, "a", need=ECHO._replace(exit=first.exit)).exit


def test_without_enough_relays_the_error_says_what_was_missing() -> None:
    paths = pool()
    three = network([descriptor(name) for name in range(3)]).directory()
    failed = ready(paths, "a", directory=three)
    paths.retire(failed, Edge(0, 1), now=NOW)

    with pytest.raises(NoPathError):
        ready(paths, "a", directory=three)


def test_an_expired_directory_gives_no_path() -> None:
    with pytest.raises(MissingDirectoryError):
        ready(pool(), "a", after_s=4 * 3600)


def test_a_path_whose_relay_left_the_network_is_replaced() -> None:
    paths = pool()
    path = ready(paths, "a")
    gone = path.hops[1].relay_id
    rest = [descriptor(name) for name in range(8) if descriptor(name).relay_id != gone]

    assert gone not in {hop.relay_id for hop in ready(paths, "a", directory=network(rest).directory()).hops}


def test_the_pool_is_bounded_and_forgets_what_was_used_longest_ago() -> None:
    paths = pool()
    first = ready(paths, "first")
    for number in range(MAX_PATHS - 1):
        ready(paths, str(number))
    assert first is ready(paths, "first")
    ready(paths, "one more")

    assert MAX_PATHS == len(paths)
    assert first is ready(paths, "first")
