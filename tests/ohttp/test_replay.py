"""The memory of answered requests: what it refuses, what it may forget, and that it stays within its bound."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onionpath.errors import MalformedError, RefusedError
from onionpath.injected import UnixTime
from onionpath.ohttp.dates import decode_date, encode_date
from onionpath.ohttp.replay import ReplayWindow

START = UnixTime(1_000_000.0)


def at(seconds: float) -> UnixTime:
    return UnixTime(START + seconds)


def window(**settings: int) -> ReplayWindow:
    return ReplayWindow(started_at=START, tolerance_s=60, **settings)


def refusal(memory: ReplayWindow, enc: bytes, date: float, now: float) -> str | None:
    try:
        memory.admit(enc, at(date), now=at(now))
    except RefusedError as error:
        return error.reason
    return None


def test_a_request_is_taken_once() -> None:
    memory = window()

    assert [None, "replay", None] == [refusal(memory, enc, 100, 100) for enc in (b"a", b"a", b"b")]


@pytest.mark.parametrize(("date", "expected"), [(39, "date"), (40, None), (160, None), (161, "date")])
def test_a_date_counts_within_the_tolerance_on_both_sides(date: float, expected: str | None) -> None:
    assert expected == refusal(window(), b"a", date, 100)


def test_nothing_from_before_the_start_is_taken() -> None:
    """Whatever was answered then is not remembered."""
    memory = ReplayWindow(started_at=at(0.5), tolerance_s=60)

    assert "date" == refusal(memory, b"a", 0, 2)
    assert None is refusal(memory, b"a", 1, 2)


@given(
    date=st.integers(0, 500),
    seen=st.integers(-60, 60),
    again=st.integers(0, 300),
    others=st.lists(st.integers(0, 300)),
)
def test_no_request_is_ever_taken_twice(date: int, seen: int, again: int, others: list[int]) -> None:
    memory = window()
    refusal(memory, b"a", date, date + seen)
    for number, later in enumerate(sorted(others)):
        now = date + seen + later
        refusal(memory, b"other %d" % number, now, now)

    taken = refusal(memory, b"a", date, date + seen + max([again, *others]))

    assert taken is not None


@given(st.lists(st.integers(0, 100), max_size=60))
def test_what_can_no_longer_be_taken_is_forgotten(steps: list[int]) -> None:
    memory, now = window(), 0
    taken_at: list[int] = []
    for number, step in enumerate(steps):
        now += step
        if refusal(memory, b"%d" % number, now, now) is None:
            taken_at.append(now)

    # A span is as long as the tolerance, so nothing stays for more than three of them.
    assert len(memory) <= sum(1 for when in taken_at if when >= now - 180)


def test_a_full_memory_refuses_and_forgets_nothing() -> None:
    memory = window(max_requests=3)

    assert [None, None, None, "full"] == [refusal(memory, enc, 100, 100) for enc in (b"a", b"b", b"c", b"d")]
    assert "replay" == refusal(memory, b"a", 100, 110)
    assert None is refusal(memory, b"d", 300, 300)


@given(st.integers(0, 4_000_000_000))
def test_a_date_is_read_back(when: int) -> None:
    assert when == decode_date(encode_date(UnixTime(when)))


def test_the_date_of_rfc_9110_is_written_and_read() -> None:
    assert b"Sun, 06 Nov 1994 08:49:37 GMT" == encode_date(UnixTime(784111777))


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"Sunday, 06-Nov-94 08:49:37 GMT",
        b"Sun Nov  6 08:49:37 1994",
        b"Mon, 06 Nov 1994 08:49:37 GMT",
        b"Sun, 06 Nov 1994 08:49:37 +0000",
        b"Sun, 06 Nov 1994 08:49:60 GMT",
        b"Sun, 6 Nov 1994 08:49:37 GMT",
        b"Sun, 06 Nov 1994 08:49:37 GMT (now)",
        b"Sun, 06 Nov 99999999999 08:49:37 GMT",
        b"\xff",
        b"784111777",
    ],
)
def test_a_date_in_any_other_form_is_refused(value: bytes) -> None:
    with pytest.raises(MalformedError):
        decode_date(value)
