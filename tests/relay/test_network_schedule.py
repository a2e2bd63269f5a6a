"""When a relay publishes and fetches, and with whom."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onionpath.directory.directory import Directory
from onionpath.injected import UnixTime
from onionpath.link.neighbour import Neighbour
from relay.network_schedule import (
    FIRST_RETRY_S,
    JITTER_S,
    MIRRORS_ASKED,
    PUBLISH_EVERY_S,
    PUBLISH_UNLISTED_S,
    RETRY_S,
    Publishing,
    first_fetch_in_s,
    has_run_out,
    next_fetch_in_s,
    sources,
)
from tests.directory.networks import NOW, PERIOD_S, descriptor, network

EIGHT = network([descriptor(number) for number in range(8)])
DIRECTORY = EIGHT.directory()
OURS = descriptor(0).relay_id
STALE = DIRECTORY.document.fresh_until
CHOICE = random.Random(1)


def fetch_in_s(directory: Directory | None, now: float, seed: int = 1) -> float:
    return next_fetch_in_s(directory, now=UnixTime(now), choice=random.Random(seed))


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


# Publishing.


def published(at: float = NOW) -> Publishing:
    publishing = Publishing()
    publishing.begin(now=UnixTime(at))
    publishing.done(UnixTime(at), has_directory=True)
    return publishing


def test_the_first_descriptor_is_made_at_once_and_the_next_a_second_later() -> None:
    assert 0.0 == Publishing().begin(now=NOW)
    assert 0.75 == published().begin(now=UnixTime(NOW + 0.25))
    assert 0.0 == published().begin(now=UnixTime(NOW + 5.0))


def test_whoever_did_not_take_it_is_asked_ever_less_often_and_anew_the_next_time() -> None:
    publishing = Publishing()
    publishing.begin(now=NOW)

    assert [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 20.0, 20.0] == [publishing.retry_in_s() for _ in range(9)]
    publishing.begin(now=NOW)
    assert FIRST_RETRY_S == publishing.retry_in_s()


def test_a_relay_without_a_document_publishes_more_often() -> None:
    assert PUBLISH_EVERY_S == Publishing().done(NOW, has_directory=True)
    assert PUBLISH_UNLISTED_S == Publishing().done(NOW, has_directory=False)


def test_a_document_that_lacks_us_makes_us_publish_once() -> None:
    stranger = descriptor(9).relay_id
    publishing = published()
    asked = [publishing.is_missed_by(DIRECTORY, ours=stranger, now=NOW) for _ in range(3)]
    newer = network(number=DIRECTORY.document.number + 1).directory()

    assert [True, False, False] == asked
    assert publishing.is_missed_by(newer, ours=stranger, now=STALE)


@pytest.mark.parametrize("why", ["it lists us", "it is stale", "we are publishing"])
def test_there_is_no_reason_to_publish_again_when(why: str) -> None:
    publishing = Publishing() if why == "we are publishing" else published()
    ours = OURS if why == "it lists us" else descriptor(9).relay_id
    now = STALE if why == "it is stale" else NOW

    assert not publishing.is_missed_by(DIRECTORY, ours=ours, now=now)
