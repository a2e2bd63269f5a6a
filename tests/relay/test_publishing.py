"""Who gets a relay's descriptor, when again, and when a newer one is made."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onionpath.directory.trust import Authority
from onionpath.injected import UnixTime
from relay.publishing import (
    FIRST_RETRY_S,
    LEFT_OUT_RETRY_S,
    PUBLISH_EVERY_S,
    PUBLISH_UNLISTED_S,
    RETRY_JITTER,
    RETRY_S,
    Failure,
    Publishing,
)
from tests.directory.networks import NOW, PERIOD_S, descriptor, network, root

ROOT = root(3, 2)
FIRST, SECOND, DOWN = ROOT.authorities
DIRECTORY = network().directory()
STALE = DIRECTORY.document.fresh_until


def made(*taken: Authority) -> Publishing:
    publishing = Publishing(choice=random.Random(1))
    publishing.made(NOW)
    for authority in taken:
        publishing.took(authority, NOW)
    return publishing


def pause_s(publishing: Publishing, now: float = NOW, *, has_directory: bool = True) -> float:
    return publishing.pause_s(ROOT, now=UnixTime(now), has_directory=has_directory)


def failures_s(publishing: Publishing, count: int) -> list[float]:
    """How long one authority is left in peace after each failure."""
    pauses, now = [], float(NOW)
    for _ in range(count):
        publishing.failed(DOWN, Failure.UNREACHABLE, ROOT, now=UnixTime(now))
        pauses.append(pause_s(publishing, now))
        now += pauses[-1]
    return pauses


def test_the_first_descriptor_is_made_at_once_and_the_next_a_second_later() -> None:
    assert 0.0 == Publishing(choice=random.Random(1)).make_in_s(now=NOW)
    assert 0.75 == made().make_in_s(now=UnixTime(NOW + 0.25))
    assert 0.0 == made().make_in_s(now=UnixTime(NOW + 5.0))


def test_every_authority_is_due_until_it_has_the_descriptor() -> None:
    assert [FIRST, SECOND, DOWN] == made().due(ROOT, now=NOW)
    assert [DOWN] == made(FIRST, SECOND).due(ROOT, now=NOW)


def test_it_is_published_once_enough_have_it() -> None:
    assert made(FIRST).is_under_way(ROOT)
    assert not made(FIRST, SECOND).is_under_way(ROOT)


def test_an_authority_that_is_down_keeps_nobody_from_a_newer_descriptor() -> None:
    publishing = made(FIRST, SECOND)
    publishing.failed(DOWN, Failure.UNREACHABLE, ROOT, now=NOW)

    assert not publishing.is_old(now=UnixTime(NOW + PUBLISH_EVERY_S - 1), has_directory=True)
    assert publishing.is_old(now=UnixTime(NOW + PUBLISH_EVERY_S), has_directory=True)

    publishing.made(UnixTime(NOW + PUBLISH_EVERY_S))
    assert [FIRST, SECOND, DOWN] == publishing.due(ROOT, now=UnixTime(NOW + PUBLISH_EVERY_S))


def test_a_relay_without_a_document_publishes_more_often() -> None:
    publishing = made(*ROOT.authorities)

    assert PUBLISH_EVERY_S == pause_s(publishing)
    assert PUBLISH_UNLISTED_S == pause_s(publishing, has_directory=False)


@pytest.mark.parametrize(("taken", "longest_s"), [([], RETRY_S), ([FIRST, SECOND], LEFT_OUT_RETRY_S)])
def test_whoever_did_not_take_it_is_asked_ever_less_often_and_anew_the_next_time(
    taken: list[Authority], longest_s: float
) -> None:
    publishing = made(*taken)
    for other in set(ROOT.authorities) - {DOWN, *taken}:
        publishing.failed(other, Failure.BUSY, root(), now=UnixTime(NOW + 9_999))
    wanted = [min(longest_s, FIRST_RETRY_S * 2**number) for number in range(11)]

    pauses = failures_s(publishing, 11)

    for want, got in zip(wanted, pauses, strict=True):
        assert want * (1 - RETRY_JITTER) - 1e-6 <= got <= want * (1 + RETRY_JITTER) + 1e-6
    publishing.made(UnixTime(NOW + 600))
    assert DOWN in publishing.due(ROOT, now=NOW)
    assert failures_s(publishing, 1)[0] <= FIRST_RETRY_S * (1 + RETRY_JITTER) + 1e-6


def test_relays_do_not_come_back_to_an_authority_in_step() -> None:
    seen = set()
    for seed in range(50):
        publishing = Publishing(choice=random.Random(seed))
        publishing.made(NOW)
        publishing.took(FIRST, NOW)
        publishing.took(SECOND, NOW)
        seen.add(round(failures_s(publishing, 1)[0], 3))

    assert 20 < len(seen)


@given(st.lists(st.sampled_from(list(Failure)), max_size=8))
def test_failures_are_counted_by_name_and_told_when_they_change(failures: list[Failure]) -> None:
    publishing = made()
    told = [publishing.failed(DOWN, each, ROOT, now=NOW) for each in failures]

    assert len(failures) == sum(publishing.failures.values())
    assert {each.value for each in failures} == set(publishing.failures)
    assert [True] * len(failures[:1]) == told[:1]
    assert [one is not other for one, other in pairwise(failures)] == told[1:]


def test_only_who_refused_a_descriptor_is_given_another_one() -> None:
    """Those who could not be reached get the one that the others have, so that a majority knows the same."""
    publishing = made(FIRST)
    publishing.failed(SECOND, Failure.REFUSED, ROOT, now=NOW)
    publishing.failed(DOWN, Failure.UNREACHABLE, ROOT, now=NOW)

    assert [False, True, False] == [publishing.needs_newer(each) for each in ROOT.authorities]
    publishing.took(SECOND, UnixTime(NOW + 7))
    assert not publishing.needs_newer(SECOND)
    assert 8.0 == publishing.make_in_s(now=NOW)


def test_after_a_succession_only_those_who_are_new_are_due() -> None:
    later = replace(root(4, 3), version=2)

    assert [later.authorities[3]] == made(*ROOT.authorities).due(later, now=NOW)


def test_a_document_that_lacks_us_makes_us_publish_once() -> None:
    stranger = descriptor(9).relay_id
    publishing = made(FIRST, SECOND)
    asked = [publishing.is_missed_by(DIRECTORY, ROOT, ours=stranger, now=NOW) for _ in range(3)]
    newer = network(number=DIRECTORY.document.number + 1).directory()

    assert [True, False, False] == asked
    assert publishing.is_missed_by(newer, ROOT, ours=stranger, now=STALE)


@pytest.mark.parametrize("why", ["it lists us", "it is stale", "too few have us"])
def test_there_is_no_reason_to_publish_again_when(why: str) -> None:
    publishing = made(FIRST) if why == "too few have us" else made(FIRST, SECOND)
    ours = descriptor(0 if why == "it lists us" else 9).relay_id
    now = STALE if why == "it is stale" else NOW

    assert PERIOD_S == STALE - DIRECTORY.document.valid_from
    assert not publishing.is_missed_by(DIRECTORY, ROOT, ours=ours, now=now)
