"""Upstream bytes that may be lost, repeated, and confirmed in part: each arrives once and in order."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onionpath.errors import MalformedError
from onionpath.service.stream_outgoing import UPSTREAM_WINDOW, Outgoing


@settings(deadline=None, max_examples=30)
@given(st.randoms(use_true_random=False), st.integers(0, 3_000), st.integers(1, 400), st.booleans())
def test_every_byte_arrives_once_and_in_order_whatever_is_lost(
    choice: Random, size: int, at_most: int, ends: bool
) -> None:
    sent = choice.randbytes(size)
    outgoing, given_away, arrived = Outgoing(), 0, bytearray()
    under_way: list[tuple[int, int]] = []
    for _ in range(20_000):
        if given_away < size and choice.random() < 0.5:
            count = choice.randrange(1, 500)
            outgoing.add(sent[given_away : given_away + count])
            given_away = min(size, given_away + count)
        while len(under_way) < 8 and (found := outgoing.next_range(at_most)) is not None:
            assert 0 < found[1] - found[0] <= at_most
            under_way.append(found)
        if not under_way:
            if given_away == size:
                break
            continue
        start, stop = under_way.pop(choice.randrange(len(under_way)))
        data = outgoing.read(start, stop)
        start = stop - len(data)
        if choice.random() < 0.2:
            outgoing.send_again(start, stop)  # lost on its way
            continue
        # The exit takes what continues what it has, as far as it has room.
        taken = data[len(arrived) - start :] if start <= len(arrived) else b""
        arrived += taken[: choice.choice([1, 50, 1_000])] if len(arrived) < stop else b""
        if choice.random() < 0.8:
            outgoing.confirm(len(arrived), with_end=False)
        outgoing.send_again(start, stop)

    assert sent == bytes(arrived)


def test_the_end_is_confirmed_only_by_a_call_that_carried_it() -> None:
    outgoing = Outgoing()
    outgoing.add(b"abc")
    outgoing.ended = True
    assert (0, 3) == outgoing.next_range(10)

    outgoing.confirm(3, with_end=False)
    assert not outgoing.is_confirmed
    outgoing.confirm(3, with_end=True)
    assert outgoing.is_confirmed


def test_an_exit_that_confirms_what_was_never_sent_is_caught() -> None:
    outgoing = Outgoing()
    outgoing.add(b"abc")

    with pytest.raises(MalformedError):
        outgoing.confirm(1, with_end=False)


def test_an_old_confirmation_changes_nothing() -> None:
    outgoing = Outgoing()
    outgoing.add(b"abcdef")
    outgoing.next_range(6)
    outgoing.confirm(4, with_end=False)
    outgoing.confirm(2, with_end=False)

    assert b"ef" == outgoing.read(4, 6)
    assert UPSTREAM_WINDOW - 2 == outgoing.room


def test_a_range_that_was_confirmed_meanwhile_is_read_only_in_its_rest() -> None:
    """A repetition may be decided before, and read after, the confirmation of its first part."""
    outgoing = Outgoing()
    outgoing.add(b"abcdef")
    outgoing.next_range(6)
    outgoing.confirm(4, with_end=False)

    assert (b"ef", b"") == (outgoing.read(0, 6), outgoing.read(0, 3))
