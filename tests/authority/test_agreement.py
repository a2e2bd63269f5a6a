from collections.abc import Callable
from dataclasses import replace
from random import randbytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onionpath.directory.trust import TrustRoot
from onionpath.directory.vote import Opening, Vote, decode_vote, encode_vote
from onionpath.errors import MalformedError, OnionPathError, UsageError
from onionpath.injected import UnixTime
from relay.authority.agreement import Agreement
from relay.authority.ballots import decode_ballot
from relay.authority.bulletin import decode_bulletin
from relay.authority.diary import Diary, decode_diary
from relay.authority.rounds import Rounds
from relay.authority.visit import (
    MIN_PART,
    Kind,
    Outcome,
    Question,
    Reply,
    Visit,
    answer,
    decode_question,
    decode_reply,
)
from tests.authority.worlds import FIRST, ballot_of, genesis, known
from tests.directory.networks import NETWORK_ID, NOW, PERIOD_S, authority_keys, bytes_of, identity, root

KEYS = authority_keys(3)
ROUNDS = Rounds.of(root(3, 2))
OPENING = Opening(FIRST)
RECOVERY_AT = int(NOW // 60 * 60)
ROOM = 4096


def after(rounds: float) -> UnixTime:
    return UnixTime(ROUNDS.begins_at(OPENING) + rounds * ROUNDS.round_s(OPENING))


def agreement(index: int = 0, *, state: bytes | None = None) -> Agreement:
    return Agreement(
        identity=KEYS[index], root=root(3, 2), newest=genesis(3, 2), state=state, entropy=randbytes
    )


def voted(index: int = 0, *, relays: int = 2) -> Agreement:
    ours = agreement(index)
    seen = [known(name) for name in range(relays)]
    ours.vote(ballot_of(*seen), seen, after(0))
    ours.stored(after(0))
    return ours


def visit(ours: Agreement, theirs: Agreement, now: UnixTime) -> None:
    tour = Visit(ours)
    while (question := tour.question) is not None:
        tour.take(answer(theirs, question, room=ROOM), now)


def test_the_rounds_end_an_eighth_of_a_period_before_the_document_begins() -> None:
    assert PERIOD_S / 8 == pytest.approx(FIRST * PERIOD_S - after(3))
    assert [1, 2, 3, 4] == [ROUNDS.round(OPENING, after(each + 0.5)) for each in range(4)]
    assert [False, False, False, True] == [ROUNDS.may_sign(OPENING, after(each + 0.5)) for each in range(4)]
    valid_until = UnixTime(after(8))
    assert OPENING == ROUNDS.opening(after(0), valid_until=valid_until)
    assert OPENING == ROUNDS.opening(after(7.9), valid_until=valid_until)


def test_a_vote_is_shown_only_once_it_was_stored() -> None:
    ours = agreement()
    ours.vote(ballot_of(known(0)), [known(0)], after(0))
    assert () == decode_bulletin(ours.bulletin()).votes

    ours.stored(after(0))

    assert 1 == len(decode_bulletin(ours.bulletin()).votes)


def test_nobody_votes_twice_also_after_a_restart() -> None:
    ours = agreement()
    state = ours.vote(ballot_of(known(0)), [known(0)], after(0)).state

    with pytest.raises(UsageError):
        agreement(state=state).vote(ballot_of(known(1)), [known(1)], after(0.1))


def test_a_vote_comes_early_or_not_at_all() -> None:
    assert agreement().may_vote(after(0.4))
    assert not agreement().may_vote(after(0.6))


def test_a_restart_shows_the_same_vote_again() -> None:
    ours = agreement()
    state = ours.vote(ballot_of(known(0)), [known(0)], after(0)).state
    ours.stored(after(0))
    again = agreement(state=state)
    again.tick(after(0.1))

    assert decode_bulletin(ours.bulletin()).votes == decode_bulletin(again.bulletin()).votes


def in_recovery(rounds: float) -> UnixTime:
    return UnixTime(RECOVERY_AT + rounds * ROUNDS.round_s(Opening(FIRST, RECOVERY_AT)))


def alone(*, state: bytes | None = None) -> Agreement:
    """The only authority of a new network."""
    return Agreement(identity=KEYS[0], root=root(), state=state, entropy=randbytes)


def test_without_a_valid_document_there_is_an_opening_each_minute() -> None:
    ends_at = UnixTime(3 * PERIOD_S)
    assert Opening(3) == ROUNDS.opening(UnixTime(ends_at - 1), valid_until=ends_at)
    assert Opening(3, 3 * PERIOD_S) == ROUNDS.opening(ends_at, valid_until=ends_at)
    assert Opening(3, 3 * PERIOD_S + 60) == ROUNDS.opening(UnixTime(ends_at + 119), valid_until=ends_at)


@pytest.mark.parametrize(("period_s", "recovery_s"), [(1, 1), (6, 1), (120, 2), (3_600, 60), (86_400, 60)])
def test_openings_of_recovery_follow_from_the_period(period_s: int, recovery_s: int) -> None:
    assert recovery_s == Rounds(period_s, 2).recovery_s


def test_who_did_not_sign_votes_in_the_next_opening_of_the_number_again() -> None:
    ours = Agreement(identity=KEYS[0], root=root(3, 2), entropy=randbytes)
    for opening in range(2):
        now = UnixTime(in_recovery(0) + 60 * opening)
        ours.vote(ballot_of(known(0)), [known(0)], now)
        ours.stored(now)
        assert not ours.may_vote(now)

    assert 1 == len(decode_bulletin(ours.bulletin()).votes)
    assert RECOVERY_AT + 60 == decode_bulletin(ours.bulletin()).recovery_at


def test_nobody_votes_twice_in_one_opening_of_recovery_also_after_a_restart() -> None:
    ours = Agreement(identity=KEYS[0], root=root(3, 2), entropy=randbytes)
    state = ours.vote(ballot_of(known(0)), [known(0)], in_recovery(0)).state
    again = Agreement(identity=KEYS[0], root=root(3, 2), state=state, entropy=randbytes)

    assert not again.may_vote(in_recovery(0.1))
    assert again.may_vote(UnixTime(in_recovery(0.1) + 60))


def alone_and_signed() -> tuple[Agreement, UnixTime]:
    ours = alone()
    rounds = ours.calendar.rounds
    opening = ours.calendar.opening(NOW)
    begins_at, round_s = rounds.begins_at(opening), rounds.round_s(opening)
    ours.vote(ballot_of(known(0)), [known(0)], begins_at)
    ours.stored(begins_at)
    ours.tick(UnixTime(begins_at + 1.9 * round_s))
    return ours, UnixTime(begins_at + 2.1 * round_s)


def test_one_authority_alone_makes_a_document_within_one_opening() -> None:
    ours, signs_at = alone_and_signed()
    assert ours.tick(signs_at).state is not None
    document = ours.stored(signs_at).document

    assert document is not None
    assert FIRST == document.number == ours.calendar.opening(signs_at).number
    assert ours.calendar.is_complete(signs_at)


def test_who_has_signed_a_number_neither_votes_nor_signs_in_its_later_openings() -> None:
    """And keeps to its draft, so that others can still join their signatures to it."""
    ours, theirs, _ = signed_in_recovery()
    for each in (ours, theirs):
        each.stored(in_recovery(3.1))
    drafts = {decode_bulletin(each.bulletin()).draft for each in (ours, theirs)}
    later = UnixTime(in_recovery(0.1) + 60)
    for rounds in (0.1, 2.9, 3.1, 3.5):
        now = UnixTime(in_recovery(rounds) + 60)
        assert not ours.may_vote(now)
        assert ours.tick(now).state is None
        theirs.tick(now)
    assert RECOVERY_AT + 60 == decode_bulletin(ours.bulletin()).recovery_at
    assert drafts == {decode_bulletin(ours.bulletin()).draft}

    visit(ours, theirs, UnixTime(later + 50))
    assert ours.newest is not None
    assert FIRST == ours.newest.number


def signed_in_recovery() -> tuple[Agreement, Agreement, bytes]:
    both = [Agreement(identity=key, root=root(3, 2), entropy=randbytes) for key in KEYS[:2]]
    for each in both:
        each.vote(ballot_of(known(0)), [known(0)], in_recovery(0))
        each.stored(in_recovery(0))
    return signed(both[0], both[1], in_recovery)


def restarted_after_a_succession(*, earlier: tuple[TrustRoot, ...]) -> list[Agreement]:
    """Two that signed under the first trust root, and were stopped before they saw each other's signatures."""
    _, theirs, state = signed_in_recovery()
    states = [state, theirs.tick(in_recovery(3.1)).state]
    return [
        Agreement(
            identity=key,
            root=replace(root(3, 2), version=2),
            earlier=earlier,
            state=each,
            entropy=randbytes,
        )
        for key, each in zip(KEYS, states, strict=False)
    ]


def test_a_document_signed_before_a_succession_is_completed_after_it() -> None:
    """Its number would have no document: what was signed of it is signed for good."""
    ours, theirs = restarted_after_a_succession(earlier=(root(3, 2),))
    visit(ours, theirs, in_recovery(3.3))

    assert ours.newest is not None
    assert (FIRST, 1) == (ours.newest.number, ours.newest.root_version)


def test_a_draft_that_no_trust_root_of_ours_explains_stays_a_draft() -> None:
    ours, theirs = restarted_after_a_succession(earlier=())
    visit(ours, theirs, in_recovery(3.3))

    assert 2 == len(decode_bulletin(ours.bulletin()).signatures)
    assert ours.tick(in_recovery(3.4)).document is None
    assert ours.newest is None


def test_a_vote_of_before_a_succession_is_shown_no_more_and_stays_the_only_one() -> None:
    """An authority that restarted with the new trust root in the middle of an opening ended by it."""
    ours = agreement()
    state = ours.vote(ballot_of(known(0)), [known(0)], after(0)).state
    before = root(3, 2)
    again = Agreement(
        identity=KEYS[0], root=replace(before, version=2), earlier=(before,), state=state, entropy=randbytes
    )
    again.tick(after(0.1))

    assert () == decode_bulletin(again.bulletin()).votes
    assert not again.may_vote(after(0.1))


def signed_by_two() -> tuple[Agreement, Agreement, bytes]:
    """Two that voted and visited each other and have signed; the state of the first."""
    return signed(voted(0), voted(1), after)


def signed(
    ours: Agreement, theirs: Agreement, at: Callable[[float], UnixTime]
) -> tuple[Agreement, Agreement, bytes]:
    for rounds in (0.2, 0.4):
        visit(ours, theirs, at(rounds))
        visit(theirs, ours, at(rounds))
    for each in (ours, theirs):
        each.tick(at(2.9))
    state = ours.tick(at(3.1)).state
    theirs.tick(at(3.1))
    assert state is not None
    return ours, theirs, state


def test_a_signature_is_shown_only_once_it_was_stored() -> None:
    ours, _, _ = signed_by_two()
    assert b"" == decode_bulletin(ours.bulletin()).draft

    ours.stored(after(3.1))

    assert {KEYS[0].public} == decode_bulletin(ours.bulletin()).signatures.keys()


def test_two_signatures_of_three_make_the_document() -> None:
    ours, theirs, _ = signed_by_two()
    for each in (ours, theirs):
        each.stored(after(3.1))
    visit(ours, theirs, after(3.2))

    assert ours.newest is not None
    assert FIRST == ours.newest.number


def told_to_publish(ours: Agreement, now: UnixTime) -> set[int]:
    """The numbers of the documents that a driver hears of from its clock and its disk."""
    told = [ours.tick(now).document, ours.stored(now).document]
    return {document.number for document in told if document is not None}


def test_a_lie_beside_the_deciding_signature_does_not_keep_the_document_from_being_published() -> None:
    """What was refused in the same breath once took the document with it, for good."""
    ours, theirs, _ = signed_by_two()
    for each in (ours, theirs):
        each.stored(after(3.1))
    last = genesis(3, 2).digest
    lie = replace(decode_bulletin(theirs.bulletin()), newest_number=FIRST, newest_digest=last)
    with pytest.raises(MalformedError):
        ours.merge(lie, after(3.2))

    assert {FIRST} == told_to_publish(ours, after(3.3))
    assert set() == told_to_publish(ours, after(3.4))


def test_a_liar_that_waits_for_our_signature_does_not_keep_the_document_from_being_published() -> None:
    ours, theirs, _ = signed_by_two()
    theirs.stored(after(3.1))
    name = bytes_of("junk")
    lie = replace(decode_bulletin(theirs.bulletin()), newest_number=FIRST, newest_digest=name)
    assert (name,) == ours.merge(lie, after(3.1)).wanted
    ours.stored(after(3.1))
    with pytest.raises(MalformedError):
        ours.merge(lie, after(3.2), {name: b"junk"})

    assert {FIRST} == told_to_publish(ours, after(3.3))


@pytest.mark.parametrize(
    ("number", "name"), [(FIRST, bytes(32)), (0, bytes_of("document"))], ids=["no digest", "no number"]
)
def test_a_bulletin_names_a_document_by_number_and_digest_or_by_neither(number: int, name: bytes) -> None:
    with pytest.raises(MalformedError):
        replace(decode_bulletin(voted().bulletin()), newest_number=number, newest_digest=name)


def test_what_earlier_openings_of_a_number_named_as_the_last_document_is_held_no_more() -> None:
    """Each opening brings new votes, and a liar could have two old documents kept for each."""
    ours, theirs = agreement(0), agreement(1)
    begins_at = genesis(3, 2).valid_until
    theirs.vote(ballot_of(known(0)), [known(0)], begins_at)
    theirs.stored(begins_at)
    visit(ours, theirs, begins_at)
    opening = ours.calendar.opening(begins_at)
    assert {genesis(3, 2).digest} == ours._holdings._documents.keys()

    ours.tick(UnixTime(begins_at + 60))

    assert opening.number == ours.calendar.opening(UnixTime(begins_at + 60)).number
    assert not ours._holdings._documents


def test_a_restart_neither_signs_again_nor_forgets_its_signature() -> None:
    _, theirs, state = signed_by_two()
    again = agreement(state=state)
    visit(again, theirs, after(3.2))
    for now in (after(3.3), after(4.2), after(5.2)):
        assert again.tick(now).state is None
    theirs.stored(after(5.2))
    visit(again, theirs, after(5.3))

    assert again.newest is not None


def test_who_starts_in_the_middle_of_a_round_signs_at_the_next() -> None:
    """Otherwise it would sign before it has seen what all others have."""
    ours, theirs = voted(0), voted(1)
    visit(theirs, ours, after(0.2))
    visit(ours, theirs, after(0.3))
    late = agreement(2)
    visit(late, ours, after(3.5))
    assert late.tick(after(3.6)).state is None

    assert late.tick(after(4.1)).state is not None


def test_a_vote_that_comes_in_the_second_round_with_one_signature_is_not_accepted() -> None:
    ours, theirs = agreement(0), voted(1)
    visit(ours, theirs, after(1.1))

    assert () == decode_bulletin(ours.bulletin()).votes


def test_a_damaged_diary_is_refused() -> None:
    state = bytearray(Diary(voted=3, signed=2, vote=b"vote").encode())
    for position in (0, 20, 60, -1):
        damaged = bytearray(state)
        damaged[position] ^= 1
        with pytest.raises(MalformedError):
            decode_diary(bytes(damaged))
    with pytest.raises(MalformedError):
        decode_diary(bytes(state[:40]))


def test_a_diary_reads_as_it_was_written() -> None:
    diary = Diary(
        voted=3, recovery_at=9, signed=2, vote=b"vote", ballot=b"ballot", draft=b"", newest=b"newest"
    )

    assert diary == decode_diary(diary.encode())


def test_strangers_are_no_authorities() -> None:
    with pytest.raises(UsageError):
        Agreement(identity=identity("stranger"), root=root(3, 2), entropy=randbytes)


def test_a_visitor_that_saw_the_same_bulletin_before_is_told_so() -> None:
    ours, theirs = voted(0), voted(1)
    tour = Visit(ours)
    while (question := tour.question) is not None:
        tour.take(answer(theirs, question, room=ROOM), after(0.2))
    again = Visit(ours, last=tour.taken)
    assert again.question is not None

    assert Outcome.UNCHANGED is decode_reply(answer(theirs, again.question, room=ROOM)).outcome


def test_a_visited_liar_cannot_make_us_ask_for_ever() -> None:
    tour = Visit(agreement())
    tour.take(Reply(Outcome.CONTENT, 10**6, bytes(32), b"x" * MIN_PART).encode(), after(0))

    with pytest.raises(MalformedError):
        tour.take(Reply(Outcome.CONTENT, 10**6, bytes(32), b"x" * (MIN_PART - 1)).encode(), after(0))


def vote_payload() -> bytes:
    return encode_vote(
        Vote(
            network_id=NETWORK_ID,
            root_version=1,
            number=9,
            recovery_at=0,
            author=KEYS[0].public,
            last_number=8,
            last_digest=bytes_of("last"),
            ballot=bytes_of("ballot"),
            salt=bytes_of("salt"),
        )
    )


PARSERS: list[tuple[Callable[[bytes], object], bytes]] = [
    (decode_vote, vote_payload()),
    (decode_ballot, ballot_of(known(0), known(1), capacity=5).encode()),
    (decode_bulletin, voted().bulletin()),
    (decode_diary, Diary(voted=3, vote=b"vote").encode()),
    (decode_question, Question(Kind.CONTENT, bytes_of("content"), 7).encode()),
    (decode_reply, Reply(Outcome.CONTENT, 9, bytes_of("content"), b"part").encode()),
]


@pytest.mark.parametrize(("parse", "good"), PARSERS, ids=lambda each: getattr(each, "__name__", ""))
def test_parsers_read_what_is_good(parse: Callable[[bytes], object], good: bytes) -> None:
    assert parse(good)


@given(st.sampled_from(PARSERS), st.integers(0, 2**16), st.integers(1, 255), st.booleans())
def test_parsers_refuse_by_one_error_only(
    each: tuple[Callable[[bytes], object], bytes], place: int, flip: int, cut: bool
) -> None:
    parse, good = each
    damaged = bytearray(good)
    damaged[place % len(good)] ^= flip
    try:
        parse(bytes(damaged[: place % len(good)] if cut else damaged))
    except MalformedError:
        return


@given(st.integers(0, 2**16), st.integers(1, 255))
def test_a_damaged_reply_ends_a_visit_by_a_named_error(place: int, flip: int) -> None:
    ours, theirs = agreement(2), VOTED
    tour = Visit(ours)
    try:
        while (question := tour.question) is not None:
            reply = bytearray(answer(theirs, question, room=ROOM))
            reply[place % len(reply)] ^= flip
            tour.take(bytes(reply), after(0.2))
    except OnionPathError:
        return


VOTED = voted(1)


def test_a_vote_for_another_network_is_refused() -> None:
    value = decode_vote(vote_payload())
    for change in ({"network_id": b"short"}, {"number": 8}, {"last_number": 0}, {"author": bytes(32)}):
        with pytest.raises(MalformedError):
            replace(value, **change)  # type: ignore[arg-type]
