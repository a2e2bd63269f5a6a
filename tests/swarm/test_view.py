"""What an owner knows of a namespace, when members are behind, withhold, and come and go."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onionpath.crypto.identity import RelayId
from onionpath.errors import MalformedError
from onionpath.swarm import view as view_room
from onionpath.swarm.hashes import message_hash
from onionpath.swarm.operations import AccountId, Message
from onionpath.swarm.pages import Page
from onionpath.swarm.view import CONVERGENCE_MS, View, decode_view, encode_view, in_order

ACCOUNT = AccountId(b"\5" + bytes(32))
NOW_MS = 1_795_318_536_524
ANNE, BERT, CARL = (RelayId(bytes([name]) * 32) for name in (1, 2, 3))


def message(data: bytes, *, lives_ms: int = 10 * CONVERGENCE_MS) -> Message:
    return Message(ACCOUNT, 0, message_hash(ACCOUNT, 0, data), NOW_MS, NOW_MS + lives_ms, data)


def page(*data: bytes) -> Page:
    return Page(tuple(map(message, data)), False, 0)


def test_a_message_is_new_once_whoever_of_the_members_gives_it() -> None:
    view = View().after(ANNE, page(b"one"), now_ms=NOW_MS)

    assert (message(b"two"),) == view.new(page(b"one", b"two"), now_ms=NOW_MS)


def test_a_message_that_has_expired_is_shown_to_nobody() -> None:
    expired = Page((message(b"old", lives_ms=0),), False, 0)

    assert () == View().new(expired, now_ms=NOW_MS)


def test_a_member_that_says_of_a_message_that_it_has_expired_does_not_make_it_new_again() -> None:
    view = View().after(ANNE, page(b"one"), now_ms=NOW_MS)

    lied = view.after(BERT, Page((message(b"one", lives_ms=-1),), False, 0), now_ms=NOW_MS)

    assert () == lied.new(page(b"one"), now_ms=NOW_MS)


def test_each_member_has_a_cursor_of_its_own() -> None:
    view = (
        View()
        .after(ANNE, page(b"one", b"two"), now_ms=NOW_MS)
        .after(BERT, page(b"two", b"one"), now_ms=NOW_MS)
    )

    assert message(b"two").hash == view.cursor(ANNE).last
    assert message(b"one").hash == view.cursor(BERT).last
    assert view.cursor(CARL).last is None


def test_a_page_without_messages_leaves_the_cursor_where_it_was() -> None:
    view = View().after(ANNE, page(b"one"), now_ms=NOW_MS).after(ANNE, page(), now_ms=NOW_MS)

    assert message(b"one").hash == view.cursor(ANNE).last


def test_who_lacks_for_a_minute_what_another_member_showed_withholds_it() -> None:
    view = View().after(ANNE, page(b"one", b"two"), now_ms=NOW_MS)

    behind = view.after(BERT, page(b"one"), now_ms=NOW_MS + CONVERGENCE_MS - 1)
    withheld = view.after(BERT, page(b"one"), now_ms=NOW_MS + CONVERGENCE_MS)

    assert {} == behind.withheld()
    assert {BERT: {message(b"two").hash}} == withheld.withheld()


def test_who_shows_it_later_withholds_nothing_any_more() -> None:
    view = View().after(ANNE, page(b"one"), now_ms=NOW_MS)

    late = view.after(BERT, page(), now_ms=NOW_MS + CONVERGENCE_MS).after(
        BERT, page(b"one"), now_ms=NOW_MS + 2 * CONVERGENCE_MS
    )

    assert {} == late.withheld()


def test_nobody_withholds_what_has_expired_or_was_deleted() -> None:
    short = Page((message(b"short", lives_ms=CONVERGENCE_MS),), False, 0)
    view = View().after(ANNE, short, now_ms=NOW_MS).after(ANNE, page(b"gone"), now_ms=NOW_MS)

    deleted = view.without([message(b"gone").hash])
    asked = deleted.after(BERT, page(), now_ms=NOW_MS + CONVERGENCE_MS)

    assert {} == asked.withheld()
    assert {} == asked.seen


def test_a_relay_that_left_the_swarm_withholds_nothing() -> None:
    view = View().after(ANNE, page(b"one"), now_ms=NOW_MS).after(BERT, page(), now_ms=NOW_MS + CONVERGENCE_MS)

    assert {BERT} == view.withheld().keys()
    assert {} == view.among([ANNE, CARL]).withheld()


def test_a_view_remembers_a_bounded_number_of_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Members choose how many they make up, since anybody may store in a public inbox."""
    monkeypatch.setattr(view_room, "MAX_KNOWN", 3)
    made_up = tuple(message(bytes([number]), lives_ms=1_000 + number) for number in range(5))

    view = View().after(ANNE, Page(made_up, False, 0), now_ms=NOW_MS)

    assert {each.hash for each in made_up[2:]} == view.seen.keys() == view.cursor(ANNE).shown


@given(
    st.lists(
        st.tuples(st.sampled_from([ANNE, BERT, CARL]), st.lists(st.binary(max_size=2), max_size=4)),
        max_size=6,
    )
)
def test_a_view_survives_the_end_of_its_program(pages: list[tuple[RelayId, list[bytes]]]) -> None:
    view = View()
    for number, (member, data) in enumerate(pages):
        view = view.after(member, page(*data), now_ms=NOW_MS + number)

    assert view == decode_view(encode_view(view))


@pytest.mark.parametrize("data", [b"", b"{}", b"null", b'{"cursors":{"x":{}},"seen":{}}', b"[" * 10_000])
def test_what_is_no_view_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedError):
        decode_view(data)


def test_messages_of_several_members_come_in_one_order() -> None:
    both = (message(b"one"), message(b"two"))

    assert in_order(both) == in_order(both[::-1])
