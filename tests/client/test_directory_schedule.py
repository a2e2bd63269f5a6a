"""When a client asks for a new directory, and whom."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from onionpath.client.directory_schedule import JITTER_S, MIRRORS_ASKED, RETRY_S, refresh_in_s, sources
from onionpath.injected import UnixTime
from onionpath.link.neighbour import Neighbour
from tests.directory.networks import PERIOD_S, descriptor, network

EIGHT = network([descriptor(number) for number in range(8)])
DIRECTORY = EIGHT.directory()
STALE = DIRECTORY.document.fresh_until


def wait_s(now: float, seed: int = 1) -> float:
    return refresh_in_s(DIRECTORY.document, now=UnixTime(now), choice=random.Random(seed))


def test_a_few_relays_are_asked_before_the_authorities() -> None:
    (authority,) = EIGHT.root.authorities
    relays = {Neighbour.of_relay(descriptor(number)) for number in range(8)}
    for seed in range(20):
        *mirrors, last = sources(EIGHT.root, DIRECTORY, choice=random.Random(seed))

        assert (Neighbour.of_authority(authority), True) == last
        assert MIRRORS_ASKED == len({each.neighbour for each in mirrors} & relays) == len(mirrors)
        assert not any(each.is_authority for each in mirrors)


def test_a_new_client_knows_nobody_but_the_authorities() -> None:
    (only,) = sources(EIGHT.root, None, choice=random.Random(1))
    address = EIGHT.root.authorities[0].address

    assert f"the authority at {address}" == str(only)


@given(before_s=st.floats(RETRY_S, PERIOD_S), seed=st.integers(0, 1000))
def test_a_client_waits_for_the_end_of_a_fresh_document_and_a_little_more(before_s: float, seed: int) -> None:
    waited_s = wait_s(STALE - before_s, seed)

    assert before_s - 1e-6 <= waited_s <= before_s + JITTER_S


def test_clients_do_not_all_ask_in_one_second() -> None:
    assert 20 < len({round(wait_s(STALE - 100, seed)) for seed in range(100)})


def test_after_a_refresh_that_failed_a_client_asks_again_soon_but_not_at_once() -> None:
    assert RETRY_S == wait_s(STALE + JITTER_S)
