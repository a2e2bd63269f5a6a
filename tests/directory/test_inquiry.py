"""Whom an inquiry asks, and which of the answers it uses."""

from __future__ import annotations

from onionpath.directory.directory import Directory
from onionpath.directory.inquiry import Inquiry
from tests.directory.networks import NOW, descriptor, network

DIRECTORY = network([descriptor(number) for number in range(8)]).directory()
STALE = DIRECTORY.document.fresh_until
NUMBER = DIRECTORY.document.number
OLDER = network([descriptor(number) for number in range(8)], number=NUMBER - 1).directory()
OTHER = network([descriptor(number) for number in range(7)]).directory()


def asking(known: Directory | None = None, *, denied: int = 0, wanted: int = 2) -> Inquiry[str]:
    seen = known.seen if known else None
    return Inquiry(["one", "two", "three"], known, seen, denied=denied, wanted=wanted)


def test_two_are_asked_and_no_more_if_what_they_give_is_fresh() -> None:
    one = asking()
    asked = [one.next_source(now=NOW)]
    one.answered(DIRECTORY)
    assert not one.is_confirmed(there_are=3)
    asked.append(one.next_source(now=NOW))
    one.answered(DIRECTORY)

    assert ["one", "two"] == asked
    assert one.next_source(now=NOW) is None
    assert one.is_confirmed(there_are=3)
    assert DIRECTORY is one.newest


def test_all_are_asked_while_nobody_has_what_is_fresh() -> None:
    one = asking(DIRECTORY)
    asked = 0
    while one.next_source(now=STALE) is not None:
        one.answered(DIRECTORY)
        asked += 1

    assert 3 == asked


def test_who_does_not_answer_is_followed_by_the_next() -> None:
    one = asking()
    assert ["one", "two"] == [one.next_source(now=NOW), one.next_source(now=NOW)]
    one.answered(DIRECTORY)

    assert ["three", None] == [one.next_source(now=NOW), one.next_source(now=NOW)]
    assert not one.is_confirmed(there_are=3)
    assert one.is_confirmed(there_are=1)


def test_where_one_answer_is_enough_the_next_is_asked_while_it_is_stale() -> None:
    one = asking(wanted=1)
    one.next_source(now=STALE)
    one.answered(DIRECTORY)

    assert ["two", None] == [one.next_source(now=STALE), one.next_source(now=NOW)]


def test_two_documents_of_one_number_are_used_neither_whoever_gives_them_once_more() -> None:
    one = asking(OLDER)
    one.answered(DIRECTORY)

    assert NUMBER == one.contradicted((DIRECTORY.document.envelope, OTHER.document.envelope))
    one.answered(OTHER)
    one.answered(DIRECTORY)
    assert one.newest is None
    assert one.is_denied


def test_what_was_denied_in_an_earlier_inquiry_is_not_used_in_this_one() -> None:
    one = asking(OLDER, denied=NUMBER)
    one.answered(DIRECTORY)
    assert one.newest is None
    assert one.is_denied

    one.answered(OLDER)
    assert OLDER is one.newest


def test_who_contradicts_what_we_have_does_not_take_it_or_a_newer_one_from_us() -> None:
    one = asking(OLDER)
    one.answered(DIRECTORY)

    assert NUMBER - 1 == one.contradicted((OLDER.document.envelope, b"another"))
    assert DIRECTORY is one.newest
    assert not one.is_denied

    known = asking(DIRECTORY, denied=NUMBER)
    known.answered(DIRECTORY)
    assert DIRECTORY is known.newest
