"""When a relay publishes and fetches, and with whom."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onionpath.directory.directory import Directory
from onionpath.directory.succession import Lineage
from onionpath.injected import UnixTime
from onionpath.link.neighbour import Neighbour
from relay.network_schedule import (
    FIRST_RETRY_S,
    JITTER_S,
    MIRRORS_ASKED,
    RETRY_S,
    count_sources,
    first_fetch_in_s,
    has_run_out,
    newest_root,
    next_fetch_in_s,
    sources,
)
from tests.directory.networks import NOW, PERIOD_S, descriptor, network, root

EIGHT = network([descriptor(number) for number in range(8)])
DIRECTORY = EIGHT.directory()
OURS = descriptor(0).relay_id
STALE = DIRECTORY.document.fresh_until
CHOICE = random.Random(1)


def fetch_in_s(
    directory: Directory | None,
    now: float,
    seed: int = 1,
    *,
    is_confirmed: bool = True,
    is_denied: bool = False,
) -> float:
    choice = random.Random(seed)
    return next_fetch_in_s(
        directory, now=UnixTime(now), choice=choice, is_confirmed=is_confirmed, is_denied=is_denied
    )


def test_authorities_are_asked_first_and_then_a_few_other_relays() -> None:
    (authority,) = EIGHT.root.authorities
    others = {Neighbour.of_relay(descriptor(number)) for number in range(1, 8)}
    for seed in range(20):
        first, *mirrors = sources(EIGHT.root, DIRECTORY, ours=OURS, choice=random.Random(seed))

        assert Neighbour.of_authority(authority) == first
        assert MIRRORS_ASKED == len(set(mirrors) & others) == len(mirrors)


def test_without_a_directory_the_authorities_are_all_there_is_to_ask() -> None:
    assert 1 == len(sources(EIGHT.root, None, ours=OURS, choice=CHOICE))


@given(before_s=st.floats(0, PERIOD_S, exclude_min=True), seed=st.integers(0, 1000))
def test_a_relay_waits_for_the_end_of_a_fresh_document_and_a_little_more(before_s: float, seed: int) -> None:
    wait_s = fetch_in_s(DIRECTORY, STALE - before_s, seed)

    assert before_s - 1e-6 <= wait_s <= before_s + JITTER_S


def test_relays_do_not_all_ask_in_one_second() -> None:
    asked = {round(fetch_in_s(DIRECTORY, STALE - 100, seed)) for seed in range(100)}

    assert 20 < len(asked)


def test_a_stale_document_is_tried_again_soon_and_a_missing_one_at_once() -> None:
    assert (RETRY_S, FIRST_RETRY_S) == (fetch_in_s(DIRECTORY, STALE), fetch_in_s(None, NOW))


def test_whoever_has_one_answer_only_asks_again_soon() -> None:
    assert RETRY_S == fetch_in_s(DIRECTORY, NOW, is_confirmed=False)


def test_who_was_given_two_documents_of_one_number_and_has_none_does_not_ask_four_times_a_second() -> None:
    assert RETRY_S == fetch_in_s(None, NOW, is_confirmed=False, is_denied=True)


@pytest.mark.parametrize(("directory", "now"), [(None, NOW), (DIRECTORY, STALE)], ids=["none", "stale"])
def test_a_relay_that_starts_without_a_fresh_document_asks_at_once(
    directory: Directory | None, now: UnixTime
) -> None:
    assert 0.0 == first_fetch_in_s(directory, now=now, choice=CHOICE)
    assert STALE - NOW <= first_fetch_in_s(DIRECTORY, now=NOW, choice=CHOICE)


def test_a_document_serves_for_one_period_longer_than_it_is_valid() -> None:
    document = DIRECTORY.document
    ended = document.valid_until + PERIOD_S

    assert [False, True] == [has_run_out(document, UnixTime(now)) for now in (ended - 1, ended)]


def test_after_a_succession_the_new_authorities_are_asked() -> None:
    old, new = Lineage(root()), Lineage(replace(root(3, 2), version=2))
    directory = replace(DIRECTORY, lineage=new)

    assert old.root == newest_root(old.root, None, replace(DIRECTORY, lineage=None))
    assert new.root == newest_root(old.root, directory, None)
    assert new.root == newest_root(old.root, None, directory.seen)


def test_a_network_of_one_authority_and_one_relay_has_nobody_else_to_ask() -> None:
    alone = network([descriptor(0)]).directory()

    assert 1 == count_sources(root(1, 1), alone, ours=OURS)
    assert 3 + 7 == count_sources(root(3, 2), DIRECTORY, ours=OURS)
